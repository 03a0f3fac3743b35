"""A dataset with wrong images among right ones: the second reader finds them before they are learnt from.

Faults L3 and D13 to D18 of docs/faults.md: wrong labels, noise, images upside down, mirrored images, images of another
patient. Intake and validation accepted all of these while nobody looked at the images.
"""

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

from benchmarks.label_noise import KINDS, flagged, mislabelled
from orchestration.cli.main import plumbline
from orchestration.cli.pipeline import prepare_workspace
from orchestration.pipeline import second_reading, steps
from orchestration.pipeline.lock import WorkspaceBusy
from orchestration.pipeline.params import change_params, read_params
from orchestration.pipeline.second_reading import points_of_reading, readings_of
from orchestration.pipeline.steps import compute_step
from orchestration.pipeline.workspace import Workspace
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.dataset import read_manifest
from spine.dataset_writing import write_manifest
from spine.landmarks import MARGINS175
from spine.scanner import NATIVE_SPACING_MM
from spine.study import read_study
from spine.work import LocalWork
from validation.dataset.frozen_test_set import read_excluded
from validation.dataset.results import ValidationConfig
from validation.dataset.second_reading import RULES
from validation.dataset.validate import validate_dataset

pytestmark = pytest.mark.slow

COUNT = 28
FAULTS = ("noise", "upside down", "mirrored", "another patient")


def spoil(case, fault, other):
    """Change the pixels of both images of a study; every tag stays as it is."""
    for view in ("frontal", "lateral"):
        dataset = pydicom.dcmread(case / f"{view}.dcm")
        pixels = dataset.pixel_array
        theirs = pydicom.dcmread(other / f"{view}.dcm").pixel_array
        changed = {
            "noise": np.random.default_rng(0).integers(0, 4096, pixels.shape).astype(pixels.dtype),
            "upside down": pixels[::-1, ::-1],
            "mirrored": pixels[:, ::-1],
            "another patient": np.roll(theirs, 3, axis=0),
        }[fault]
        dataset.PixelData = np.ascontiguousarray(changed).tobytes()
        dataset.save_as(case / f"{view}.dcm")


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    """A workspace whose source has four studies with wrong images, and the patients that these have."""
    folder = tmp_path_factory.mktemp("poisoned")
    drop, workspace = folder / "drop", Workspace(folder / "ws")
    config = CohortConfig(count=COUNT, seed=77, shape=(512, 256), spacing_mm=NATIVE_SPACING_MM * 8)
    write_cohort(drop, config, work=LocalWork(2))
    cases = sorted(case for case in drop.iterdir() if case.is_dir())
    for case, fault in zip(cases, FAULTS, strict=False):
        spoil(case, fault, cases[-1])
    settings = ("dataset.test_patients=9", "validation.on_bad_study=exclude")
    prepare_workspace(workspace, "folder", drop, settings)
    workspace.pseudonym_key_file.write_text("07" * 32)  # the splits follow from the pseudonyms
    change_params(workspace.params_file, {"dataset": {"validation_fraction": 0.26}}, "test")
    taken_in = compute_step("studies", workspace)
    compute_step("landmarks", workspace)
    return workspace, taken_in, compute_step("dataset", workspace)


def excluded_by_reader(workspace):
    return {study for study, rules in read_excluded(workspace.dataset).items() if set(rules) & set(RULES)}


def test_every_study_with_wrong_images_is_out_and_no_other(poisoned):
    workspace, taken_in, dataset = poisoned
    excluded = excluded_by_reader(workspace)
    assert len(excluded) >= 2
    assert len(excluded) + taken_in.figures["quarantined"] == len(FAULTS)
    assert dataset.figures["excluded"] == len(excluded)
    assert dataset.figures["left out"] == f"{len(excluded)} ({len(excluded)} excluded by the validation)"
    examples = tuple(read_manifest(workspace.dataset).examples())
    assert not excluded & {e.study_id for e in examples}
    assert len(examples) == COUNT - len(FAULTS)
    page = (workspace.screening / "report.html").read_text()
    assert "the second reader" in page and all(study in page for study in excluded)
    assert (workspace.screening / "worst.png").stat().st_size > 10_000


def test_right_images_pass_and_are_read_once(poisoned, monkeypatch):
    workspace, _, _ = poisoned
    readings = readings_of(workspace, ValidationConfig())
    assert len(readings) == 2 * (COUNT - len(FAULTS))
    assert not [r for r in readings if r.refusal or r.off_line > 0.25 or abs(r.shift) > 0.5]
    monkeypatch.setattr(second_reading, "measure_views", lambda *_: pytest.fail("read again"))
    assert readings_of(workspace, ValidationConfig()) == readings
    assert not any(r.points for r in readings), "16 kB an image; the few that are drawn are read again"
    assert len(points_of_reading(workspace, readings[0])) > 20


def test_nothing_is_excluded_after_the_lock_was_lost(poisoned, monkeypatch):
    workspace, _, _ = poisoned
    before = (workspace.dataset / "excluded.json").read_bytes()

    def lost(_):
        raise WorkspaceBusy("LOCK_LOST", "a lock that is gone", "the lock", "start the database")

    monkeypatch.setattr(steps, "require_lock", lost)
    monkeypatch.setattr(steps, "exclude_studies", lambda *_: pytest.fail("excluded"))
    with pytest.raises(WorkspaceBusy, match="LOCK_LOST"):
        steps.dataset(workspace, read_params(workspace.params_file), None)
    assert (workspace.dataset / "excluded.json").read_bytes() == before


def test_wrong_labels_are_found(poisoned):
    """Labels are wrong in each way of the benchmark, while the images stay as they are (L3)."""
    workspace, _, _ = poisoned
    random, studies, found = np.random.default_rng(0), [], {}
    for reading in readings_of(workspace, ValidationConfig())[:24]:
        study, points = read_study(workspace.studies / reading.study_id), points_of_reading(workspace, reading)
        for kind in KINDS:
            found[f"{kind}/{reading.study_id}", reading.view] = (points, reading.refusal)
            if reading.view == "frontal":
                wrong = mislabelled(study, kind, random)
                studies.append(replace(wrong, study_id=f"{kind}/{reading.study_id}", patient=f"{kind}{study.patient}"))
    errors, anything = flagged(studies, found, "biplanar", MARGINS175)
    count = len(studies) / len(KINDS)
    share = {kind: sum(study.startswith(kind) for study in anything) / count for kind in KINDS}
    assert share.pop("as they are") == 0.0
    assert min(share.values()) >= 0.9, share
    sure = {kind: sum(study.startswith(kind) for study in errors) / count for kind in KINDS}
    assert min(sure["a tenth astray"], sure["left and right"]) >= 0.9, "a shift by one level is a warning"


def test_above_the_permitted_share_a_person_must_look(poisoned):
    workspace, _, _ = poisoned
    config = ValidationConfig(
        on_bad_study="exclude",
        max_bad_share=0.05,
        data_docs=False,
        minimum_train=1,
        minimum_validation=1,
        minimum_test=1,
    )
    readings = [replace(reading, refusal="looks mirrored") for reading in readings_of(workspace, config)[:4]]
    result = validate_dataset(workspace.dataset, workspace.root / "trial", config, readings=readings)
    assert [failure.code for failure in result.failures] == ["TOO_MANY_BAD_STUDIES"]
    accepted = config.model_copy(update={"accepted": tuple(f"{r.study_id}: checked" for r in readings)})
    result = validate_dataset(workspace.dataset, workspace.root / "trial", accepted, readings=readings)
    assert result.success
    assert {(f.severity, "accepted by a person: checked" in f.message) for f in result.findings} == {("warning", True)}


def test_a_person_accepts_a_study_against_the_reader(poisoned):
    workspace, _, _ = poisoned
    wrong = sorted(excluded_by_reader(workspace))
    command = ["accept", wrong[0], "--reason", "looked at it", "-w", str(workspace.root)]
    assert CliRunner().invoke(plumbline, command).exit_code == 0
    assert read_params(workspace.params_file).validation.accepted == (f"{wrong[0]}: looked at it",)
    compute_step("dataset", workspace)
    assert wrong[0] in {e.study_id for e in read_manifest(workspace.dataset).examples()}
    assert excluded_by_reader(workspace) == set(wrong[1:])
    unknown = CliRunner().invoke(plumbline, ["accept", "nobody", "--reason", "x", "-w", str(workspace.root)])
    assert unknown.exit_code == 2 and "no study 'nobody'" in unknown.output


def test_nothing_is_read_without_a_reader_or_if_plumbline_has_drawn_the_studies(poisoned, monkeypatch):
    workspace, _, _ = poisoned
    assert readings_of(workspace, ValidationConfig(second_reader="none")) == ()
    manifest = read_manifest(workspace.dataset)
    drawn = (replace(e, source="virtual") for e in manifest.examples())
    write_manifest(workspace.dataset, manifest.landmark_set, manifest.split_seed, drawn)
    assert readings_of(workspace, ValidationConfig()) == ()

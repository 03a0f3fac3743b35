"""Corrections of a workspace: into the next dataset with their proposer's digest, never into or out of its test set."""

import json
from collections import Counter

import dagster as dg
import pytest
from click.testing import CliRunner

from orchestration.cli.corrections import corrections as corrections_command
from orchestration.dagster.resources import WorkspacePaths
from orchestration.dagster.sensors import enough_new_studies
from orchestration.pipeline.corrections import listed_corrections, waiting_corrections
from orchestration.pipeline.steps import compute_step
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.dataset import read_manifest
from spine.scanner import NATIVE_SPACING_MM
from spine.study import read_study
from tests.corrected_cases import PROPOSER, write_case
from tests.small_workspace import small_workspace
from validation.dataset.build import read_build_record
from validation.dataset.frozen_test_set import read_frozen

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*noload.*", "ignore::DeprecationWarning:mlflow")]
NEW = 12


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    """Virtual patients whom the workspace does not know."""
    folder = tmp_path_factory.mktemp("new")
    write_cohort(folder, CohortConfig(count=NEW, seed=77, shape=(512, 256), spacing_mm=float(NATIVE_SPACING_MM * 8)))
    return sorted(folder.glob("case-*"))


@pytest.fixture
def workspace(tmp_path, made_once):
    return small_workspace(tmp_path / "ws", made_once)


def rebuild(workspace):
    for step in ("studies", "landmarks", "dataset", "validation"):
        report = compute_step(step, workspace)
        if step == "studies":
            taken = report
    return taken, read_manifest(workspace.dataset)


def cases_by_split(workspace):
    """Split -> folders in the drop whose patient the dataset has in this split."""
    import pydicom

    from orchestration.pipeline.intake import VIRTUAL_KEY
    from spine.intake.pseudonym import pseudonym

    split = {e.patient: e.split for e in read_manifest(workspace.dataset).examples()}
    found = {"train": [], "validation": [], "test": []}
    for case in sorted(workspace.drop.glob("case-*")):
        patient = pydicom.dcmread(case / "frontal.dcm", stop_before_pixels=True).PatientID
        found[split["p" + pseudonym(VIRTUAL_KEY, "patient", f"dicom:{patient}")]].append(case)
    return found


def asked(workspace):
    with dg.DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}}) as instance:
        context = dg.build_sensor_context(instance=instance)
        return enough_new_studies(context, paths=WorkspacePaths(root=str(workspace.root)))


def test_twenty_corrections_reach_the_next_dataset_and_ask_for_a_retraining(workspace, patients):
    before, frozen = read_manifest(workspace.dataset), read_frozen(workspace.dataset)
    known = cases_by_split(workspace)
    corrected = known["train"][:8]
    for number, case in enumerate([*corrected, *patients], 1):
        if number == 20:
            assert isinstance(asked(workspace), dg.SkipReason)
        write_case(case, workspace.corrections, f"case-{number}")
    request = asked(workspace)
    assert isinstance(request, dg.RunRequest) and "20 new studies and corrections" in request.tags["plumbline/reason"]

    taken, after = rebuild(workspace)
    assert {n: taken.figures[f"corrections {n}"] for n in ("received", "used", "quarantined")} == {
        "received": 20, "used": 20, "quarantined": 0,
    }  # fmt: skip
    corrections = [e for e in after.examples() if e.source == "corrections"]
    assert len(corrections) == 20 and {e.facts["proposed_by"] for e in corrections} == {PROPOSER}
    assert {e.split for e in corrections} <= {"train", "validation"}
    assert (after.test_digest, read_frozen(workspace.dataset)) == (before.test_digest, frozen)
    assert after.count() == before.count() + NEW  # eight replace the labels of their study
    assert Counter(read_build_record(workspace.dataset).left_out.values()) == {"REVISED": 8}
    assert isinstance(asked(workspace), dg.SkipReason) and not waiting_corrections(workspace)
    assert all(each.used for each in listed_corrections(workspace))
    # A second run changes nothing.
    again, manifest = rebuild(workspace)
    assert again.figures["corrections already present"] == 20 and manifest.digest == after.digest


def test_reference_values_are_measured_from_the_corrected_points(workspace):
    case = cases_by_split(workspace)["train"][0]
    before = {e.views["frontal"].sha256: e for e in read_manifest(workspace.dataset).examples()}
    write_case(case, workspace.corrections, "case-1")
    _, manifest = rebuild(workspace)
    corrected = next(e for e in manifest.examples() if e.source == "corrections")
    reference = before[corrected.views["frontal"].sha256]
    for name, truth in reference.truth.items():
        if truth.value is not None:  # the true points, triangulated: the same values up to the depth of the margins
            assert corrected.truth[name].value == pytest.approx(truth.value, abs=1.5), name


def test_no_correction_enters_the_test_set_or_takes_a_study_out(workspace, patients):
    before = read_manifest(workspace.dataset)
    for number, case in enumerate(cases_by_split(workspace)["test"][:3], 1):
        write_case(case, workspace.corrections, f"test-{number}")
    write_case(patients[0], workspace.corrections, "new-1")
    _, after = rebuild(workspace)
    assert after.test_digest == before.test_digest
    left_out = Counter(read_build_record(workspace.dataset).left_out.values())
    assert left_out == {"CORRECTION_OF_TEST_SET": 3}
    assert sum("in the frozen test set" in each.state for each in listed_corrections(workspace)) == 3

    params = workspace.params_file.read_text()
    workspace.params_file.write_text(
        params.replace("new_test_version: false", "new_test_version: true").replace(
            "test_patients: 8", "test_patients: 9"
        )
    )
    _, wider = rebuild(workspace)
    assert {e.study_id for e in before.in_split("test")} <= {e.study_id for e in wider.in_split("test")}
    assert all(e.source != "corrections" for e in wider.in_split("test"))


def test_weights_weak_evidence_rejections_and_faults(workspace, patients):
    known = cases_by_split(workspace)["train"]
    write_case(patients[0], workspace.corrections, "accepted-new", "accepted")
    write_case(known[0], workspace.corrections, "accepted-known", "accepted")
    write_case(patients[1], workspace.corrections, "annotated", "annotated")
    write_case(patients[2], workspace.corrections, "rejected", "rejected", reason="<b>not a spine</b>")
    write_case(patients[3], workspace.corrections, "damaged")
    (workspace.corrections / "damaged" / "lateral.dcm").write_bytes(b"another file")
    write_case(patients[4], workspace.corrections, "unreadable")
    (workspace.corrections / "unreadable" / "record-0002.json").write_text("{" * 100_000)
    taken, manifest = rebuild(workspace)
    counts = {
        name: taken.figures[f"corrections {name}"]
        for name in ("received", "used", "waiting", "quarantined", "rejected by a person")
    }
    assert counts == {"received": 6, "used": 3, "waiting": 0, "quarantined": 2, "rejected by a person": 1}
    weights = {e.facts["decision"]: e.label_weight for e in manifest.examples() if e.source == "corrections"}
    assert weights == {"accepted": 0.25, "annotated": 1.0}
    assert all(e.split == "train" for e in manifest.examples() if e.label_weight < 1)
    states = {each.case: each.state for each in listed_corrections(workspace)}
    assert "stronger labels" in states["accepted-known"] and "rejected" in states["rejected"]
    assert "CORRECTION_FILE_DIFFERS" in states["damaged"] and "cannot be read" in states["unreadable"]
    shown = CliRunner().invoke(corrections_command, ["-w", str(workspace.root)])
    assert shown.exit_code == 0 and "corrections: 6, used in the present dataset: 2" in shown.output


def test_a_correction_that_is_rejected_later_gives_the_former_labels_back(workspace):
    case = cases_by_split(workspace)["train"][0]
    before = read_manifest(workspace.dataset)
    write_case(case, workspace.corrections, "case-1")
    _, corrected = rebuild(workspace)
    assert corrected.digest != before.digest
    write_case(case, workspace.corrections, "case-1", "rejected", reason="the wrong patient")
    _, after = rebuild(workspace)
    assert after.digest == before.digest
    assert list(read_build_record(workspace.dataset).left_out.values()) == ["CORRECTION_WITHDRAWN"]


def test_the_store_and_the_index_name_no_case_and_no_person(workspace, patients):
    write_case(patients[0], workspace.corrections, "Miller-Anna-1950", who="Dr Smith", reason="call Anna")
    rebuild(workspace)
    study = next(s for s in map(read_study, workspace.studies.glob("*/")) if s.source == "corrections")
    texts = [json.dumps(dict(study.facts)), (workspace.state / "corrections.json").read_text()]
    texts += [(workspace.reports / "studies.json").read_text(), (workspace.dataset / "manifest.json").read_text()]
    assert not any(word in text for word in ("Miller", "Smith", "Anna") for text in texts)


def test_a_correction_of_one_view_keeps_the_other(workspace):
    case = cases_by_split(workspace)["train"][0]
    before = {e.views["frontal"].sha256: e for e in read_manifest(workspace.dataset).examples()}
    write_case(case, workspace.corrections, "case-1", chosen=("lateral",))
    taken, manifest = rebuild(workspace)
    assert taken.figures["corrections used"] == 1
    corrected = next(e for e in manifest.examples() if e.source == "corrections")
    former = before[corrected.views["frontal"].sha256]
    assert former.study_id not in {e.study_id for e in manifest.examples()}
    for name, xy in former.views["frontal"].points.items():
        assert corrected.views["frontal"].points[name] == pytest.approx(xy)

"""Cohorts on disk: written files, restarts, changes of configuration, refused folders."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from simulation.cohort import patient_folder
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import COMPLETE, UNFINISHED, CohortConfig
from simulation.cohort.patient_writer import write_case
from simulation.imaging.render import render_views
from simulation.population.sampling import sample_patient
from simulation.stream.patients import PosedPatients
from simulation.stream.stream_config import StreamConfig
from spine.errors import ParametersRejected
from spine.intake.ingest import ingest
from spine.intake.sources import open_source
from spine.reconstruction.open import read_any_reconstruction
from spine.reconstruction.plumbline_json import read_reconstruction
from spine.scanner import NATIVE_SPACING_MM
from spine.storage import sha256_of_file, sha256_of_tree
from spine.study import iterate_study_folders, read_study
from spine.work import LocalWork

SMALL = CohortConfig(count=3, seed=5, shape=(128, 64), spacing_mm=NATIVE_SPACING_MM * 32)
READABLE = replace(SMALL, shape=(288, 144), spacing_mm=NATIVE_SPACING_MM * 12)
"""With pixels that are small enough for intake."""
WITH_EXTRAS = replace(READABLE, extras=("markups", "meshes"), mesh_format="stl")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    calls: list[tuple[int, int]] = []
    summary = write_cohort(folder, SMALL, lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert (summary.requested, summary.written, summary.kept) == (3, 3, 0)
    assert sum(summary.conditions.values()) == sum(summary.fields.values()) == 3
    return folder


def copy_of(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "copy"))


def assert_refused(folder: Path, config: CohortConfig, first: str) -> None:
    """The folder is refused because of a file that no cohort wrote, and nothing in it is changed."""
    before = sha256_of_tree(folder)
    with pytest.raises(ParametersRejected, match=rf"COHORT_FOLDER_TAKEN.*the first is {first}"):
        write_cohort(folder, config)
    assert sha256_of_tree(folder) == before


def test_a_case_has_two_simulated_views_and_a_matching_reconstruction(written: Path) -> None:
    cases = sorted(p for p in written.iterdir() if p.is_dir())
    assert [c.name for c in cases] == ["case-00000", "case-00001", "case-00002"]
    uids = set()
    for index, case in enumerate(cases):
        assert sorted(p.name for p in case.iterdir()) == [COMPLETE, "frontal.dcm", "lateral.dcm", "reconstruction.json"]
        reconstruction = read_reconstruction(case / "reconstruction.json")
        assert reconstruction.facts["condition"] == sample_patient(SMALL.case_seed(index)).condition
        views = {v: pydicom.dcmread(case / f"{v}.dcm") for v in ("frontal", "lateral")}
        for view, ds in views.items():
            assert ds.Manufacturer == "VIRTUAL COHORT"
            assert (ds.Rows, ds.Columns) == reconstruction.geometry[view].shape
            assert ds.PatientID == reconstruction.subject_id
            assert ds.SOPInstanceUID.startswith("2.25.")
            assert pydicom.uid.UID(ds.SOPInstanceUID).is_valid
            uids |= {ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.StudyInstanceUID}
        assert views["frontal"].StudyInstanceUID == views["lateral"].StudyInstanceUID
    assert len(uids) == 3 * 5
    assert json.loads((written / COMPLETE).read_text())["count"] == 3


@pytest.mark.slow
def test_the_same_configuration_gives_the_same_bytes_with_any_number_of_workers(written: Path, tmp_path: Path) -> None:
    write_cohort(tmp_path / "again", SMALL, work=LocalWork(2))
    assert sha256_of_tree(tmp_path / "again") == sha256_of_tree(written)


def test_a_finished_cohort_is_kept(written: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in written.rglob("*")}
    summary = write_cohort(written, SMALL)
    assert (summary.written, summary.kept, summary.replaced, summary.removed) == (0, 3, 0, 0)
    assert {p: p.stat().st_mtime_ns for p in written.rglob("*")} == before


def test_an_interrupted_run_continues_where_it_stopped(tmp_path: Path, written: Path, monkeypatch) -> None:
    """The second case stops between its files. It does not look complete, and a second run finishes it."""
    calls = []

    def dying(patient, geometry, seed, family):
        calls.append(seed)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return render_views(patient, geometry, seed, family)

    monkeypatch.setattr("simulation.cohort.patient_writer.render_views", dying)
    with pytest.raises(KeyboardInterrupt):
        write_cohort(tmp_path, SMALL)
    assert (tmp_path / "case-00000" / COMPLETE).exists()
    assert not (tmp_path / "case-00001" / COMPLETE).exists()
    assert not (tmp_path / COMPLETE).exists()
    monkeypatch.setattr("simulation.cohort.patient_writer.render_views", render_views)
    left = tmp_path / ".plumbline-attempts" / "killed"
    left.mkdir(parents=True)
    (left / "frontal.dcm").write_bytes(b"half")
    summary = write_cohort(tmp_path, SMALL)
    assert (summary.written, summary.kept) == (2, 1)
    assert sha256_of_tree(tmp_path) == sha256_of_tree(written)


def test_two_attempts_at_one_case_are_harmless(written: Path, tmp_path: Path, monkeypatch) -> None:
    """The second attempt, of a machine that was cut off, renders while the first one finishes the case."""
    first: list[int] = []

    def overtaken(patient, geometry, seed, family):
        if not first:
            first.append(seed)
            write_case(tmp_path, SMALL, 1)
            times.update({path: path.stat().st_mtime_ns for path in (tmp_path / "case-00001").iterdir()})
        return render_views(patient, geometry, seed, family)

    times: dict[Path, int] = {}
    monkeypatch.setattr("simulation.cohort.patient_writer.render_views", overtaken)
    write_case(tmp_path, SMALL, 1)
    assert len(times) == 4
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "case-00001").iterdir()} == times
    assert sha256_of_tree(tmp_path / "case-00001") == sha256_of_tree(written / "case-00001")
    assert not any((tmp_path / ".plumbline-attempts").iterdir())


def test_an_attempt_that_writes_after_the_end_changes_nothing(written: Path, tmp_path: Path) -> None:
    folder = copy_of(written, tmp_path)
    write_case(folder, SMALL, 2)
    write_cohort(folder, SMALL)
    assert sha256_of_tree(folder) == sha256_of_tree(written)


def test_a_full_disk_leaves_no_case_that_looks_complete(tmp_path: Path, monkeypatch) -> None:
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(patient_folder, "write_text_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        write_cohort(tmp_path, SMALL)
    assert not list(tmp_path.rglob(COMPLETE))


def test_a_larger_count_adds_cases_and_a_smaller_one_removes_them(written: Path, tmp_path: Path) -> None:
    folder = copy_of(written, tmp_path)
    kept = sha256_of_file(folder / "case-00001" / "frontal.dcm")
    summary = write_cohort(folder, replace(SMALL, count=4))
    assert (summary.written, summary.kept) == (1, 3)
    (folder / "notes.txt").write_text("mine")
    summary = write_cohort(folder, replace(SMALL, count=2))
    assert (summary.written, summary.kept, summary.removed) == (0, 2, 2)
    assert sorted(p.name for p in folder.iterdir()) == [COMPLETE, "case-00000", "case-00001", "notes.txt"]
    assert sha256_of_file(folder / "case-00001" / "frontal.dcm") == kept
    assert json.loads((folder / COMPLETE).read_text())["count"] == 2


def test_another_configuration_replaces_the_cases(written: Path, tmp_path: Path) -> None:
    folder = copy_of(written, tmp_path)
    before = sha256_of_file(folder / "case-00000" / "frontal.dcm")
    summary = write_cohort(folder, replace(SMALL, seed=6))
    assert (summary.written, summary.kept, summary.replaced) == (3, 0, 3)
    assert sha256_of_file(folder / "case-00000" / "frontal.dcm") != before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"count": 0}, "count = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"shape": (64, 64)}, "image height 367 mm"),
        ({"spacing_mm": float("nan")}, "image height nan"),
        ({"shape": (128, 8)}, "image width 46 mm"),
        ({"appearance": "sepia"}, "appearance 'sepia'"),
        ({"extras": ("markups", "movies")}, "extras 'movies'"),
        ({"extras": ("meshes",), "mesh_format": "ply"}, "mesh_format 'ply'"),
        ({"patient_motion_mm": -1.0}, r"patient_motion_mm = -1 \(allowed 0 to 20\)"),
        ({"patient_motion_mm": float("nan")}, "(?s)patient_motion_mm = nan.*correct the named values"),
        ({"count": 0, "patient_motion_mm": 30.0}, "count = 0; patient_motion_mm = 30"),
    ],
)
def test_impossible_cohorts_are_refused(change: dict, named: str) -> None:
    with pytest.raises(ParametersRejected, match=named):
        replace(SMALL, **change)


def test_options_enter_the_fingerprint_only_when_they_are_set() -> None:
    plain = SMALL.fingerprint
    assert replace(SMALL, extras=(), patient_motion_mm=0.0, mesh_format="stl").fingerprint == plain
    extras = (("markups",), ("meshes",), ("markups", "meshes"))
    changes: list[dict[str, Any]] = [{"extras": names} for names in extras]
    changes += [{"patient_motion_mm": sd} for sd in (2.0, 2.5)]
    changes.append({"extras": ("meshes",), "mesh_format": "stl"})
    others = [replace(SMALL, **change).fingerprint for change in changes]
    assert len({plain, *others}) == 7
    assert replace(SMALL, extras=("meshes", "markups")).fingerprint == others[2]


@pytest.fixture(scope="module")
def with_extras(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("extras")
    write_cohort(folder, WITH_EXTRAS)
    return folder


def test_extras_do_not_change_the_images(with_extras: Path, tmp_path: Path) -> None:
    for index in range(3):
        write_case(tmp_path, READABLE, index)
        plain, case = tmp_path / f"case-{index:05d}", with_extras / f"case-{index:05d}"
        reconstruction = read_reconstruction(case / "reconstruction.json")
        assert sha256_of_file(case / "reconstruction.json") == sha256_of_file(plain / "reconstruction.json")
        assert (dicom(case, "lateral").pixel_array == dicom(plain, "lateral").pixel_array).all()
        assert sorted(p.name for p in (case / "extras").iterdir()) == ["meshes", "reconstruction.mrk.json"]
        markups = read_any_reconstruction(case / "extras" / "reconstruction.mrk.json")
        assert set(markups.points) == set(reconstruction.points)
        assert all((markups.points[n] == p).all() for n, p in reconstruction.points.items())
        meshes = {p.name for p in (case / "extras" / "meshes").iterdir()}
        levels = {n.removesuffix("_body") for n in reconstruction.points if n.endswith("_body")}
        assert {f"{level}.stl" for level in levels} | {"sacrum.stl", "rib_7_left.stl", "hip_right.stl"} < meshes


def test_intake_accepts_a_case_with_extras_as_one_study(with_extras: Path, tmp_path: Path) -> None:
    report = ingest(
        open_source("virtual", with_extras), tmp_path / "s" / "studies", tmp_path / "q", pseudonym_key=bytes(range(32))
    )
    assert (report.received, report.used, report.quarantined) == (3, 3, ())
    for folder in iterate_study_folders(tmp_path / "s" / "studies"):
        study = read_study(folder)
        assert set(study.views) == {"frontal", "lateral"}
        assert study.reconstruction is not None
        assert study.reconstruction.source_format == "plumbline-json"
        assert study.facts["anatomy"] in ("standard", "six_lumbar", "four_lumbar", "thirteen_thoracic")


def test_a_second_reconstruction_elsewhere_is_still_ambiguous(with_extras: Path, tmp_path: Path) -> None:
    folder = copy_of(with_extras, tmp_path)
    (folder / "case-00000" / "other").mkdir()
    markups = folder / "case-00000" / "extras" / "reconstruction.mrk.json"
    markups.rename(folder / "case-00000" / "other" / "reconstruction.mrk.json")
    (folder / "case-00001" / "reconstruction.json").unlink()
    report = ingest(open_source("virtual", folder), tmp_path / "s" / "t", tmp_path / "q", pseudonym_key=bytes(32))
    assert [(q.position, q.code) for q in report.quarantined] == [(1, "RECONSTRUCTION_AMBIGUOUS")]
    formats = [read_study(f).reconstruction.source_format for f in iterate_study_folders(tmp_path / "s" / "t")]
    assert sorted(formats) == ["plumbline-json", "slicer-mrk-json"]


def test_extras_that_are_not_requested_are_deleted_and_other_files_stay(with_extras: Path, tmp_path: Path) -> None:
    folder = copy_of(with_extras, tmp_path)
    (folder / "case-00002" / "extras" / "mine.txt").write_text("mine")
    assert write_cohort(folder, READABLE).replaced == 3
    assert not (folder / "case-00001" / "extras").exists()
    assert sorted(p.name for p in (folder / "case-00002" / "extras").iterdir()) == ["mine.txt"]
    assert write_cohort(folder, READABLE).kept == 3


def test_surplus_cases_are_deleted_with_their_extras_and_other_files_stay(with_extras: Path, tmp_path: Path) -> None:
    folder = copy_of(with_extras, tmp_path)
    (folder / "case-00002" / "extras" / "notes.txt").write_text("mine")
    assert write_cohort(folder, replace(WITH_EXTRAS, count=1)).removed == 2
    assert sorted(p.name for p in folder.iterdir()) == [COMPLETE, "case-00000", "case-00002"]
    assert not (folder / "case-00002" / COMPLETE).exists()
    assert (folder / "case-00002" / "extras" / "notes.txt").read_text() == "mine"


def test_the_rest_of_a_surplus_case_is_foreign_and_stops_a_larger_cohort(with_extras: Path, tmp_path: Path) -> None:
    folder = copy_of(with_extras, tmp_path)
    (folder / "case-00002" / "notes.txt").write_text("mine")
    write_cohort(folder, replace(WITH_EXTRAS, count=1))
    assert [p.name for p in (folder / "case-00002").iterdir()] == ["notes.txt"]
    assert_refused(folder, WITH_EXTRAS, "case-00002")


def test_folders_that_no_cohort_wrote_are_not_changed(tmp_path: Path) -> None:
    """Inside the count they are refused before anything is rendered; beyond it they are ignored."""
    mine = tmp_path / "case-00001" / "frontal.dcm"
    beyond = tmp_path / "case-00007" / "frontal.dcm"
    for path in (mine, beyond, tmp_path / "case-00001" / COMPLETE):
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    assert_refused(tmp_path, SMALL, "case-00001")
    assert write_cohort(tmp_path, replace(SMALL, count=1)).removed == 0
    assert mine.read_text() == beyond.read_text() == "mine"


@pytest.mark.slow
def test_a_mesh_of_somebody_else_survives_a_replacement(with_extras: Path, tmp_path: Path) -> None:
    folder = copy_of(with_extras, tmp_path)
    mine = folder / "case-00000" / "extras" / "meshes" / "mine.stl"
    mine.write_text("mine")
    write_cohort(folder, replace(WITH_EXTRAS, mesh_format="obj"))
    assert [p.name for p in mine.parent.glob("*.stl")] == ["mine.stl"]


def test_a_mesh_of_somebody_else_survives_an_interrupted_run(with_extras: Path, tmp_path: Path) -> None:
    folder = copy_of(with_extras, tmp_path)
    case = folder / "case-00000"
    (case / COMPLETE).rename(case / UNFINISHED)
    lines = [WITH_EXTRAS.fingerprint, *(f"0 {name}" for name in patient_folder.planned_files(WITH_EXTRAS))]
    (case / UNFINISHED).write_text("\n".join(lines) + "\n")
    mine, left = case / "extras" / "meshes" / "mine.obj", case / "extras" / "meshes" / ".L3.stl.x.partial"
    mine.write_text("mine")
    left.write_text("half")
    assert write_cohort(folder, WITH_EXTRAS).written == 1
    assert mine.read_text() == "mine"
    assert not left.exists()
    mine.unlink()
    assert sha256_of_tree(folder) == sha256_of_tree(with_extras)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"extras": ("markups",)}, "extras/reconstruction.mrk.json"),
        ({"extras": ("meshes",)}, "extras/meshes/L3.obj"),
    ],
)
def test_files_of_somebody_else_in_place_of_extras_are_not_overwritten(
    written: Path, tmp_path: Path, change: dict, name: str
) -> None:
    folder = copy_of(written, tmp_path)
    mine = folder / "case-00001" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert_refused(folder, replace(SMALL, **change), f"case-00001/{name}")


@pytest.mark.parametrize("content", [b"my notes", b"", b"\xff\xfe", b"[1]", b'{"schema": "mine/1"}'])
def test_a_file_with_the_name_of_the_marker_is_not_overwritten(written: Path, tmp_path: Path, content: bytes) -> None:
    folder = copy_of(written, tmp_path)
    (folder / COMPLETE).write_bytes(content)
    assert_refused(folder, SMALL, COMPLETE)


def test_partial_files_of_other_programs_stay(written: Path, tmp_path: Path) -> None:
    folder = copy_of(written, tmp_path)
    others = [folder / ".download.partial", folder / "mine" / ".frontal.dcm.x.partial"]
    (folder / "mine").mkdir()
    for path in others:
        path.write_text("half")
    left = folder / f".{COMPLETE}.x.partial"
    left.write_text("half")
    assert write_cohort(folder, replace(SMALL, count=2)).kept == 2
    assert all(path.exists() for path in others)
    assert not left.exists()


def test_a_case_that_stopped_before_its_first_marker_is_rendered(written: Path, tmp_path: Path) -> None:
    folder = copy_of(written, tmp_path)
    case = folder / "case-00003"
    case.mkdir()
    (case / f".{UNFINISHED}.x.partial").write_text("")
    assert write_cohort(folder, replace(SMALL, count=4), may_replace=False).written == 1
    assert len(list(case.iterdir())) == 4


def test_a_link_is_not_a_case(written: Path, tmp_path: Path) -> None:
    folder, elsewhere = copy_of(written, tmp_path), tmp_path / "elsewhere"
    (folder / "case-00002").rename(elsewhere)
    (folder / "case-00002").symlink_to(elsewhere)
    with pytest.raises(ParametersRejected, match="the first is case-00002"):
        write_cohort(folder, SMALL)
    assert write_cohort(folder, replace(SMALL, count=2)).removed == 0
    assert len(list(elsewhere.iterdir())) == 4


@pytest.mark.parametrize("name", ["../mine.txt", "extras/../../mine.txt", "/mine.txt"])
def test_a_marker_that_names_files_elsewhere_is_not_a_marker(written: Path, tmp_path: Path, name: str) -> None:
    folder = copy_of(written, tmp_path)
    (folder / "mine.txt").write_text("mine")
    marker = folder / "case-00002" / COMPLETE
    marker.write_text(marker.read_text() + f"4 {name}\n")
    assert write_cohort(folder, replace(SMALL, count=2)).removed == 0
    assert (folder / "mine.txt").read_text() == "mine"


def test_a_marker_that_names_no_files_protects_them(written: Path, tmp_path: Path) -> None:
    folder = copy_of(written, tmp_path)
    marker = folder / "case-00001" / COMPLETE
    marker.write_text(marker.read_text().splitlines()[0] + "\n")
    assert_refused(folder, SMALL, "case-00001")


@pytest.mark.parametrize("change", [{"seed": 6}, {"count": 2}, {"extras": ("markups",)}])
def test_finished_patients_are_deleted_only_if_allowed(written: Path, tmp_path: Path, change: dict) -> None:
    folder = copy_of(written, tmp_path)
    before = sha256_of_tree(folder)
    with pytest.raises(ParametersRejected, match=r"COHORT_WOULD_REPLACE.*[13] finished patients.*--replace"):
        write_cohort(folder, replace(SMALL, **change), may_replace=False)
    assert sha256_of_tree(folder) == before
    assert write_cohort(folder, replace(SMALL, count=4), may_replace=False).kept == 3
    assert write_cohort(folder, replace(SMALL, **change)).requested == (2 if "count" in change else 3)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (Path.unlink, "lateral.dcm"),
        (truncate, "frontal.dcm"),
        (truncate, "reconstruction.json"),
        (Path.unlink, "extras/reconstruction.mrk.json"),
        (shutil.rmtree, "extras/meshes"),
    ],
)
def test_a_damaged_case_is_rendered_again(with_extras: Path, tmp_path: Path, damage, name: str) -> None:
    folder = copy_of(with_extras, tmp_path)
    damage(folder / "case-00001" / name)
    assert write_cohort(folder, WITH_EXTRAS).written == 1
    assert sha256_of_tree(folder) == sha256_of_tree(with_extras)


def test_patient_motion_changes_only_the_lateral_image_and_is_recorded(written: Path, tmp_path: Path) -> None:
    config = replace(SMALL, patient_motion_mm=6.0)
    write_cohort(tmp_path, config)
    draws = []
    for index in range(3):
        still, moved = written / f"case-{index:05d}", tmp_path / f"case-{index:05d}"
        before, after = (read_reconstruction(c / "reconstruction.json") for c in (still, moved))
        assert after.facts == {**before.facts, "patient_motion_mm": after.facts["patient_motion_mm"]}
        assert all((after.points[n] == p).all() for n, p in before.points.items())
        assert (dicom(still, "frontal").pixel_array == dicom(moved, "frontal").pixel_array).all()
        assert (dicom(still, "lateral").pixel_array != dicom(moved, "lateral").pixel_array).mean() > 0.2
        draws.append(after.facts["patient_motion_mm"])
    assert np.shape(draws) == (3, 3)
    assert 2.0 < np.std(draws) < 12.0
    assert json.loads((tmp_path / COMPLETE).read_text())["patient_motion_mm"] == 6.0


def dicom(case: Path, view: str):
    return pydicom.dcmread(case / f"{view}.dcm")


def test_a_case_is_the_patient_of_a_stream_of_the_same_seed() -> None:
    posed = PosedPatients(StreamConfig(seed=SMALL.seed, count=3, shape=SMALL.shape, spacing_mm=SMALL.spacing_mm))
    assert [posed[i].facts["seed"] for i in range(3)] == [SMALL.case_seed(i) for i in range(3)]


def test_whole_body_images_show_more_with_larger_pixels(tmp_path: Path) -> None:
    index = next(i for i in range(200) if sample_patient(SMALL.case_seed(i)).field_of_view == "whole_body")
    write_case(tmp_path, SMALL, index)
    reconstruction = read_reconstruction(tmp_path / f"case-{index:05d}" / "reconstruction.json")
    geometry = reconstruction.geometry["frontal"]
    assert geometry.shape == SMALL.shape
    assert geometry.spacing_mm[0] > 1.5 * SMALL.spacing_mm
    rows = geometry.project(np.stack(list(reconstruction.points.values())))[:, 1]
    assert rows.min() > 0.12 * SMALL.shape[0], "the head is above T1"
    assert rows.max() < 0.75 * SMALL.shape[0], "legs are below the hips"


@pytest.mark.slow
def test_the_appearance_is_the_scanners_unless_all_families_are_requested(written: Path, tmp_path: Path) -> None:
    plain = [read_reconstruction(case / "reconstruction.json").facts["appearance"] for case in written.glob("case-*")]
    assert set(plain) == {"scanner"}
    mixed = replace(SMALL, count=12, appearance="mixed")
    assert mixed.fingerprint != replace(SMALL, count=12).fingerprint
    write_cohort(tmp_path, mixed)
    found = [read_reconstruction(case / "reconstruction.json").facts["appearance"] for case in tmp_path.glob("case-*")]
    assert len(set(found)) > 1

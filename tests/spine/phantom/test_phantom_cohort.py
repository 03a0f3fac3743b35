"""Cohorts on disk: what is written, restarts, changes of configuration, refusals."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from spine.errors import ParametersRejected
from spine.phantom import cohort as module
from spine.phantom.cohort import COMPLETE, CohortConfig, write_cohort
from spine.phantom.population import sample_patient
from spine.reconstruction.plumbline_json import read_reconstruction
from spine.scanner import NATIVE_SPACING_MM
from spine.storage import sha256_of_file, sha256_of_tree

SMALL = CohortConfig(count=3, seed=5, shape=(128, 64), spacing_mm=NATIVE_SPACING_MM * 32)


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
    import shutil

    return Path(shutil.copytree(written, tmp_path / "copy"))


def test_a_case_holds_two_simulated_views_and_a_reconstruction_that_agree(written: Path) -> None:
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


def test_the_same_configuration_gives_the_same_bytes_with_any_number_of_workers(written: Path, tmp_path: Path) -> None:
    write_cohort(tmp_path / "again", replace(SMALL, workers=2))
    assert sha256_of_tree(tmp_path / "again") == sha256_of_tree(written)


def test_a_finished_cohort_is_kept(written: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in written.rglob("*")}
    summary = write_cohort(written, SMALL)
    assert (summary.written, summary.kept, summary.replaced, summary.removed) == (0, 3, 0, 0)
    assert {p: p.stat().st_mtime_ns for p in written.rglob("*")} == before


def test_a_run_killed_midway_continues_where_it_stopped(tmp_path: Path, written: Path, monkeypatch) -> None:
    """The second case dies between its files; nothing of it looks whole, and a re-run finishes it."""
    from spine.phantom import render

    real, calls = render.render_views, []

    def dying(patient, geometry, seed):
        calls.append(seed)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(patient, geometry, seed)

    monkeypatch.setattr(render, "render_views", dying)
    with pytest.raises(KeyboardInterrupt):
        write_cohort(tmp_path, SMALL)
    assert (tmp_path / "case-00000" / COMPLETE).exists()
    assert not (tmp_path / "case-00001" / COMPLETE).exists()
    assert not (tmp_path / COMPLETE).exists()
    monkeypatch.setattr(render, "render_views", real)
    (tmp_path / "case-00001" / ".frontal.dcm.x.partial").write_bytes(b"half")
    summary = write_cohort(tmp_path, SMALL)
    assert (summary.written, summary.kept) == (2, 1)
    assert sha256_of_tree(tmp_path) == sha256_of_tree(written)


def test_a_full_disk_leaves_no_case_that_looks_whole(tmp_path: Path, monkeypatch) -> None:
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_text_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        write_cohort(tmp_path, SMALL)
    assert not list(tmp_path.rglob(COMPLETE))


def test_a_case_with_a_lost_file_is_drawn_again(written: Path, tmp_path: Path) -> None:
    folder = copy_of(written, tmp_path)
    (folder / "case-00001" / "lateral.dcm").unlink()
    assert write_cohort(folder, SMALL).written == 1
    assert sha256_of_tree(folder) == sha256_of_tree(written)


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


def test_another_configuration_is_noticed_and_replaces_the_cases(written: Path, tmp_path: Path) -> None:
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
        ({"workers": 0}, "workers = 0"),
        ({"shape": (64, 64)}, "picture height 367 mm"),
        ({"spacing_mm": float("nan")}, "picture height nan"),
        ({"shape": (128, 8)}, "picture width 46 mm"),
    ],
)
def test_impossible_cohorts_are_refused(change: dict, named: str) -> None:
    with pytest.raises(ParametersRejected, match=named):
        replace(SMALL, **change)


def test_case_seeds_differ_between_cohorts_and_cases() -> None:
    seeds = {CohortConfig(1, s).case_seed(i) for s in range(20) for i in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= s < 2**63 for s in seeds)
    assert len({np.int64(s) for s in seeds}) == 1000

import errno
import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from spine.errors import ContractViolation, LabelsRejected, PlumblineError
from spine.intake import study_store
from spine.intake.folder_candidate import FolderCandidate
from spine.intake.ingest import ingest
from spine.intake.intake_ledger import intake_folder
from spine.intake.intake_report import IntakeReport
from spine.intake.sources import open_source
from spine.study import iterate_study_folders, read_study
from tests.spine.intake.constructed_studies import KEY, cohort, image, places, points, snapshot, write_study


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


class Place:
    """A drop, a store and a quarantine."""

    def __init__(self, root):
        self.drop, self.store, self.quarantine = root / "drop", root / "work" / "studies", root / "work" / "quarantine"
        self.drop.mkdir()

    def ingest(self, kind="folder", **options):
        return ingest(open_source(kind, self.drop), self.store, self.quarantine, pseudonym_key=KEY, **options)

    def counts(self, **options):
        report = self.ingest(**options)
        return report.received, report.used, report.already_present, [q.code for q in report.quarantined]

    def in_a_process(self, code, *arguments):
        """A started process with the three folders and further arguments in ``sys.argv``."""
        command = [sys.executable, "-c", code, self.drop, self.store, self.quarantine, *arguments]
        return subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)

    def studies(self):
        return [read_study(folder) for folder in iterate_study_folders(self.store)]


def test_a_study_arrives_whole(place):
    write_study(place.drop / "anything", 3)
    report = place.ingest()
    assert (report.received, report.used, report.already_present, report.quarantined) == (1, 1, 0, ())
    (study,) = place.studies()
    assert report.study_ids == (study.study_id,)
    assert study.source == "folder"
    assert study.facts == {"simulated": True, "condition": "normal"}
    assert set(study.reconstruction.points) == set(points())
    assert study.reconstruction.subject_id == study.patient
    for name, view in study.views.items():
        assert view.geometry == places()[name]
        stored = np.load(place.store / study.study_id / view.image)
        np.testing.assert_array_equal(stored, image(places()[name], points(3), 3))


def test_counts_add_up_and_bad_studies_do_not_stop_the_batch(place):
    cohort(place.drop, 4)
    (place.drop / "case-002" / "lateral.dcm").write_bytes(b"")
    (place.drop / "case-003" / "reconstruction.json").write_text("{")
    progress = []
    report = place.ingest(progress=lambda done, total: progress.append((done, total)))
    assert (report.received, report.used, report.already_present) == (4, 2, 0)
    assert [(q.position, q.code) for q in report.quarantined] == [(2, "EMPTY_FILE"), (3, "JSON_INVALID")]
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for refused in report.quarantined:
        folder = place.quarantine / refused.key
        reason = json.loads((folder / "reason.json").read_text())
        assert reason["code"] == refused.code
        assert sorted(p.name for p in folder.iterdir()) == sorted([*reason["files"], "reason.json"])
    assert (place.quarantine / report.quarantined[1].key / "002.json").read_text() == "{"


def test_a_second_run_changes_nothing_and_reads_nothing(place, monkeypatch):
    cohort(place.drop, 3)
    (place.drop / "case-002" / "lateral.dcm").write_bytes(b"")
    first = place.ingest()
    before = snapshot(place.store.parent)
    monkeypatch.setattr("spine.intake.staging.load_candidate", lambda _: pytest.fail("read again"))
    second = place.ingest()
    assert (second.received, second.used, second.already_present) == (3, 0, 2)
    assert second.quarantined == first.quarantined
    assert snapshot(place.store.parent) == before


@pytest.mark.parametrize("kept", [None, slice(-40)])
def test_a_lost_or_torn_index_changes_nothing(place, kept):
    cohort(place.drop, 3)
    place.ingest()
    before, index = snapshot(place.store), intake_folder(place.store) / "ledger.jsonl"
    if kept is None:
        shutil.rmtree(index.parent)
    else:
        index.write_bytes(index.read_bytes()[kept])
    assert place.counts() == (3, 0, 3, [])
    assert snapshot(place.store) == before
    assert len(index.read_text().splitlines()) == 3


def test_a_study_removed_from_the_store_comes_back(place):
    cohort(place.drop, 2)
    report = place.ingest()
    shutil.rmtree(place.store / report.study_ids[0])
    assert place.counts() == (2, 1, 1, [])


# --- duplicates


def test_the_same_study_in_two_folders_counts_once(place):
    write_study(place.drop / "a", 1)
    write_study(place.drop / "b", 1)
    assert place.counts() == (2, 1, 1, [])


FRONTAL, LATERAL = ("frontal",), ("lateral",)


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ({"views": FRONTAL}, {"seed": 1, "views": FRONTAL, "patient_id": "other"}, "DUPLICATE_IMAGE"),
        ({"views": FRONTAL}, {"seed": 1, "views": FRONTAL, "sop_uid": "2.25.999"}, "DUPLICATE_IMAGE"),
        ({}, {"seed": 1, "views": LATERAL, "sop_uid": "2.25.77"}, "DUPLICATE_IMAGE"),
        ({"views": FRONTAL}, {"seed": 2, "views": FRONTAL, "sop_uid": "2.25.1003"}, "UID_CONFLICT"),
    ],
)
def test_known_pixels_under_other_identifiers_and_a_known_uid_on_other_pixels_are_refused(place, first, second, code):
    write_study(place.drop / "a", 1, **first)
    write_study(place.drop / "b", **second)
    assert place.counts() == (2, 1, 0, [code])


def test_a_duplicate_is_accepted_after_the_other_is_removed(place):
    write_study(place.drop / "a", 1)
    write_study(place.drop / "b", 1, patient_id="other")
    first = place.ingest()
    assert [q.code for q in first.quarantined] == ["DUPLICATE_IMAGE"]
    shutil.rmtree(place.store / first.study_ids[0])
    shutil.rmtree(place.drop / "a")
    assert place.counts() == (1, 1, 0, [])
    assert list(place.quarantine.iterdir()) == []


def test_a_corrected_study_leaves_quarantine(place):
    write_study(place.drop / "a", 1)
    good = (place.drop / "a" / "lateral.dcm").read_bytes()
    (place.drop / "a" / "lateral.dcm").write_bytes(good[:5000])
    assert place.counts() == (1, 0, 0, ["TRUNCATED"])
    (place.drop / "a" / "lateral.dcm").write_bytes(good)
    assert place.counts() == (1, 1, 0, [])
    assert list(place.quarantine.iterdir()) == []


# --- faults


def test_a_failing_reader_costs_one_study_and_quotes_nothing(place, monkeypatch):
    cohort(place.drop, 4)
    labels = LabelsRejected("LABEL_COUNT_WRONG", found="a", expected="b", remedy="c")
    faults = [ZeroDivisionError("CANARY"), PermissionError(errno.EACCES, "CANARY"), labels]
    faults, load = {f"case-{n:03d}": fault for n, fault in enumerate(faults, 2)}, FolderCandidate.load

    def failing(candidate):
        if candidate.key in faults:
            raise faults[candidate.key]
        return load(candidate)

    monkeypatch.setattr(FolderCandidate, "load", failing)
    report = place.ingest()
    assert report.used == 1
    assert [q.code for q in report.quarantined] == ["READER_FAULT", "FILE_UNREADABLE", "LABEL_COUNT_WRONG"]
    assert b"CANARY" not in b"".join(snapshot(place.store.parent).values())
    assert "ZeroDivisionError" in report.quarantined[0].message


@pytest.mark.parametrize("failing", ["write_array_atomically", "write_study_record", "_link_or_copy"])
def test_a_full_disk_ends_the_run_and_leaves_whole_studies(place, monkeypatch, failing):
    cohort(place.drop, 3)
    if failing == "_link_or_copy":
        (place.drop / "case-002" / "lateral.dcm").write_bytes(b"")
    real, calls = getattr(study_store, failing), []

    def full(*arguments):
        calls.append(1)
        if len(calls) > (3 if failing == "write_array_atomically" else 1):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(study_store, failing, full)
    with pytest.raises(PlumblineError, match=r"DISK_FULL.*run again"):
        place.ingest()
    assert len(place.studies()) == 1
    assert {p.name for p in place.store.iterdir()} == {s.study_id for s in place.studies()}
    assert not list(place.quarantine.glob("*/reason.json"))
    monkeypatch.setattr(study_store, failing, real)
    assert place.ingest().received == 3
    assert len(place.studies()) == (2 if failing == "_link_or_copy" else 3)


def test_a_failing_write_leaves_no_study(place):
    """A file size limit replaces a full disk, which a test cannot mount: writes fail with EFBIG."""
    cohort(place.drop, 1)
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "from spine.intake.ingest import ingest; from spine.intake.sources import open_source\n"
        "drop, store, quarantine = map(Path, sys.argv[1:])\n"
        "ingest(open_source('folder', drop), store, quarantine, pseudonym_key=b'k' * 32)\n"
    )
    with place.in_a_process(code) as process:
        assert "File too large" in process.communicate()[1]
    assert process.returncode != 0
    assert snapshot(place.store) == {}


KILLED = """
import os, sys
from pathlib import Path
from spine.intake import study_store
from spine.intake.folder_candidate import FolderCandidate
from spine.intake.ingest import ingest
from spine.intake.sources import open_source
step, count = sys.argv[4], int(sys.argv[5])
real, calls = getattr(study_store, step), []
def dying(*arguments, **options):
    calls.append(1)
    if len(calls) == count:
        os.kill(os.getpid(), 9)
    return real(*arguments, **options)
setattr(study_store, step, dying)
drop, store, quarantine = map(Path, sys.argv[1:4])
ingest(open_source("folder", drop), store, quarantine, pseudonym_key=bytes(range(32)))
"""


@pytest.mark.parametrize(
    ("step", "count"), [("write_array_atomically", 4), ("write_study_record", 2), ("write_text_atomically", 1)]
)
def test_a_killed_run_leaves_whole_studies_and_the_next_continues(place, step, count):
    cohort(place.drop, 3)
    (place.drop / "case-003" / "lateral.dcm").write_bytes(b"")
    with place.in_a_process(KILLED, step, count) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    finished = len(place.studies())
    assert finished == (2 if step == "write_text_atomically" else 1)
    assert not list(place.quarantine.glob("*/reason.json"))
    report = place.ingest()
    assert (report.received, report.used, report.already_present) == (3, 2 - finished, finished)
    assert [q.code for q in report.quarantined] == ["EMPTY_FILE"]
    assert {p.name for p in place.store.iterdir()} == {s.study_id for s in place.studies()}


def test_a_run_killed_at_any_moment_can_be_repeated(place):
    cohort(place.drop, 6)
    with place.in_a_process(KILLED, "shelve_study", 0) as process:
        while process.poll() is None and not list(place.store.glob("*/study.json")):
            time.sleep(0.002)
        process.kill()
    report = place.ingest()
    assert (report.received, report.used + report.already_present, report.quarantined) == (6, 6, ())
    assert {p.name for p in place.store.iterdir()} == set(report.study_ids)


def test_two_runs_do_not_share_a_store(place):
    with study_store.reserved(place.store), pytest.raises(PlumblineError, match="STORE_BUSY"):
        place.ingest()


def test_an_unfinished_folder_under_a_final_name_is_replaced(place):
    write_study(place.drop / "a", 1)
    study_id = place.ingest().study_ids[0]
    (place.store / study_id / "study.json").unlink()
    assert place.counts() == (1, 1, 0, [])
    assert len(place.studies()) == 1


# --- the report


def test_a_report_that_does_not_add_up_cannot_be_made():
    with pytest.raises(ContractViolation):
        IntakeReport("folder", 3, 1, 1, (), ("a", "b"))
    with pytest.raises(ContractViolation):
        IntakeReport("folder", 2, 1, 1, (), ("a",))
    assert IntakeReport("folder", 2, 1, 1, (), ("a", "b")).received == 2


def test_quarantined_files_are_links_where_the_file_system_allows(place):
    write_study(place.drop / "a", 1)
    (place.drop / "a" / "lateral.dcm").write_bytes(b"x" * 100)
    (refused,) = place.ingest().quarantined
    assert (place.quarantine / refused.key / "001.dcm").stat().st_nlink == 2
    assert (place.quarantine / refused.key).stat().st_mode & 0o077 == 0

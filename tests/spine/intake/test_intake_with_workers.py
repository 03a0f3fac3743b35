"""Intake in several processes gives the bytes of one process, and survives what happens to workers."""

import errno
import os
import pickle
import signal
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from spine.errors import PlumblineError
from spine.intake.burned_in_text import TextCheck
from spine.intake.folder import FolderSource
from spine.intake.ingest import ingest
from spine.intake.intake_ledger import intake_folder
from spine.intake.intake_report import IntakeReport
from spine.intake.records import Contents, LoadedStudy, StudyCandidate, StudySource
from spine.intake.staging import Staged
from spine.intake.study_store import shelve_study
from spine.work import LocalWork, Work
from tests.spine.intake.constructed_studies import KEY, cohort, snapshot, write_study


@dataclass(frozen=True)
class SmallBatches:
    """Work with one item in a batch, so that a dozen studies reach both workers."""

    work: Work

    def run(self, function, items, *, batch=1, resources=None):
        return self.work.run(function, items)


@dataclass(frozen=True)
class Twice:
    """Work in which every task runs twice, as a machine that was cut off repeats it; the second result counts."""

    def run(self, function, items, *, batch=1, resources=None):
        for item in items:
            function(item)
            yield function(item)


@dataclass(frozen=True)
class Failing:
    """A candidate whose reading does something to its process."""

    candidate: StudyCandidate
    act: Callable[[], None]

    @property
    def key(self) -> str:
        return self.candidate.key

    @property
    def files(self) -> tuple[Path, ...]:
        return self.candidate.files

    def fingerprint(self) -> str:
        return self.candidate.fingerprint()

    def load(self) -> LoadedStudy:
        self.act()
        return self.candidate.load()


@dataclass(frozen=True)
class FailingSource:
    """A folder whose fifth candidate is ``Failing``."""

    location: Path
    act: Callable[[], None]
    name: str = "folder"

    def contents(self) -> Contents:
        found = FolderSource(self.location).contents()
        candidates = list(found.candidates)
        candidates[4] = Failing(candidates[4], self.act)
        return replace(found, candidates=candidates)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _fill_the_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


ONE: Work = LocalWork(1)
TWO: Work = SmallBatches(LocalWork(2))
TWICE: Work = Twice()


def _reads_name(image) -> Sequence[str]:
    return ["KOWALSKA, ANNA"] if image.mean() > 0 else []


@pytest.fixture(scope="module")
def drop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve studies: whole ones, a double, a refused one, a revision, and a study whose views arrive apart."""
    folder = cohort(tmp_path_factory.mktemp("drop"), 7)
    write_study(folder / "case-008", 1)  # a double
    write_study(folder / "case-009", 9)
    (folder / "case-009" / "lateral.dcm").write_bytes(b"")
    write_study(folder / "case-010", 10, views=("frontal",), reconstruction=False)
    write_study(folder / "case-011", 10, views=("frontal",))  # the same with a reconstruction
    write_study(folder / "case-012", 12, views=("frontal",), reconstruction=False, sop_uid="2.25.121")
    write_study(folder / "case-013", 12, views=("lateral",), reconstruction=False, sop_uid="2.25.122")
    return folder


def _take_in(root: Path, source: StudySource, work: Work, **options) -> IntakeReport:
    return ingest(source, root / "s", root / "q", pseudonym_key=KEY, work=work, **options)


@pytest.mark.parametrize("check", [None, TextCheck(_reads_name)])
def test_store_index_quarantine_and_report_are_those_of_one_process(drop: Path, tmp_path: Path, check) -> None:
    source = FolderSource(drop)
    one, two = (
        _take_in(tmp_path / name, source, work, text_check=check) for name, work in (("one", ONE), ("two", TWO))
    )
    assert one == two
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")
    if check is None:
        assert (one.used, one.already_present, one.revised) == (11, 1, 2)
        assert [q.code for q in one.quarantined] == ["EMPTY_FILE"]
    else:
        assert {q.code for q in one.quarantined} == {"EMPTY_FILE", "BURNED_IN_TEXT"}


def test_a_task_that_ran_twice_changes_nothing_and_leaves_nothing(drop: Path, tmp_path: Path) -> None:
    reports = [_take_in(tmp_path / str(n), FolderSource(drop), work) for n, work in enumerate((ONE, TWICE))]
    assert reports[0] == reports[1]
    assert snapshot(tmp_path / "0") == snapshot(tmp_path / "1")


def test_a_study_that_ends_its_worker_is_refused_alone_and_read_again_by_the_next_run(
    drop: Path, tmp_path: Path
) -> None:
    killed = _take_in(tmp_path / "killed", FailingSource(drop, _kill), TWO)
    assert [(q.position, q.code) for q in killed.quarantined if q.code != "EMPTY_FILE"] == [(5, "READER_KILLED")]
    assert (killed.received, killed.used, killed.already_present) == (13, 10, 1)
    again = _take_in(tmp_path / "killed", FolderSource(drop), ONE)
    _take_in(tmp_path / "whole", FolderSource(drop), ONE)
    assert again.received == again.used + again.already_present + len(again.quarantined)
    assert snapshot(tmp_path / "killed" / "s") == snapshot(tmp_path / "whole" / "s")


def test_a_disk_that_is_full_for_a_worker_stops_the_run(drop: Path, tmp_path: Path) -> None:
    with pytest.raises(PlumblineError) as full:
        _take_in(tmp_path, FailingSource(drop, _fill_the_disk), TWO)
    assert full.value.code == "DISK_FULL"
    assert len(list((tmp_path / "s").glob("*/study.json"))) == 4, "those before it, in the order of the source"
    assert not (intake_folder(tmp_path / "s") / "staging").exists()


def test_the_writer_gets_no_pixels(drop: Path, tmp_path: Path) -> None:
    staged: list[Staged] = []

    class Watching:
        def run(self, function, items, **options):
            for found in LocalWork(1).run(function, items, **options):
                staged.append(found)
                yield found

    _take_in(tmp_path, FolderSource(drop), Watching())
    assert max(len(pickle.dumps(found)) for found in staged) < 4000


def test_a_writer_that_was_cut_off_stores_nothing_more(drop: Path, tmp_path: Path, monkeypatch) -> None:
    """On a file system whose locks other machines do not see, a second writer begins while the first one works."""
    monkeypatch.setattr("spine.intake.study_store.locked", lambda *_, **__: nullcontext(True))
    reports = []

    def second(done: int, _: int) -> None:
        if done == 3:
            reports.append(_take_in(tmp_path / "both", FolderSource(drop), LocalWork(1)))

    with pytest.raises(FileNotFoundError):
        _take_in(tmp_path / "both", FolderSource(drop), LocalWork(1), progress=second)
    alone = _take_in(tmp_path / "alone", FolderSource(drop), LocalWork(1))
    assert (reports[0].received, reports[0].already_present) == (alone.received, alone.already_present + 3)
    assert snapshot(tmp_path / "both" / "s") == snapshot(tmp_path / "alone" / "s")
    again = _take_in(tmp_path / "both", FolderSource(drop), LocalWork(1))
    assert (again.used, again.received) == (0, alone.received)


def test_the_same_study_stored_by_two_writers_is_stored_once(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.json").write_text(name)
    for name in ("first", "second"):
        shelve_study(tmp_path, tmp_path / name, "study")
    assert (tmp_path / "study" / "study.json").read_text() == "first"

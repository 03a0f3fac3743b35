"""Entries that are no files stop no run, and no error of intake that is stored names a file."""

import os
import signal

import pytest

from orchestration.cli.pipeline import prepare_workspace
from orchestration.pipeline import batch_files, versioning
from orchestration.pipeline.intake import faults_without_names, finished_batches, ingest_everything
from orchestration.pipeline.params import read_params
from orchestration.pipeline.steps import run_step
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected, PlumblineError
from spine.intake.folder import FolderSource
from tests.spine.intake.constructed_studies import write_study

NAME = "GEHEIM"


@pytest.fixture
def workspace(tmp_path):
    made = Workspace(tmp_path / "ws")
    write_study(tmp_path / "drop" / "a", 1)
    prepare_workspace(made, "folder", tmp_path / "drop", ())
    return made


@pytest.fixture
def no_hang():
    """A minute for the test; DVC would wait at a pipe for ever."""

    def stop(*_):
        raise TimeoutError("DVC waits")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["drop", "ws/data/inbox/batch"])
def test_pipes_and_links_to_nowhere_stop_no_run(workspace, tmp_path, no_hang, place):
    other = write_study(tmp_path / place / "b", 2)
    os.mkfifo(other / "pipe.dcm")
    (other / "link.dcm").symlink_to("/nowhere")
    (tmp_path / place / "COMPLETE").touch()
    figures = run_step("studies", workspace).figures
    assert (figures["received"], figures["used"], figures["quarantined"]) == (2, 1, 1)
    assert versioning.is_up_to_date(workspace, "studies")
    write_study(tmp_path / place / "c", 3)
    assert not versioning.is_up_to_date(workspace, "studies")


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (FileNotFoundError(2, "No such file or directory", f"/x/{NAME}"), r"FileNotFoundError \(No such file or dir"),
        (ValueError(f"{NAME} is no number"), "ValueError in test_faults_of_intake.py, line"),
    ],
)
def test_an_unforeseen_error_is_raised_without_its_text_and_cause(workspace, monkeypatch, error, found):
    def contents(_):
        raise error

    monkeypatch.setattr(FolderSource, "contents", contents)
    with pytest.raises(PlumblineError, match=rf"INTAKE_FAULT: found {found}") as raised:
        ingest_everything(workspace, read_params(workspace.params_file), None)
    assert NAME not in str(raised.value) and raised.value.__cause__ is None and raised.value.__suppress_context__


def test_a_refusal_is_raised_as_it_is_without_its_cause():
    refusal = ParametersRejected("SOURCE_MISSING", "no folder", "a folder", "make it")
    with pytest.raises(ParametersRejected) as raised, faults_without_names():
        raise refusal from OSError(NAME)
    assert raised.value is refusal and raised.value.__cause__ is None


class Vanished:
    """An entry of a folder whose file is gone."""

    def __init__(self, path):
        self.path = path

    def stat(self, **_):
        raise FileNotFoundError(NAME)


def test_a_file_that_vanishes_or_cannot_be_read_stops_no_other_batch(workspace, monkeypatch):
    for number, name in enumerate(("a", "b"), 1):
        write_study(workspace.inbox / name / "study", number)
        (workspace.inbox / name / "COMPLETE").touch()
    before = [batch.key for batch in finished_batches(workspace)]
    real = batch_files._size_and_time

    def vanished(entry):
        return real(entry) if "/a/" not in entry.path else real(Vanished(entry.path))

    monkeypatch.setattr(batch_files, "_size_and_time", vanished)
    after = [batch.key for batch in finished_batches(workspace)]
    assert len(set(before)) == len(set(after)) == 2 and len({*before, *after}) == 3

"""Sources that DVC cannot hash: pipes, links that lead nowhere. One such entry must not stop the intake."""

import os
from pathlib import Path

import pytest

from orchestration.cli.pipeline import prepare_workspace
from orchestration.pipeline.intake import finished_batches, is_taken_in, unfinished_batches
from orchestration.pipeline.steps import run_step
from orchestration.pipeline.workspace import Workspace
from spine.errors import PairingRejected, ParametersRejected
from tests.spine.intake.constructed_studies import cohort


@pytest.fixture
def workspace(tmp_path):
    cohort(tmp_path / "drop", 3)
    made = Workspace(tmp_path / "ws")
    prepare_workspace(made, "folder", tmp_path / "drop", ())
    return made


def odd(folder, kind):
    if kind == "pipe":
        os.mkfifo(folder / "other.dcm")
    elif kind == "dead link":
        (folder / "other.dcm").symlink_to("/nowhere")
    else:
        (folder / "loop").symlink_to(folder)


@pytest.mark.parametrize("kind", ["pipe", "dead link", "loop"])
@pytest.mark.parametrize("place", ["source", "inbox"])
def test_an_entry_that_dvc_cannot_read_costs_its_study_only(workspace, tmp_path, kind, place):
    if place == "source":
        odd(tmp_path / "drop" / "case-001", kind)
    else:
        cohort(workspace.inbox / "june", 1)
        odd(workspace.inbox / "june" / "case-001", kind)
        (workspace.inbox / "june" / "COMPLETE").touch()
    for _ in range(2):
        figures = run_step("studies", workspace).figures
        assert figures["quarantined"] == 1
        assert figures["used"] + figures["already present"] == figures["received"] - 1


def test_an_empty_source_is_no_success(tmp_path):
    (tmp_path / "drop").mkdir()
    workspace = Workspace(tmp_path / "ws")
    prepare_workspace(workspace, "folder", tmp_path / "drop", ())
    with pytest.raises(PairingRejected, match=r"NO_STUDIES.*0 received"):
        run_step("studies", workspace)


@pytest.mark.parametrize("source", [".", "ws"])
def test_a_source_that_contains_the_workspace_is_refused(tmp_path, source):
    cohort(tmp_path / source, 1)
    workspace = Workspace(tmp_path / "ws")
    prepare_workspace(workspace, "folder", tmp_path / source, ())
    for _ in range(2):
        with pytest.raises(ParametersRejected, match="SOURCE_HAS_WORKSPACE"):
            run_step("studies", workspace)
    assert not list(workspace.quarantine.glob("*"))


def test_the_error_says_why_all_studies_wait(workspace, tmp_path):
    for study in (tmp_path / "drop").glob("case-*"):
        (study / "COMPLETE").unlink()
    with pytest.raises(PairingRejected, match=r"3 waiting, 0 quarantined, STUDY_UNFINISHED 3"):
        run_step("studies", workspace)


def test_a_batch_that_a_run_on_the_command_line_took_in_waits_no_more(workspace):
    """Nobody may have started the services, which also record the batches that they took in."""
    cohort(workspace.inbox / "june", 2)
    assert (unfinished_batches(workspace), finished_batches(workspace)) == (["june"], [])
    partial = workspace.inbox / "june" / "case-002" / "lateral.dcm.part"
    for file in (partial, workspace.inbox / "june" / "COMPLETE"):
        file.touch()
    run_step("studies", workspace)
    (batch,) = finished_batches(workspace)
    assert not is_taken_in(workspace, batch)
    partial.unlink()
    run_step("studies", workspace)
    (batch,) = finished_batches(workspace)
    assert is_taken_in(workspace, batch) and unfinished_batches(workspace) == []


def test_a_folder_that_must_not_be_entered_stops_no_run_and_no_status(workspace, tmp_path, monkeypatch):
    """Simulated, because root may enter every folder."""
    shut = cohort(workspace.inbox / "shut", 1)
    real = Path.stat

    def stat(path, **options):
        if tmp_path / "drop" / "case-001" in path.parents or shut in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    access = os.access
    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(os, "access", lambda path, mode: "case-001" not in str(path) and access(path, mode))
    figures = run_step("studies", workspace).figures
    assert (figures["used"], figures["quarantined"]) == (2, 1)
    assert unfinished_batches(workspace) == ["shut"]

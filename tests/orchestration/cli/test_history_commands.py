"""``champion`` and ``history``: what does not follow the history is set back, and a damaged history is restored."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from orchestration.lifecycle.judging import judge_candidate, rescore_champion
from orchestration.lifecycle.local_champion import open_champion
from orchestration.pipeline.params import FORMAT, read_params
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.registry import history_state
from spine.errors import GateRefused, PlumblineError
from tests.served_workspace import database_of, done, execute, refused, typed
from validation.gates.verdict import read_verdict
from validation.registry.client import aliases_of, open_registry

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

VIEWER = ("--as", "R. Viewer", "--comment", "fine")
PROMOTE = ("promote", "--by", "R. Viewer")
RESTORE = ("history", "--restore", "--as", "R. Viewer", "--reason", "the disk died")


def deciding(workspace: Workspace) -> list[tuple[str, ...]]:
    """The commands with which people decide."""
    verdict = read_verdict(workspace.verdict_file).digest
    rollback, reinstate = ("rollback", "--reason", "wrong side"), ("reinstate", "1", *VIEWER)
    return [PROMOTE, ("approve", verdict, *VIEWER), ("reject", verdict, *VIEWER), rollback, reinstate]


def files_of(workspace: Workspace) -> dict[str, bytes]:
    """The files of the workspace, without locks and without Dagster's databases, which every reader opens."""
    there = (p for p in workspace.root.rglob("*") if p.is_file() and workspace.dagster_home not in p.parents)
    return {str(p): p.read_bytes() for p in there if ".lock" not in p.name}


def move_alias(workspace: Workspace, alias: str, to: str | None) -> None:
    client = open_registry(workspace.tracking_uri)
    if to is None:
        client.delete_registered_model_alias("plumbline", alias)
    else:
        client.set_registered_model_alias("plumbline", alias, to)


def rename_in_record(workspace: Workspace) -> None:
    record = workspace.champion_record.read_text()
    workspace.champion_record.write_text(record.replace('"version": "2"', '"version": "1"'))


FOLLOWERS = {
    "champion moved": ("ALIAS_DISAGREES", lambda w: move_alias(w, "champion", "1")),
    "champion deleted": ("ALIAS_DISAGREES", lambda w: move_alias(w, "champion", None)),
    "previous champion deleted": ("ALIAS_DISAGREES", lambda w: move_alias(w, "previous_champion", None)),
    "files altered": ("LOCAL_COPY_ALTERED", lambda w: (w.champion / "model.onnx").write_bytes(b"x")),
    "files deleted": ("LOCAL_COPY_ALTERED", lambda w: shutil.rmtree(w.champion)),
    "previous files altered": ("LOCAL_COPY_ALTERED", lambda w: (w.previous_champion / "model.onnx").write_bytes(b"x")),
    "record of another version": ("LOCAL_COPY_BEHIND", rename_in_record),
    "record deleted": ("LOCAL_COPY_BEHIND", lambda w: w.champion_record.unlink()),
    "copy behind": ("COPY_BEHIND", lambda w: w.history_copy.write_text(w.history_copy.read_text().splitlines()[0])),
    "tag edited": ("TAG_ALTERED", lambda w: execute(w, "UPDATE model_version_tags SET value = 'x' "
                                                       "WHERE key = 'plumbline.model_digest' AND name = 'plumbline'")),
}  # fmt: skip


@pytest.mark.parametrize("what", FOLLOWERS)
def test_champion_sets_back_what_does_not_follow_the_history(served: Workspace, what: str) -> None:
    code, change = FOLLOWERS[what]
    digest = open_champion(served).digest
    change(served)
    before = files_of(served)
    found = typed(served, "history", "--verify")
    assert isinstance(found.exception, PlumblineError) and found.exception.exit_code == 3
    assert f"the first is {code}" in str(found.exception) and code in found.output
    assert files_of(served) == before, "a verification changes nothing"
    shown = done(served, "champion")
    assert all(row in shown for row in ("plumbline-candidates v3", "champion │ plumbline v2", "previous champion │"))
    assert "ALTERED" not in shown
    assert aliases_of(open_registry(served.tracking_uri), "plumbline") == {"champion": "2", "previous_champion": "1"}
    assert open_champion(served).digest == digest
    assert "history verified: 2 events" in done(served, "history", "--verify")


DAMAGES = {
    "end cut off": ("HISTORY_CUT", "DELETE FROM plumbline_events WHERE sequence = 1"),
    "beginning cut off": ("HISTORY_BROKEN", "DELETE FROM plumbline_events WHERE sequence = 0"),
    "emptied": ("HISTORY_CUT", "DELETE FROM plumbline_events"),
    "dropped": ("HISTORY_CUT", "DROP TABLE plumbline_events"),
    "edited": ("HISTORY_BROKEN", "UPDATE plumbline_events SET actor = 'nobody' WHERE sequence = 0"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_refused_and_restored_from_the_copy(served: Workspace, damage: str) -> None:
    code, statement = DAMAGES[damage]
    state, copy = history_state(served), served.history_copy.read_text()
    execute(served, statement)
    before, first = files_of(served), 1 if damage == "end cut off" else 0
    for command in (*deciding(served), ("champion",), ("history",)):
        message = refused(served, code, *command)
        assert f"event {first}" in message and "history --restore" in message, command
    found = refused(served, "HISTORY_NOT_VERIFIED", "history", "--verify")
    assert f"the first is {code} at event {first}" in found
    assert "not known" in done(served, "status")
    assert "--reason" in refused(served, "APPROVAL_EMPTY", "history", "--restore")
    assert files_of(served) == before
    assert f"events {first} to 1 of the table were restored" in done(served, *RESTORE)
    refused(served, "HISTORY_COMPLETE", *RESTORE)
    done(served, "champion")
    after = history_state(served)
    assert after.events[:2] == state.events and after.served == state.served
    assert after.events[2].kind == "restored" and after.events[2].account
    assert served.history_copy.read_text().startswith(copy)
    moved = {path for path, content in files_of(served).items() if before.get(path) != content}
    assert moved == {str(served.history_copy), str(database_of(served))}, "nothing else moved"
    assert "history verified: 3 events" in done(served, "history", "--verify")


def test_another_table_or_another_copy_is_refused(served: Workspace) -> None:
    """A table that is intact by itself, and not the one of the copy: it was replaced, or the copy was edited."""
    lines = served.history_copy.read_text()
    served.history_copy.write_text(lines.replace("R. Viewer", "N. Obody"))
    before = files_of(served)
    for command in (*deciding(served), ("champion",)):
        assert "move the file away" in refused(served, "HISTORY_DIFFERS", *command)
    refused(served, "HISTORY_BROKEN", *RESTORE)
    assert files_of(served) == before
    served.history_copy.unlink()
    done(served, "champion")
    assert served.history_copy.read_text() == lines


@contextmanager
def read_only(workspace: Workspace) -> Iterator[None]:
    """Connections to the workspace's database may only read, as those of an account without the right to write."""

    def connected(connection: Any, _record: Any) -> None:
        if connection.execute("PRAGMA database_list").fetchone()[2] == str(database_of(workspace)):
            connection.execute("PRAGMA query_only = ON")

    event.listen(Engine, "connect", connected)
    try:
        yield
    finally:
        event.remove(Engine, "connect", connected)


def test_a_database_that_is_read_only_is_read_and_refuses_every_change(served: Workspace) -> None:
    before = files_of(served)
    with read_only(served):
        for command in (*deciding(served), RESTORE):
            assert "readonly database" in refused(served, "REGISTRY_UNAVAILABLE", *command), command
        for command in (("champion",), ("history", "--verify"), ("status",)):
            done(served, *command)
    assert files_of(served) == before


@pytest.mark.parametrize("empty", [False, True], ids=["removed", "empty file"])
def test_a_lost_database_is_not_an_empty_one(served: Workspace, empty: bool) -> None:
    database = database_of(served)
    kept = database.rename(served.state / "away.db")
    if empty:
        database.touch()
    before = files_of(served)
    for command in (*deciding(served), ("history", "--verify"), ("champion",), ("history",)):
        assert "restore it from a backup" in refused(served, "REGISTRY_UNAVAILABLE", *command)
    assert "REGISTRY_UNAVAILABLE" in done(served, "status")
    for step in (rescore_champion, judge_candidate):
        with pytest.raises(GateRefused, match="REGISTRY_UNAVAILABLE"):
            step(served, read_params(served.params_file))
    assert files_of(served) == before, "nothing creates a database"
    kept.replace(database)
    done(served, "history", "--verify")


@pytest.mark.parametrize("damage", ["garbage", "truncated", "locked"])
@pytest.mark.usefixtures("impatient_sqlite")
def test_a_database_that_cannot_be_read_is_a_refusal_and_no_traceback(served: Workspace, damage: str) -> None:
    database = database_of(served)
    whole = database.read_bytes()
    if damage != "locked":
        database.write_bytes(b"no database, but longer than a header" * 9 if damage == "garbage" else whole[:9000])
    with closing(sqlite3.connect(database, isolation_level=None)) as lock:
        if damage == "locked":
            lock.execute("BEGIN EXCLUSIVE")
        before = files_of(served)
        for command in (*deciding(served), ("champion",), ("history",), ("history", "--verify")):
            message = refused(served, "REGISTRY_UNAVAILABLE", *command)
            assert ("locked" if damage == "locked" else "mlflow.db is damaged") in message, command
        for command in (RESTORE, ("stage", "evaluation")) if damage != "locked" else (RESTORE,):
            refused(served, "REGISTRY_UNAVAILABLE", *command)
        assert files_of(served) == before
    database.write_bytes(whole)
    done(served, "history", "--verify")


def test_a_workspace_of_an_older_format_is_refused_by_every_command(served: Workspace, tmp_path: Path) -> None:
    """Its history is not the one that this version reads, so nothing may begin a new one beside it."""
    served.params_file.write_text(served.params_file.read_text().replace(f"format: {FORMAT}", f"format: {FORMAT - 1}"))
    before = files_of(served)
    others = [("champion",), ("history", "--verify"), ("status",), ("clean",), ("backup", str(tmp_path / "b.tar"))]
    for command in (*deciding(served), RESTORE, *others, ("init",), ("run",), ("stage", "evaluation"), ("verdict",)):
        message = refused(served, "WORKSPACE_FORMAT", *command)
        assert "copy params.yaml, data/ and state/pseudonym.key to a new folder" in message, command
    assert files_of(served) == before


def test_no_candidate_is_judged_as_the_first_where_a_champion_serves(served: Workspace) -> None:
    shutil.rmtree(served.champion_evaluation)
    with pytest.raises(GateRefused, match=r"CHAMPION_UNSCORED.*plumbline run"):
        judge_candidate(served, read_params(served.params_file))


def test_a_promotion_stands_where_the_local_copy_cannot_be_written(
    served: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("orchestration.lifecycle.changes.fetch_version", full)
        message = refused(served, "LOCAL_COPY_BEHIND", *PROMOTE)
    assert "No space left" in message and "plumbline champion" in message
    champion = history_state(served).champion
    assert champion is not None and champion.version == "3"
    done(served, "champion")
    done(served, "history", "--verify")
    assert open_champion(served).digest == champion.digest


def test_a_copied_workspace_is_independent_and_a_moved_one_works(served: Workspace, tmp_path: Path) -> None:
    copied = Workspace(Path(shutil.copytree(served.root, tmp_path / "copy")))
    before = files_of(served)
    done(copied, "history", "--verify")
    done(copied, "reject", read_verdict(copied.verdict_file).digest, *VIEWER)
    assert "rejected" in done(copied, "history")
    assert files_of(served) == before, "a copy writes nothing into its original"
    moved = Workspace(served.root.rename(tmp_path / "moved"))
    done(moved, *PROMOTE)
    done(moved, "rollback", "--reason", "a test")
    done(moved, "history", "--verify")
    queries = ("artifact_location FROM experiments", "artifact_uri FROM runs", "source FROM model_versions")
    with closing(sqlite3.connect(database_of(moved))) as database:
        addresses = str([database.execute(f"SELECT {query}").fetchall() for query in queries])
    assert str(tmp_path) not in addresses, "the database names no folder of the workspace"


def test_artefacts_may_lie_behind_a_link_to_another_disk(served: Workspace, tmp_path: Path) -> None:
    served.artifact_root.rename(tmp_path / "disk")
    served.artifact_root.symlink_to(tmp_path / "disk")
    done(served, "history", "--verify")

"""The lock of a workspace: one writer, on one machine and across machines that share a PostgreSQL database."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestration.pipeline import lease
from orchestration.pipeline.lock import (
    SERVICES,
    WorkspaceBusy,
    free,
    holder_of,
    require_lock,
    services_lock,
    while_locked,
    workspace_lock,
)
from orchestration.pipeline.workspace import Workspace
from spine.errors import GateRefused, ParametersRejected
from tests.validation.promotion.throwaway_postgres import Server, serving, why_not
from validation.promotion.history import DATABASE_VARIABLE

RUN = "17cef3c9-0000-4000-8000-000000000000"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with serving() as started:
        yield started


@pytest.fixture(params=["file", "database"])
def workspace(request, tmp_path, monkeypatch) -> Workspace:
    """A workspace whose lock is a file, and one whose lock is in a database."""
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    if request.param == "database":
        monkeypatch.setenv(DATABASE_VARIABLE, request.getfixturevalue("server").address)
    return Workspace(tmp_path / "ws")


@pytest.fixture
def shared(server, tmp_path, monkeypatch) -> Workspace:
    monkeypatch.setenv(DATABASE_VARIABLE, server.address)
    monkeypatch.setattr(lease, "CHECK_S", 0.0)
    monkeypatch.setattr(lease, "RENEW_S", 0.1)
    return Workspace(tmp_path / "ws")


@contextmanager
def another_process(root: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, str(Path(__file__).with_name("lock_holder.py")), str(root), RUN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "locked\n"
            yield holder
        finally:
            holder.kill()


def end_connections(server: Server) -> None:
    import psycopg2

    with psycopg2.connect(host=str(server.folder), user="plumbline", dbname="postgres") as connection:
        ending = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s"
        connection.cursor().execute(ending, ["plumbline lock"])
    connection.close()


def test_the_second_writer_is_told_who_the_first_one_is(workspace):
    with another_process(workspace.root) as first:
        named = rf"RUN_IN_PROGRESS.*run 17cef3c9 on .* \(process {first.pid}\)"
        with pytest.raises(WorkspaceBusy, match=named), workspace_lock(workspace):
            pass
        with free(workspace) as nobody:
            assert not nobody and holder_of(workspace).run == RUN
        first.kill()
        first.wait()
        with workspace_lock(workspace):
            assert holder_of(workspace).pid == os.getpid()
            with pytest.raises(WorkspaceBusy, match="a command on"), workspace_lock(workspace):
                pass
    with free(workspace) as nobody:
        assert nobody


def test_services_and_writers_do_not_exclude_each_other(workspace):
    busy = pytest.raises(WorkspaceBusy, match="SERVICES_RUNNING")
    with services_lock(workspace), workspace_lock(workspace), busy, services_lock(workspace):
        pass
    with services_lock(workspace):
        pass


def test_nobody_is_stopped_who_has_the_lock_or_needs_none(workspace):
    seen = []
    require_lock(workspace)
    assert while_locked(workspace, None) is None
    with workspace_lock(workspace):
        require_lock(workspace)
        while_locked(workspace, lambda done, total: seen.append((done, total)))(1, 2)
        while_locked(workspace, None)(1, 2)
    assert seen == [(1, 2)]


def test_a_workspace_is_recognised_at_another_path(shared, tmp_path, monkeypatch):
    """Machines mount the folder at different paths. ``Workspace`` resolves links, so another mount is imitated."""
    with workspace_lock(shared):
        shutil.copytree(shared.root, tmp_path / "mount")
        with pytest.raises(WorkspaceBusy, match="RUN_IN_PROGRESS"), workspace_lock(Workspace(tmp_path / "mount")):
            pass
        with workspace_lock(Workspace(tmp_path / "other workspace")):
            pass


def test_a_restart_of_the_database_does_not_stop_the_writer(shared, server):
    with workspace_lock(shared):
        server.stop()
        server.start()
        require_lock(shared)
        with pytest.raises(WorkspaceBusy, match="RUN_IN_PROGRESS"), workspace_lock(shared):
            pass


def test_a_writer_stops_if_the_database_does_not_come_back(shared, server):
    pieces = []
    with workspace_lock(shared):
        report = while_locked(shared, lambda done, _: pieces.append(done))
        report(1, 3)
        server.stop()
        with pytest.raises(WorkspaceBusy, match=r"LOCK_LOST.*does not answer"):
            report(2, 3)
    with pytest.raises(GateRefused, match="REGISTRY_UNAVAILABLE"), workspace_lock(shared):
        pass
    server.start()
    with workspace_lock(shared):
        assert pieces == [1]


def test_a_writer_that_was_cut_off_does_not_go_on_after_another_one(shared, server):
    """It gets its lock again only if nobody had it meanwhile, also if the other one has finished."""
    with workspace_lock(shared):
        end_connections(server)
        require_lock(shared)
        end_connections(server)
        with another_process(shared.root), pytest.raises(WorkspaceBusy, match=r"LOCK_LOST.*its lock is taken"):
            require_lock(shared)
        with pytest.raises(WorkspaceBusy, match=r"LOCK_LOST.*another process had the lock"):
            require_lock(shared)
        with another_process(shared.root):
            pass


def test_a_process_that_does_not_name_the_database_of_the_lock_gets_no_lock_of_its_own(shared, server, monkeypatch):
    with services_lock(shared):
        monkeypatch.delenv(DATABASE_VARIABLE)
        with pytest.raises(ParametersRejected, match="LOCK_DATABASE_NOT_NAMED"), workspace_lock(shared):
            pass
        monkeypatch.setenv(DATABASE_VARIABLE, server.address)
    with workspace_lock(shared):
        pass
    monkeypatch.delenv(DATABASE_VARIABLE)
    for lock in (workspace_lock, services_lock, free):
        with pytest.raises(ParametersRejected, match=r"LOCK_DATABASE_NOT_NAMED.*PLUMBLINE_HISTORY_DB"), lock(shared):
            pass
    for file in shared.state.glob("*.lock"):  # the way back to a local lock
        file.unlink()
    with workspace_lock(shared):
        assert not holder_of(shared).in_database


def test_services_learn_that_their_lock_is_lost(shared, server):
    with services_lock(shared):
        require_lock(shared, SERVICES)
        server.stop()
        with pytest.raises(WorkspaceBusy, match=r"LOCK_LOST.*the lock services"):
            require_lock(shared, SERVICES)
    require_lock(shared, SERVICES)
    server.start()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg", "mysql"])
def test_a_database_of_the_lock_with_another_driver_is_refused(tmp_path, monkeypatch, scheme):
    monkeypatch.setenv(DATABASE_VARIABLE, f"{scheme}://plumbline:secret@host/history")
    with pytest.raises(ParametersRejected, match=r"HISTORY_DB_ADDRESS.*psycopg2") as refused:
        workspace_lock(Workspace(tmp_path / "ws")).__enter__()
    assert "secret" not in str(refused.value)

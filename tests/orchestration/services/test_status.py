"""The status of a workspace: what it shows, also when a part cannot be read."""

import time
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from orchestration.cli.main import plumbline
from orchestration.dagster.instance import open_instance
from orchestration.dagster.jobs import RETRAIN
from orchestration.environment import quiet_environment
from orchestration.pipeline.intake import finished_batches
from orchestration.pipeline.lock import services_lock, workspace_lock
from orchestration.pipeline.params import Params, write_params
from orchestration.pipeline.workspace import Workspace
from orchestration.services.processes import HOST, free_port
from orchestration.services.status import services_file, status_of, write_services

pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name, value in quiet_environment().items():
        monkeypatch.setenv(name, value)
    made = Workspace(tmp_path / "ws")
    made.prepare()
    write_params(Params(), made.params_file)
    return made


def screen(workspace: Workspace) -> str:
    result = CliRunner().invoke(plumbline, ["status", "-w", str(workspace.root)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_a_new_workspace_fits_on_one_screen(workspace: Workspace) -> None:
    shown = screen(workspace)
    assert len(shown.splitlines()) < 24
    assert "services   not running; `make up` starts them" in shown
    assert "retrain_weekly: Monday" in shown and "03:00 UTC, if the services run then" in shown
    assert "champion                   none" in shown


def test_services_runs_and_the_lock_are_shown(workspace: Workspace) -> None:
    address = f"http://{HOST}:{free_port()}"
    write_services(workspace, {"MLflow": address})
    assert status_of(workspace).services is None, "the file alone, left by killed services, says nothing"
    with open_instance(workspace) as instance:
        for status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.STARTING):
            run = dg.DagsterRun(job_name=RETRAIN, status=status)
            instance.run_storage.add_run(run)
    with services_lock(workspace), workspace_lock(workspace):
        found = status_of(workspace)
        services_file(workspace).unlink()
        assert "services   starting" in screen(workspace)
    assert found.services == {"MLflow": f"{address} (does not answer)"}
    assert found.writing and not status_of(workspace).writing
    assert [(r.job, r.status) for r in found.runs] == [(RETRAIN, "STARTING"), (RETRAIN, "SUCCESS")]
    assert "waits                 retrain       starting" in screen(workspace)


def test_the_next_run_is_a_monday_in_the_future(workspace: Workspace) -> None:
    ((name, at),) = status_of(workspace).schedules
    assert name == "retrain_weekly" and at is not None
    assert (at.weekday(), at.hour, at.minute) == (0, 3, 0)
    assert 0 < (at - datetime.now(UTC)).total_seconds() <= 7 * 86400


def test_batches_wait_until_they_were_taken_in(workspace: Workspace) -> None:
    (workspace.inbox / "monday").mkdir()
    assert (status_of(workspace).waiting, status_of(workspace).unfinished) == ([], ["monday"])
    assert "no batch waits; without the file COMPLETE: monday; 0 studies" in screen(workspace)
    (workspace.inbox / "monday" / "COMPLETE").touch()
    assert status_of(workspace).waiting == ["monday"]
    (workspace.state / "batches").mkdir()
    (workspace.state / "batches" / f"{finished_batches(workspace)[0].key}.json").write_text("{}")
    assert status_of(workspace).waiting == []


def test_disk_use_counts_each_file_once(workspace: Workspace) -> None:
    before = status_of(workspace).disk
    (workspace.state / "logs").mkdir()
    (workspace.state / "logs" / "a.log").write_bytes(b"x" * 1000)
    (workspace.state / "other").write_bytes(b"x" * 10)
    after = status_of(workspace).disk
    assert after["state/logs"] == 1000
    assert after["the rest of state"] - before["the rest of state"] == 10


def test_a_damaged_registry_does_not_hide_the_rest(workspace: Workspace) -> None:
    (workspace.state / "mlflow" / "mlflow.db").write_bytes(b"no database, but longer than a header of one" * 9)
    workspace.verdict_file.parent.mkdir()
    workspace.verdict_file.write_text("{}")
    shown = screen(workspace)
    assert "REGISTRY_UNAVAILABLE: mlflow.db is damaged" in shown
    assert "verdict    not known" in shown
    assert "free on this disk" in shown


def test_a_tracking_server_that_is_down_is_named_soon(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_TRACKING_URI", f"http://{HOST}:{free_port()}")
    began = time.monotonic()
    shown = screen(workspace)
    assert time.monotonic() - began < 20, "with MLflow's own retries it takes minutes"
    assert "not known                REGISTRY_UNAVAILABLE" in shown
    assert "free on this disk" in shown

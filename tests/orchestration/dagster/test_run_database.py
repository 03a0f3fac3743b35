"""The runs of a workspace in PostgreSQL: one history for services and command line, and what is refused."""

from collections.abc import Iterator
from uuid import uuid4

import dagster as dg
import pytest
import yaml
from dagster._core.test_utils import create_run_for_test

from orchestration.dagster import run
from orchestration.dagster.instance import ABANDONED_AFTER_S, configure_instance, main, open_instance
from orchestration.dagster.run_database import RunDatabaseUnavailable, database_errors
from orchestration.environment import DAGSTER_DB_VARIABLE
from orchestration.pipeline.lock import identity_of
from orchestration.pipeline.workspace import Workspace
from spine.errors import GateRefused, ParametersRejected
from tests.validation.promotion.throwaway_postgres import running, serving, why_not

NOBODY = "postgresql+psycopg2://plumbline:secret@127.0.0.1:9/dagster"


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    pytest.importorskip("dagster_postgres", reason="dagster-postgres is not installed (infra/requirements-server.txt)")
    with running() as address:
        yield address


@pytest.fixture
def named(postgres: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty database, which the environment names."""
    from sqlalchemy import create_engine, make_url, text

    address = make_url(postgres).set(database=f"runs_{uuid4().hex[:8]}")
    engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {address.database}"))
    engine.dispose()
    monkeypatch.setenv(DAGSTER_DB_VARIABLE, address.render_as_string(hide_password=False))
    return address.render_as_string(hide_password=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_the_command_line_runs_in_the_database_that_the_services_open(workspace, stubs, named):
    outcome = run.run_retrain(workspace, lambda report: None)
    assert outcome.promoted
    assert not list(workspace.dagster_home.rglob("*.db")), "no second history in the workspace"
    assert "secret" not in (text := (workspace.dagster_home / "dagster.yaml").read_text()) and named not in text
    # Dagster's own programs open the instance in this way.
    with dg.DagsterInstance.from_config(str(workspace.dagster_home)) as instance:
        (found,) = instance.get_runs()
        assert (found.run_id, found.status) == (outcome.run_id, dg.DagsterRunStatus.SUCCESS)
        assert instance.get_latest_materialization_event(dg.AssetKey("champion")) is not None
        assert instance.telemetry_enabled is False


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_a_database_that_goes_away_in_the_middle_ends_the_run_and_the_same_command_resumes(
    workspace, stubs, named, monkeypatch
):
    with serving() as lost:
        monkeypatch.setenv(DAGSTER_DB_VARIABLE, lost.address)
        with pytest.raises(RunDatabaseUnavailable, match="RUN_DATABASE_UNAVAILABLE"):
            run.run_retrain(workspace, lambda report: lost.stop())
    assert "champion" not in stubs.calls
    monkeypatch.setenv(DAGSTER_DB_VARIABLE, named)
    assert run.run_retrain(workspace, lambda report: None).promoted


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_a_database_with_the_runs_of_another_workspace_is_refused_until_its_id_is_taken_over(
    workspace, named, tmp_path
):
    other = Workspace(tmp_path / "other")
    with open_instance(workspace), open_instance(workspace, in_process=True):
        pass
    with pytest.raises(ParametersRejected, match="RUN_DATABASE_OF_ANOTHER") as refused, open_instance(other):
        pass
    assert identity_of(workspace) in str(refused.value)
    assert "RUN_DATABASE_OF_ANOTHER" in (main(str(other.root)) or "")
    (other.state / "workspace.id").write_text(identity_of(workspace) + "\n")
    with open_instance(other) as instance:
        assert instance.get_runs() == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_a_run_of_another_machine_is_not_ended_by_the_clock_of_this_one(workspace, stubs, named, monkeypatch):
    """Where several machines share the runs, the watching sensor ends dead ones, by its own clock alone."""
    with open_instance(workspace) as instance:
        elsewhere = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED).run_id
    an_hour_ahead = dict.fromkeys(ABANDONED_AFTER_S, -3600.0)
    monkeypatch.setattr("orchestration.dagster.instance.ABANDONED_AFTER_S", an_hour_ahead)
    assert run.run_retrain(workspace, lambda report: None).promoted
    with open_instance(workspace) as instance:
        assert instance.get_run_by_id(elsewhere).status is dg.DagsterRunStatus.STARTED


def test_a_database_that_is_not_there_is_refused_at_once_without_its_password(workspace, monkeypatch):
    monkeypatch.setenv(DAGSTER_DB_VARIABLE, NOBODY)
    with pytest.raises(RunDatabaseUnavailable, match="RUN_DATABASE_UNAVAILABLE") as refused, open_instance(workspace):
        pass
    assert "secret" not in str(refused.value)
    monkeypatch.delenv(DAGSTER_DB_VARIABLE)
    with open_instance(workspace) as instance:
        assert instance.get_runs() == [], "nothing says that its runs are in a database that it never reached"


def test_a_tracking_server_that_does_not_answer_is_refused_before_any_step(workspace, stubs, monkeypatch):
    monkeypatch.setenv("PLUMBLINE_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(GateRefused, match=r"REGISTRY_UNAVAILABLE.*does not answer.*PLUMBLINE_TRACKING_URI"):
        run.run_retrain(Workspace(workspace.root), lambda report: None)
    assert stubs.calls == []


@pytest.mark.parametrize("address", ["postgresql://u@h/d", "sqlite:///runs.db", "nonsense"])
def test_another_address_is_refused(workspace, monkeypatch, address):
    monkeypatch.setenv(DAGSTER_DB_VARIABLE, address)
    with pytest.raises(ParametersRejected, match=r"RUN_DATABASE_ADDRESS.*psycopg2"):
        configure_instance(workspace)


def test_a_workspace_with_runs_in_postgres_gets_no_second_history(workspace, monkeypatch):
    monkeypatch.setenv(DAGSTER_DB_VARIABLE, NOBODY)
    configure_instance(workspace)
    written = workspace.dagster_home / "dagster.yaml"
    assert yaml.safe_load(written.read_text())["storage"] == {
        "postgres": {"postgres_url": {"env": DAGSTER_DB_VARIABLE}}
    }
    monkeypatch.delenv(DAGSTER_DB_VARIABLE)
    with (
        pytest.raises(ParametersRejected, match=r"RUN_DATABASE_NOT_NAMED.*PLUMBLINE_DAGSTER_DB"),
        open_instance(workspace),
    ):
        pass
    written.unlink()
    with open_instance(workspace) as instance:
        assert instance.get_runs() == []


def test_errors_of_other_databases_stay_as_they_are(monkeypatch):
    from sqlalchemy.exc import OperationalError

    monkeypatch.delenv(DAGSTER_DB_VARIABLE, raising=False)
    with pytest.raises(OperationalError), database_errors():
        raise OperationalError("select", {}, Exception("disk is full"))

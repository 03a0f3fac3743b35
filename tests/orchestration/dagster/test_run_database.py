"""The runs of a workspace in PostgreSQL: one history for services and command line, and what is refused."""

from collections.abc import Iterator

import dagster as dg
import pytest
import yaml

from orchestration.dagster import run
from orchestration.dagster.instance import configure_instance, open_instance
from orchestration.dagster.run_database import RunDatabaseUnavailable, database_errors
from orchestration.environment import DAGSTER_DB_VARIABLE
from spine.errors import ParametersRejected
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
    monkeypatch.setenv(DAGSTER_DB_VARIABLE, postgres)
    return postgres


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
    workspace, stubs, postgres, monkeypatch
):
    with serving() as lost:
        monkeypatch.setenv(DAGSTER_DB_VARIABLE, lost.address)
        with pytest.raises(RunDatabaseUnavailable, match="RUN_DATABASE_UNAVAILABLE"):
            run.run_retrain(workspace, lambda report: lost.stop())
    assert "champion" not in stubs.calls
    monkeypatch.setenv(DAGSTER_DB_VARIABLE, postgres)
    assert run.run_retrain(workspace, lambda report: None).promoted


def test_a_database_that_is_not_there_is_refused_at_once_without_its_password(workspace, monkeypatch):
    monkeypatch.setenv(DAGSTER_DB_VARIABLE, NOBODY)
    with pytest.raises(RunDatabaseUnavailable, match="RUN_DATABASE_UNAVAILABLE") as refused, open_instance(workspace):
        pass
    assert "secret" not in str(refused.value)


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

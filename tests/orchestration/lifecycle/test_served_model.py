"""The champion that a service must answer with, as a workspace knows it."""

import shutil
from pathlib import Path

import pytest

from orchestration.cli.serving import served_champion
from orchestration.lifecycle.served_model import ChampionOfWorkspace
from orchestration.pipeline.params import read_params, write_params
from orchestration.pipeline.workspace import Workspace
from spine.model_digest import model_digest
from tests.served_workspace import candidate, database_of, done, new_workspace, served_workspace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_mlflow_database: Path) -> Workspace:
    return served_workspace(tmp_path / "ws", monkeypatch, empty_mlflow_database)


def test_promotion_and_rollback_are_followed_from_this_and_from_another_workspace(workspace, tmp_path, monkeypatch):
    champion = served_champion(workspace, bundled=False)
    champion.look()
    assert champion.required().name == "champion version 2"
    second = champion.required().digest
    done(workspace, "rollback", "--reason", "wrong side")
    champion.look()
    assert champion.required().name == "champion version 1"
    assert champion.required().digest != second

    other = Workspace(tmp_path / "other", tracking=workspace.tracking_uri)
    other.prepare()
    write_params(read_params(workspace.params_file), other.params_file)
    follows = served_champion(other, bundled=False)
    follows.look()
    assert follows.required().digest == champion.required().digest
    candidate(workspace, "ccc", noise=0.4)
    done(workspace, "promote", "--by", "R. Viewer")
    follows.look()
    assert follows.required().name == "champion version 3"
    assert follows.fault is None


def test_without_a_registry_the_last_known_champion_stays(workspace):
    source = ChampionOfWorkspace(workspace)
    record, folder = source()
    assert model_digest(folder) == record.digest
    away = database_of(workspace).rename(workspace.root / "away.db")
    assert source() == (record, folder)
    assert ChampionOfWorkspace(workspace)() == (record, workspace.champion)
    done(workspace, "rollback", "--local", "--reason", "wrong side")
    left, _ = source()
    assert (left.version, left.digest) != (record.version, record.digest)
    shutil.move(away, database_of(workspace))
    assert source()[0] == left  # the history does not have the local rollback yet
    done(workspace, "champion")
    assert source()[0].digest == left.digest


def test_a_local_copy_that_cannot_follow_is_replaced_by_a_copy_of_the_service(workspace, monkeypatch):
    monkeypatch.setattr("orchestration.lifecycle.served_model.up_to_date", lambda _: None)
    workspace.champion_record.unlink()
    record, folder = ChampionOfWorkspace(workspace)()
    assert folder == workspace.served_copy
    assert model_digest(folder) == record.digest


def test_a_new_workspace_has_no_champion(tmp_path, empty_mlflow_database):
    assert ChampionOfWorkspace(Workspace(tmp_path / "none"))() is None
    assert ChampionOfWorkspace(new_workspace(tmp_path / "ws", empty_mlflow_database))() is None

"""Workspaces in folders whose names have a meaning in addresses: every database is where it belongs."""

import os

import pytest
from mlflow import MlflowClient
from sqlalchemy.engine import make_url

from orchestration.cli.pipeline import prepare_workspace
from orchestration.pipeline import versioning
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected
from validation.registry.database import database_exists, sqlite_file

NAMES = ("Shared%20Drive", "what?x=1", "100%", "hash#1", "sp ace ü", "%2e%2e", "a&b=c;d", "[red]", 'it\'s "q"', "%(x)s")


@pytest.mark.parametrize("name", NAMES)
def test_the_database_is_the_file_of_the_workspace(tmp_path, name):
    workspace = Workspace(tmp_path / name / "ws")
    own = workspace.state / "mlflow" / "mlflow.db"
    assert make_url(workspace.own_tracking_uri).database == str(own)
    assert sqlite_file(workspace.own_tracking_uri) == own


@pytest.mark.slow
@pytest.mark.parametrize("name", ["100%", "Shared%20Drive", "what?x=1#2", 'Röntgen [1] it\'s "q"'])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_mlflow_and_dvc_work_there(tmp_path, name, empty_mlflow_database, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(tmp_path / name / "ws")
    prepare_workspace(workspace, "virtual", None, ())
    (workspace.state / "mlflow" / "mlflow.db").write_bytes(empty_mlflow_database.read_bytes())
    assert database_exists(workspace.tracking_uri)
    client = MlflowClient(tracking_uri=workspace.tracking_uri, registry_uri=workspace.tracking_uri)
    made = client.create_experiment("training", artifact_location="mlflow-artifacts:/training")
    run = client.create_run(made)
    client.log_text(run.info.run_id, "text", "a/file.txt")
    stored = list(workspace.artifact_root.rglob("file.txt"))
    assert [path.read_text() for path in stored] == ["text"]
    (workspace.root / "data" / "studies").mkdir(exist_ok=True)
    assert not versioning.is_up_to_date(workspace, "landmarks")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", [os.fsdecode(b"R\xf6ntgen"), "two\nlines", "esc\x1b[2J"])
def test_a_path_that_is_no_text_is_refused_at_the_start(tmp_path, name):
    with pytest.raises(ParametersRejected, match="PATH_NOT_TEXT"):
        prepare_workspace(Workspace(tmp_path / name), "virtual", None, ())
    (tmp_path / name).mkdir()
    with pytest.raises(ParametersRejected, match="PATH_NOT_TEXT"):
        prepare_workspace(Workspace(tmp_path / "ws"), "folder", tmp_path / name, ())
    assert not (tmp_path / "ws").exists()

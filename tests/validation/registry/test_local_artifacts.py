"""MLflow's addresses ``mlflow-artifacts:/`` beside an SQLite database: found without a server, never outside."""

from importlib.metadata import entry_points
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

from spine.errors import ParametersRejected
from validation.registry.local_artifacts import SCHEME, artifact_repository, experiment_location


def test_mlflow_knows_the_plug_in():
    (known,) = entry_points(group="mlflow.artifact_repository", name=SCHEME)
    assert known.load() is artifact_repository, "pip writes entry points: run `make setup`"


def test_an_installation_without_the_plug_in_is_refused_before_anything_is_stored(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("validation.registry.local_artifacts.entry_points", lambda **_: ())
    with pytest.raises(ParametersRejected, match=r"PLUG_IN_MISSING.*make setup"):
        experiment_location("sqlite:///mlflow.db", "plumbline")


def test_an_address_is_a_folder_beside_the_database(tmp_path: Path):
    address = experiment_location(f"sqlite:///{tmp_path}/mlflow.db", "plumbline")
    assert address == "mlflow-artifacts:/plumbline"
    (tmp_path / "note.txt").write_text("kept")
    artifact_repository(f"{address}/1", f"sqlite:///{tmp_path}/mlflow.db").log_artifact(str(tmp_path / "note.txt"))
    assert (tmp_path / "artifacts" / "plumbline" / "1" / "note.txt").read_text() == "kept"


@pytest.mark.parametrize(
    "address", ["mlflow-artifacts:/a/../../b", "mlflow-artifacts:/%2e%2e/b", "mlflow-artifacts://host/a"]
)
def test_an_address_outside_or_on_another_host_is_refused(tmp_path: Path, address: str):
    with pytest.raises(MlflowException, match="inside"):
        artifact_repository(address, f"sqlite:///{tmp_path}/mlflow.db")


def test_a_server_resolves_its_own_addresses():
    server = artifact_repository("mlflow-artifacts:/a", "http://127.0.0.1:5000")
    assert isinstance(server, MlflowArtifactsRepository)
    assert experiment_location("http://127.0.0.1:5000", "plumbline") is None

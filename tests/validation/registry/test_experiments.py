"""Where the files of an experiment are, and which places are refused."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from requests import HTTPError

from spine.errors import GateRefused, ParametersRejected
from validation.registry import experiments
from validation.registry.errors import artifacts_unavailable, errors_as_refusals
from validation.registry.experiments import experiment_of

SERVER = "http://127.0.0.1:5000"


def stub(root: str, known: dict[str, str] | None = None) -> Any:
    return StubClient(root, known or {})


@dataclass
class StubClient:
    """A tracking store that gives new experiments without a place of their own the place ``root``."""

    root: str
    known: dict[str, str]

    def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
        return self.get_experiment(name) if name in self.known else None

    def get_experiment(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(experiment_id=name, artifact_location=self.known[name])

    def create_experiment(self, name: str, artifact_location: str | None) -> str:
        self.known[name] = artifact_location or f"{self.root}/{name}"
        return name


@pytest.fixture
def accessible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments, "_require_access", lambda _: None)


def test_the_server_decides_where_its_files_are_and_a_database_file_has_them_beside_it(accessible):
    client = stub("mlflow-artifacts:")
    assert experiment_of(client, "a", SERVER) == experiment_of(client, "a", SERVER) == "a"
    assert client.known == {"a": "mlflow-artifacts:/a"}
    local = stub("/nowhere")
    experiment_of(local, "a", "sqlite:////tmp/mlflow.db")
    assert local.known == {"a": "mlflow-artifacts:/a"}


@pytest.mark.parametrize(
    "place", ["file:///workspace/state/mlflow/artifacts/a", "/workspace/artifacts/a", "./mlruns/a"]
)
def test_files_of_a_server_in_a_folder_are_refused_with_the_way_out(place: str):
    known = stub("mlflow-artifacts:", {"a": place})
    with pytest.raises(ParametersRejected, match=r"ARTIFACTS_ON_ONE_MACHINE.*mlflow experiments rename") as refused:
        experiment_of(known, "a", SERVER)
    assert place in refused.value.found
    fresh = stub(place.removesuffix("/a"))
    with pytest.raises(ParametersRejected, match="--artifacts-destination"):
        experiment_of(fresh, "a", SERVER)


def test_a_database_server_without_its_mlflow_server_gets_no_experiment(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParametersRejected, match=r"ARTIFACTS_ON_ONE_MACHINE.*http://mlflow:5000"):
        experiment_of(stub("./mlruns"), "a", "postgresql+psycopg2://u@h/mlflow")
    assert not list(tmp_path.iterdir())
    made = stub("./mlruns", {"a": "file:///shared/a"})
    assert experiment_of(made, "a", "postgresql+psycopg2://u@h/mlflow") == "a"


def test_errors_of_the_object_store_name_what_the_server_said():
    said = '404 for url: http://h/api/2.0/mlflow-artifacts/artifacts?path=1. Response text: {"message": "no bucket"}'
    wanted = r"ARTIFACTS_UNAVAILABLE.*no bucket; expected.*AWS_SECRET_ACCESS_KEY"
    with pytest.raises(GateRefused, match=wanted), errors_as_refusals():
        raise HTTPError(said)
    assert "reset by peer" in artifacts_unavailable("connection reset by peer").found

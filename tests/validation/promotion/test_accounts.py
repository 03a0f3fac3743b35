"""With MLflow's accounts, a trainer cannot change the served model.

Candidates and the served model are two registered models, and promotions have their own experiment. So the permissions
of MLflow's server (`--app-name basic-auth`) can separate trainers and promoters. This test starts such a server.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from orchestration.services.processes import Service, Supervised, free_port
from spine.errors import GateRefused
from tests.validation.promotion.registry import SERVED, Registry
from validation.evaluation.record import EvaluationRecord
from validation.promotion.history import DATABASE_VARIABLE
from validation.registry.client import fetch_version, open_registry

PROMOTIONS = f"{SERVED}-promotions"
ADMIN, TRAINER, PROMOTER = "administrator", "trainer", "promoter"


@contextmanager
def signed_in(name: str) -> Iterator[None]:
    """MLflow's client reads the account from the environment at every request."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_USERNAME", name)
        patch.setenv("MLFLOW_TRACKING_PASSWORD", f"{name}-password")
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_mlflow_database: Path) -> Iterator[str]:
    """A server with accounts, set up as docs/promotion.md describes."""
    folder = tmp_path_factory.mktemp("accounts")
    shutil.copy(empty_mlflow_database, folder / "mlflow.db")
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\nauth_cache_ttl_seconds = 60\n"
        f"database_uri = sqlite:///{folder / 'accounts.db'}\n"
        f"admin_username = {ADMIN}\nadmin_password = {ADMIN}-password\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    settings = {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of this test",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # It would start eight processes that this test does not need.
    }
    address = f"http://127.0.0.1:{port}"
    web = Service("mlflow", command, f"{address}/health")
    with Supervised([web], folder / "logs", settings) as running, signed_in(ADMIN):
        running.wait_until_up()
        for name in (TRAINER, PROMOTER):
            administer(address, "2.0/mlflow/users/create", username=name, password=f"{name}-password")
        client = open_registry(address)
        client.create_registered_model(SERVED)
        owned = {"registered_model": SERVED, "experiment": client.create_experiment(PROMOTIONS)}
        for kind, which in owned.items():
            granted = {"username": PROMOTER, "resource_type": kind, "resource_id": which, "permission": "MANAGE"}
            administer(address, "3.0/mlflow/users/permissions/grant", **granted)
        yield address


def administer(address: str, endpoint: str, **what: str) -> None:
    """Call the server over HTTP, because importing MLflow's client for accounts loads the whole server."""
    account = (ADMIN, f"{ADMIN}-password")
    requests.post(f"{address}/api/{endpoint}", json=what, auth=account, timeout=60).raise_for_status()


@pytest.fixture
def registry(
    server: str, tmp_path: Path, scored: Callable[..., EvaluationRecord], monkeypatch: pytest.MonkeyPatch
) -> Registry:
    (tmp_path / "evidence").mkdir()
    monkeypatch.setenv(DATABASE_VARIABLE, f"sqlite:///{tmp_path / 'history.db'}")
    (tmp_path / "history.db").touch()
    return Registry(server, tmp_path, scored)


@pytest.mark.slow
def test_a_trainer_cannot_change_what_is_served(registry: Registry, tmp_path: Path) -> None:
    from mlflow.exceptions import MlflowException

    with signed_in(TRAINER):
        address = registry.candidate("first", noise=2.0, seed=2)
        with pytest.raises(GateRefused) as refusal:
            registry.promote(address)
    assert refusal.value.code == "NOT_PERMITTED"
    with signed_in(PROMOTER):
        champion = registry.promote(address)
    with signed_in(TRAINER):
        client = open_registry(registry.tracking_uri)
        served = client.get_model_version(SERVED, champion.version)
        attempts: dict[str, Callable[[], object]] = {
            "move the alias": lambda: client.set_registered_model_alias(SERVED, "champion", "1"),
            "delete the alias": lambda: client.delete_registered_model_alias(SERVED, "champion"),
            "register a version": lambda: client.create_model_version(SERVED, served.source, served.run_id),
            "edit a tag": lambda: client.set_model_version_tag(SERVED, served.version, "plumbline.verdict", "x"),
            "delete the version": lambda: client.delete_model_version(SERVED, served.version),
            "delete the model": lambda: client.delete_registered_model(SERVED),
            "rename the model": lambda: client.rename_registered_model(SERVED, "mine"),
            "write over the bytes": lambda: client.log_artifacts(served.run_id, str(tmp_path / "first"), "model"),
            "begin a run there": lambda: client.create_run(client.get_experiment_by_name(PROMOTIONS).experiment_id),
            "delete the run": lambda: client.delete_run(served.run_id),
            "edit its metrics": lambda: client.log_metric(served.run_id, "test/cobb", 0.0),
        }
        for what, attempt in attempts.items():
            with pytest.raises((MlflowException, requests.HTTPError), match="403") as denied:
                attempt()
            assert "ermission denied" in str(denied.value), what
        own = client.get_model_version("candidates", address.rpartition("/")[2])
        (tmp_path / "first" / "model.onnx").write_bytes(b"another graph")
        client.log_artifacts(own.run_id, str(tmp_path / "first"), "model")  # The trainer may do this.
        assert registry.champion == champion and registry.faults() == []
        fetch_version(registry.tracking_uri, SERVED, champion.version, champion.digest, into=tmp_path / "served")
    assert (tmp_path / "served" / "model.onnx").read_bytes() == b"graph of first"

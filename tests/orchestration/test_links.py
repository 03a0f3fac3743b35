"""Links that runs store: they name no port, and lead to the present address of the other server."""

from importlib.metadata import entry_points

import pytest
from starlette.requests import Request

from orchestration.dagster.web_server import to_mlflow
from orchestration.links import TO_MLFLOW, address_at_dagster, run_page
from orchestration.services.up import MLFLOW_APP


@pytest.mark.parametrize("port", [5000, 5107])
def test_a_stored_link_leads_to_the_port_of_today(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("PLUMBLINE_MLFLOW_UI", f"http://127.0.0.1:{port}")
    stored = f"{TO_MLFLOW}/{run_page('3', 'f', 'report/report.html')}"
    path, _, query = stored.partition("?")
    scope = {"type": "http", "path": path, "query_string": query.encode(), "headers": [], "server": ("dagster", 80)}
    answer = to_mlflow(Request({**scope, "path_params": {"page": path.removeprefix(f"{TO_MLFLOW}/")}}))
    page = "experiments/3/runs/f/artifacts/report/report.html?workflowType=machine_learning"
    assert (answer.status_code, answer.headers["location"]) == (307, f"http://127.0.0.1:{port}/#/{page}")


@pytest.mark.parametrize("port", [3000, 3107])
def test_dagster_is_found_at_its_present_port(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("PLUMBLINE_DAGSTER_UI", f"http://127.0.0.1:{port}")
    assert address_at_dagster("runs/f") == f"http://127.0.0.1:{port}/runs/f"
    assert address_at_dagster("runs/f", "logs=x") == f"http://127.0.0.1:{port}/runs/f?logs=x"


def test_the_installation_registers_mlflows_application() -> None:
    (known,) = entry_points(group="mlflow.app", name=MLFLOW_APP)
    assert known.value == "orchestration.services.mlflow_app:make_app", "pip writes entry points: run `make setup`"

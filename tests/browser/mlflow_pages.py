"""MLflow's pages for browser tests: a server for a workspace, and functions that open its pages."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration.environment import quiet_environment
from orchestration.pipeline.workspace import Workspace
from orchestration.services.processes import Service, Supervised
from orchestration.services.up import MLFLOW_APP
from tests.browser.chromium import Page


@contextmanager
def mlflow_of(workspace: Workspace, port: int) -> Iterator[str]:
    """The address of an MLflow server for the workspace, on this machine only. It ends with the block."""
    address = f"127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", MLFLOW_APP, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", workspace.tracking_uri]
    command += ["--artifacts-destination", workspace.artifact_root.as_uri()]
    command += ["--allowed-hosts", f"{address},localhost:{port}"]
    server = Service("mlflow", command, f"http://{address}/health")
    with tempfile.TemporaryDirectory() as logs, Supervised([server], Path(logs), quiet_environment()) as running:
        running.wait_until_up()
        yield f"http://{address}"


def open_run(tab: Page, address: str, run_id: str, artifact: str = "") -> None:
    """Open a run's page, in the layout for trained models."""
    tab.open("about:blank")
    tab.open(f"{address}/#/experiments/1/runs/{run_id}{artifact}?workflowType=machine_learning")


def put_assistant_aside(tab: Page) -> None:
    """Keep the panel closed that MLflow opens at the first visit. Call this before the first page is opened."""
    kept = {"mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true", "mlflow.assistant.panelOpen_v1": "false"}
    lines = "".join(f"localStorage.setItem({name!r}, {value!r});" for name, value in kept.items())
    tab.send(
        "Page.addScriptToEvaluateOnNewDocument", source=f"try {{ {lines} }} catch (_) {{ /* a sandboxed frame */ }}"
    )

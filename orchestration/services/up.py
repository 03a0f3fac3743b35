"""``make up``: Dagster's web server and daemon and the MLflow server of a workspace, on this machine only.

Contract: everything listens on 127.0.0.1, because neither Dagster nor MLflow authenticates users here, and the web
servers refuse the requests of foreign pages and hosts (``orchestration.web_guard``). Telemetry, pickles and MLflow's
job runner are off. Stopping leaves no process behind; runs whose process died are marked failed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from orchestration.environment import (
    DAGSTER_UI_VARIABLE,
    MLFLOW_UI_VARIABLE,
    WEB_TOKEN_VARIABLE,
    WORKSPACE_VARIABLE,
    apply_quiet_environment,
    quiet_environment,
)
from orchestration.links import OF_TRAINING
from orchestration.pipeline.lock import SERVICES, require_lock, services_lock
from orchestration.pipeline.names import EXPERIMENT
from orchestration.pipeline.params import read_params
from orchestration.pipeline.workspace import Workspace
from orchestration.services.interruption import interruptible
from orchestration.services.processes import HOST, Service, ServiceFailed, Supervised, require_free_port
from orchestration.services.status import services_file, write_services
from orchestration.system_errors import describe_system_error
from orchestration.tracking.run_table import VIEW, VIEW_TAG
from spine.errors import PlumblineError
from spine.storage import write_text_atomically
from validation.registry.database import database_exists
from validation.registry.local_artifacts import require_plug_in

LOCATION = "plumbline"
"""Name of the code location. Dagster stores sensors and retries under it, so it must not change."""

MLFLOW_APP = "plumbline"
"""The name of ``orchestration.services.mlflow_app`` among MLflow's plug-ins."""

LOOK_EVERY_S = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run until an interrupt, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.services.up", description=__doc__.split("\n")[0])
    parser.add_argument("--workspace", type=Path, required=True, help="folder with params.yaml")
    parser.add_argument("--dagster-port", type=_port, default=3000)
    parser.add_argument("--mlflow-port", type=_port, default=5000)
    chosen = parser.parse_args(arguments)
    if chosen.dagster_port == chosen.mlflow_port:
        parser.error(f"--dagster-port and --mlflow-port are both {chosen.mlflow_port}; expected two different ports")
    apply_quiet_environment()
    try:
        return up(Workspace(chosen.workspace), chosen.dagster_port, chosen.mlflow_port)
    except PlumblineError as error:
        print(f"plumbline: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"plumbline: {describe_system_error(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"found {text}; expected a port from 1 to 65535")
    return int(text)


def up(workspace: Workspace, dagster_port: int, mlflow_port: int) -> int:
    """Start everything, print the addresses, and start again what dies, until Ctrl-C or SIGTERM.

    Raises:
        ParametersRejected: the folder is not a workspace, a port is in use, or PLUG_IN_MISSING.
        WorkspaceBusy: the services of this workspace run already (SERVICES_RUNNING), or another machine may start them
            because the database of the lock is gone (LOCK_LOST).
        ServiceFailed: a service did not start, or died again and again later.
    """
    from orchestration.dagster.instance import fail_abandoned_runs, open_instance

    read_params(workspace.params_file)
    require_plug_in("mlflow.app", MLFLOW_APP)
    require_free_port(dagster_port, "--dagster-port (make up DAGSTER_PORT=...)")
    require_free_port(mlflow_port, "--mlflow-port (make up MLFLOW_PORT=...)")
    with (
        services_lock(workspace),
        open_instance(workspace) as instance,
        # In the folder of temporary files, because the path of a socket has at most 107 characters.
        tempfile.TemporaryDirectory(prefix="plumbline-") as private,
        interruptible(),
    ):
        workspace.prepare()
        services_file(workspace).unlink(missing_ok=True)
        fail_abandoned_runs(instance, workspace, older_than_s=0.0)
        _make_database(workspace)
        services = services_of(workspace, dagster_port, mlflow_port, Path(private) / "code")
        environment = environment_of(workspace, mlflow_port, dagster_port)
        try:
            with Supervised(services, workspace.state / "logs", environment) as running:
                running.wait_until_up()
                pages = pages_of(dagster_port, mlflow_port)
                write_services(workspace, pages)
                _print_addresses(workspace, pages)
                while True:
                    time.sleep(LOOK_EVERY_S)
                    require_lock(workspace, SERVICES)
                    for name in running.restart_dead():
                        print(f"{name} died and was started again; see {running.log_of(name)}", flush=True)
                    running.rotate_logs()
        except KeyboardInterrupt:
            fail_abandoned_runs(instance, workspace, older_than_s=0.0)
            print("stopped", flush=True)
    return 0


def _make_database(workspace: Workspace) -> None:
    """Make MLflow's database in a process of its own, before MLflow's server would begin it in place."""
    command = [sys.executable, "-m", "validation.registry.new_database", workspace.tracking_uri]
    if not database_exists(workspace.tracking_uri) and subprocess.run(command, check=False).returncode:
        raise ServiceFailed(
            "DATABASE_NOT_MADE",
            found="an error while MLflow's database was made (see above)",
            expected=f"a database in {workspace.state / 'mlflow'}",
            remedy="remove the cause, such as a full disk, and start again",
        )


def training_runs_page(mlflow: str) -> str:
    """The page of the training runs below the address of MLflow; its first page if nothing was trained yet."""
    query = urllib.parse.urlencode({"experiment_name": EXPERIMENT})
    try:
        address = f"{mlflow}/api/2.0/mlflow/experiments/get-by-name?{query}"
        token = {"Authorization": f"Bearer {os.environ.get(WEB_TOKEN_VARIABLE, '')}"}
        request = urllib.request.Request(address, headers=token)  # noqa: S310 - our own server
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - our own server
            experiment = json.load(answer)["experiment"]
    except OSError:
        return ""
    saved = any(tag["key"] == VIEW_TAG for tag in experiment.get("tags", ()))
    view = f"&viewStateShareKey={VIEW}" if saved else ""
    return f"#/experiments/{experiment['experiment_id']}/runs{OF_TRAINING}{view}"


def services_of(workspace: Workspace, dagster_port: int, mlflow_port: int, code_socket: Path) -> tuple[Service, ...]:
    """The services in start order. This function also writes ``workspace.yaml``, which points to the code server.

    The code server checks no caller, so it has a Unix socket in a private folder instead of a port.
    """
    location = workspace.dagster_home / "workspace.yaml"
    server = {"socket": str(code_socket), "location_name": LOCATION}
    write_text_atomically(location, yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    mlflow, dagster = f"{HOST}:{mlflow_port}", f"{HOST}:{dagster_port}"
    return (
        _python(
            "mlflow",
            *("mlflow", "server", "--app-name", MLFLOW_APP, "--host", HOST, "--port", str(mlflow_port)),
            *("--workers", "1", "--backend-store-uri", workspace.tracking_uri),
            *("--artifacts-destination", workspace.artifact_root.as_uri()),
            *("--allowed-hosts", f"{mlflow},localhost:{mlflow_port}"),
            health=f"http://{mlflow}/health",
        ),
        # One code server for web server and daemon. Otherwise each starts one, the daemon a new one every minute.
        _python(
            "dagster code server",
            *("dagster", "code-server", "start", "--socket", str(code_socket)),
            *("-m", "orchestration.dagster.definitions", "--location-name", LOCATION),
            "--use-python-environment-entry-point",
            wait_for=code_socket,
            keeps_children=True,
        ),
        _python(
            "dagster web server",
            *("orchestration.dagster.web_server", "-h", HOST, "-p", str(dagster_port), "-w", str(location)),
            health=f"http://{dagster}/server_info",
        ),
        _python("dagster daemon", "dagster._daemon", "run", "-w", str(location)),
    )


def _python(
    name: str,
    *module: str,
    health: str | None = None,
    wait_for: Path | None = None,
    keeps_children: bool = False,
) -> Service:
    return Service(name, (sys.executable, "-m", *module), health, wait_for, keeps_children)


def environment_of(workspace: Workspace, mlflow_port: int, dagster_port: int) -> dict[str, str]:
    """The variables that the services get in addition to this process's environment."""
    return quiet_environment() | {
        "DAGSTER_HOME": str(workspace.dagster_home),
        WORKSPACE_VARIABLE: str(workspace.root),
        MLFLOW_UI_VARIABLE: f"http://{HOST}:{mlflow_port}",
        DAGSTER_UI_VARIABLE: f"http://{HOST}:{dagster_port}",
    }


def pages_of(dagster_port: int, mlflow_port: int) -> dict[str, str]:
    """Service -> the page to begin with: the job with its graph in Dagster, the training runs in MLflow."""
    from orchestration.dagster.jobs import RETRAIN

    mlflow = f"http://{HOST}:{mlflow_port}"
    dagster = f"http://{HOST}:{dagster_port}/locations/{LOCATION}/jobs/{RETRAIN}"
    return {"Dagster": dagster, "MLflow": f"{mlflow}/{training_runs_page(mlflow)}"}


def _print_addresses(workspace: Workspace, pages: Mapping[str, str]) -> None:
    print(f"workspace  {workspace.root}")
    print(f"Dagster    {pages['Dagster']}   the graph of the pipeline; runs, schedule, sensors")
    print(f"MLflow     {pages['MLflow']}   the training runs; models, champion")
    print(f"inbox      {workspace.inbox}   copy a folder of studies into it, and the file COMPLETE last")
    print(f"logs       {workspace.state / 'logs'}")
    if os.environ.get(WEB_TOKEN_VARIABLE):
        print(f"token      open each address once as ADDRESS?token=..., with the value of {WEB_TOKEN_VARIABLE}")
    print("Ctrl-C stops everything.", flush=True)


if __name__ == "__main__":
    sys.exit(main())

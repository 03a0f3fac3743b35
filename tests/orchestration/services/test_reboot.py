"""What happens at a reboot: everything is killed in the middle of a run and started again.

One test, because a start of the services takes ten seconds.
"""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestration.cli.pipeline import prepare_workspace
from orchestration.dagster.instance import open_instance
from orchestration.dagster.overview import RunLine, present_runs
from orchestration.environment import quiet_environment
from orchestration.pipeline.workspace import Workspace
from orchestration.services.processes import free_port
from orchestration.services.status import status_of
from orchestration.services.up import LOCATION

LAUNCH = """mutation ($run: ExecutionParams!) { launchRun(executionParams: $run) {
    __typename ... on PythonError { message } ... on LaunchRunSuccess { run { runId } } } }"""
SMALL = ("cohort.count=400", "cohort.rows=256", "cohort.columns=128", "cohort.downsample=15")


def wait_for(condition: Callable[[], Any], timeout_s: float) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.3)
    return found


def start(workspace: Workspace, port: int) -> psutil.Process:
    """Start the services, and wait until they respond."""
    command = [sys.executable, "-m", "orchestration.services.up", "--workspace", str(workspace.root)]
    command += ["--dagster-port", str(port), "--mlflow-port", str(free_port())]
    with (workspace.root / "up.txt").open("ab") as log:
        process = psutil.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    wait_for(lambda: responds(workspace), 90)
    return process


def responds(workspace: Workspace) -> bool:
    services = status_of(workspace).services
    return bool(services) and "does not answer" not in str(services)


def launch(port: int) -> str:
    """Start the job ``retrain`` as the web page does; the id of the run."""
    selector = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__", "jobName": "retrain"}
    variables = {"run": {"selector": selector, "runConfigData": {}, "mode": "default"}}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": LAUNCH, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
        answer = json.load(response)["data"]["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def runs(workspace: Workspace) -> dict[str, RunLine]:
    with open_instance(workspace) as instance:
        return {run.run_id: run for run in present_runs(instance, 9)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_after_a_power_cut_the_services_start_and_the_run_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in quiet_environment().items():
        monkeypatch.setenv(name, value)
    workspace, port = Workspace(tmp_path / "ws"), free_port()
    prepare_workspace(workspace, "virtual", None, SMALL)
    services = start(workspace, port)
    everything = [services]
    try:
        first = launch(port)
        wait_for(lambda: status_of(workspace).writing, 90)
        everything += services.children(recursive=True)
        for process in everything:
            process.kill()
        services.wait(30)
        found = status_of(workspace)
        assert found.services is None and not found.writing, "the locks died with the processes"
        services = start(workspace, port)
        assert runs(workspace)[first].status == "FAILURE", "a run without a process must not block the queue"
        wait_for(lambda: any(r.status == "STARTED" for i, r in runs(workspace).items() if i != first), 120)
        assert len(runs(workspace)) == 2, "it is repeated once"
        services.send_signal(signal.SIGTERM)
        assert services.wait(60) == 0
        assert status_of(workspace).services is None
    finally:
        for process in {*everything, *(services.children(recursive=True) if services.is_running() else ()), services}:
            if process.is_running():
                process.kill()

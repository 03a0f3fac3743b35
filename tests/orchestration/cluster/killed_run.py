"""Kills the node of a run while another run waits in the queue, for a test and a benchmark."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from orchestration.dagster.instance import CONCURRENCY
from orchestration.dagster.ray_runs import ray_run_launcher_config
from tests.ray_nodes import ROOT, TwoNodes

MODULE = "tests.orchestration.cluster.sleeping_runs"
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class QueueAfterDeath:
    """Status of the run whose node died, and seconds from the death until the next run had started."""

    status: str
    seconds: float


def kill_the_node_of_a_run(nodes: TwoNodes, folder: Path, monitoring: Mapping[str, Any]) -> QueueAfterDeath:
    """Start a run on the second node and another one behind it, and kill the node. Ray's variables must be set."""
    home, log = folder / "dagster", folder / "daemon.log"
    home.mkdir(parents=True)
    config = {
        "telemetry": {"enabled": False},
        "concurrency": CONCURRENCY,
        "run_monitoring": dict(monitoring),
        **ray_run_launcher_config(),
    }
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    environment = os.environ | {"DAGSTER_HOME": str(home), "PLUMBLINE_WORKSPACE": str(folder), "PYTHONPATH": str(ROOT)}
    with dg.DagsterInstance.from_config(str(home)):
        pass  # makes the database, which two programs cannot make at the same time
    with log.open("wb") as output:
        command = [str(BIN / "dagster-daemon"), "run", "-m", MODULE]
        daemon = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
    try:
        _launch("waiting", environment, folder)
        _wait_for((folder / "waiting").is_file, 120, log)
        _launch("noting", environment, folder)
        assert not (folder / "noted").exists()
        nodes.kill_second()
        died = time.monotonic()
        _wait_for((folder / "noted").is_file, 180, log)
        seconds = time.monotonic() - died
    finally:
        daemon.terminate()
        daemon.wait(30)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        (status,) = (run.status.value for run in instance.get_runs() if run.job_name == "waiting")
    return QueueAfterDeath(status, seconds)


def _launch(job: str, environment: Mapping[str, str], folder: Path) -> None:
    command = [str(BIN / "dagster"), "job", "launch", "-m", MODULE, "-j", job]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]


def _wait_for(what: Callable[[], bool], seconds: float, log: Path) -> None:
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, log.read_text()[-3000:]
        time.sleep(0.5)

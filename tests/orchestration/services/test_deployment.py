"""The programs of a deployment on PostgreSQL, and what happens when the code server dies with its run.

One test, because a start of the programs takes ten seconds.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from orchestration.cli.pipeline import prepare_workspace
from orchestration.dagster.overview import RunLine
from orchestration.environment import DAGSTER_DB_VARIABLE, WORKSPACE_VARIABLE, quiet_environment
from orchestration.pipeline.workspace import Workspace
from orchestration.services.processes import Service, Supervised, accepts, free_port
from orchestration.services.up import LOCATION
from tests.orchestration.services.test_reboot import SMALL, launch, runs, wait_for
from tests.throwaway_servers import INFRA
from tests.validation.promotion.throwaway_postgres import serving, why_not

WITHIN_S = 180
"""A run that died with its machine ends, and the next one starts, within three minutes of the code server's start."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_run_that_died_with_the_code_server_ends_and_the_queue_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    pytest.importorskip("dagster_postgres", reason="dagster-postgres is not installed (extra `dev`)")
    workspace, grpc, web = Workspace(tmp_path / "ws"), free_port(), free_port()
    with serving() as server:
        named = {DAGSTER_DB_VARIABLE: server.address, WORKSPACE_VARIABLE: str(workspace.root)}
        for name, value in (quiet_environment() | named | {"DAGSTER_HOME": str(workspace.dagster_home)}).items():
            monkeypatch.setenv(name, value)
        prepare_workspace(workspace, "virtual", None, SMALL)
        subprocess.run([sys.executable, "-m", "orchestration.dagster.instance", str(workspace.root)], check=True)
        with code_server(tmp_path, grpc) as code, services(tmp_path, grpc, web):
            first, second = launch(web), launch(web)
            wait_for(lambda: state(workspace, first) == "STARTED", 120)
            assert command_line_is_refused(workspace)
            assert state(workspace, second) == "QUEUED", "one run at a time writes in a workspace"
            for process in (*code.children(recursive=True), code):
                process.kill()
            code.wait(30)
            with code_server(tmp_path, grpc):
                wait_for(lambda: state(workspace, first) == "FAILURE", WITHIN_S)
                wait_for(lambda: state(workspace, second) in ("STARTED", "SUCCESS"), WITHIN_S)
        assert not list(workspace.dagster_home.rglob("*.db"))


@contextmanager
def code_server(folder: Path, port: int) -> Iterator[psutil.Process]:
    """The code server of infra/compose.yaml."""
    command = words("code", str(port), "4000")
    with (folder / "code.txt").open("ab") as log:
        process = psutil.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(lambda: accepts(port), 90)
        yield process
    finally:
        for each in (*(process.children(recursive=True) if process.is_running() else ()), process):
            if each.is_running():
                each.kill()
        process.wait(30)


@contextmanager
def services(folder: Path, grpc: int, web: int) -> Iterator[None]:
    """The web server and the daemon of infra/compose.yaml."""
    location = yaml.safe_load((INFRA / "workspace.yaml").read_text())
    location["load_from"][0]["grpc_server"] |= {"host": "127.0.0.1", "port": grpc}
    assert location["load_from"][0]["grpc_server"]["location_name"] == LOCATION
    (folder / "workspace.yaml").write_text(yaml.safe_dump(location))
    place = str(folder / "workspace.yaml")
    started = [
        Service("web", words("web", str(web), "3000", place), health=f"http://127.0.0.1:{web}/server_info"),
        Service("daemon", words("daemon", "", "", place)),
    ]
    with Supervised(started, folder / "logs", os.environ) as up:
        up.wait_until_up()
        yield


def words(service: str, port: str, instead_of: str, location: str = "") -> list[str]:
    """The command of a service of infra/compose.yaml, on this machine."""
    written = yaml.safe_load((INFRA / "compose.yaml").read_text())["services"][service]["command"].split()
    here = {"python": sys.executable, "0.0.0.0": "127.0.0.1", instead_of: port, "/opt/dagster/workspace.yaml": location}
    return [here.get(word, word) for word in written]


def state(workspace: Workspace, run_id: str) -> str:
    known: dict[str, RunLine] = runs(workspace)
    return known[run_id].status if run_id in known else ""


def command_line_is_refused(workspace: Workspace) -> bool:
    """`plumbline run` looks into the same history, ends no living run there, and waits its turn."""
    command = [sys.executable, "-m", "orchestration.cli.main", "run", "-w", str(workspace.root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode == 4 and "RUN_IN_PROGRESS" in done.stderr

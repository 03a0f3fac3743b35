"""Two Ray nodes on this machine, for tests and benchmarks: a head, on which the caller works, and a second node.

Contract: the nodes have a token, folders and process groups of their own, so that other clusters of this account are
neither used nor stopped. A starved machine may fail to start a node within Ray's fixed 30 s.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from orchestration.environment import RAY_ADDRESS_VARIABLE, quiet_environment

RAY = Path(sys.executable).parent / "ray"
ROOT = Path(__file__).parents[1]
_START_WITHIN_S = 90.0
_NO_PORT_OF_WORKERS = range(20_000, 32_000)  # Ray gives 10002-19999 to its workers


@dataclass
class TwoNodes:
    """Two nodes with ``cores`` cores each.

    Attributes:
        address, dashboard: HOST:PORT of the head, and the HTTP address for jobs.
        token: what a client needs.
    """

    cores: int = 1
    folder: Path = field(
        default_factory=lambda: Path(tempfile.mkdtemp(prefix="pl", dir="/tmp"))
    )  # socket paths are limited
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        port, dashboard = free_port(), free_port()
        self.address, self.dashboard = f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}"
        self._head = ["--head", "--port", str(port), "--dashboard-host", "127.0.0.1"]
        self._head += ["--dashboard-port", str(dashboard), "--dashboard-agent-listen-port", "0"]

    @property
    def variables(self) -> dict[str, str]:
        """What a process needs to work on the cluster."""
        return {**quiet_environment(), RAY_ADDRESS_VARIABLE: self.address, "RAY_AUTH_TOKEN": self.token}

    def start(self) -> None:
        """Start the head, then the second node."""
        self.start_node("a", self._head)
        self.start_second()

    def start_second(self, variables: Mapping[str, str] = {}) -> None:
        """Start the second node, or another one in its place. It alone has the resource ``second``."""
        del self.processes[1:]
        resources = ["--resources", '{"second": 4}']
        self.start_node(f"b{secrets.token_hex(2)}", ["--address", self.address, *resources], variables)

    def start_node(self, name: str, options: list[str], variables: Mapping[str, str] = {}) -> None:
        """Start a node and wait until the cluster counts it."""
        log = self.folder / f"{name}.log"
        command = [str(RAY), "start", *options, "--block", "--disable-usage-stats", "--node-ip-address", "127.0.0.1"]
        command += ["--num-cpus", str(self.cores), "--num-gpus", "0", "--object-store-memory", "100000000"]
        command += ["--temp-dir", str(self.folder / name)]
        # A run is started as `dagster`, which the node finds by its PATH.
        path = f"{RAY.parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, **self.variables, "PATH": path, "PYTHONPATH": str(ROOT), **variables}
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, env=environment, cwd=self.folder, stdout=output, stderr=output, start_new_session=True
            )
        self.processes.append(process)
        limit = time.monotonic() + _START_WITHIN_S
        while "--block" not in log.read_text():  # Ray's line that it now waits for the end
            if process.poll() is not None or time.monotonic() > limit:
                raise TimeoutError(f"Ray's node {name} did not start: {log.read_text()[-1000:]}")
            time.sleep(0.2)

    def kill_second(self) -> None:
        """End every process of the second node at once, as when its machine loses power."""
        _kill(self.processes[1])

    def stop(self) -> None:
        """End all processes and remove their folders. First this process leaves, or Ray would end it too."""
        if "ray" in sys.modules:
            sys.modules["ray"].shutdown()
        for process in self.processes[::-1]:
            _kill(process)
        subprocess.run(["/bin/rm", "-rf", str(self.folder)], check=False)


def free_port() -> int:
    """A port that is free now, outside the range of Ray's workers."""
    while True:
        port = secrets.choice(_NO_PORT_OF_WORKERS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def two_nodes(cores: int = 1) -> Iterator[TwoNodes]:
    """Two nodes inside this block. A start that fails on a busy machine is tried again."""
    nodes = _started(cores, attempts=3)
    try:
        yield nodes
    finally:
        nodes.stop()


def _started(cores: int, attempts: int) -> TwoNodes:
    nodes = TwoNodes(cores)
    try:
        nodes.start()
    except BaseException as fault:
        nodes.stop()
        if isinstance(fault, TimeoutError) and attempts > 1:
            return _started(cores, attempts - 1)
        raise
    return nodes


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(psutil.NoSuchProcess):
        for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with suppress(psutil.NoSuchProcess):
                each.kill()  # jobs have process groups of their own
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

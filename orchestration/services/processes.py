"""Supervised child processes: starts them, waits until they respond, notices when one dies, and stops them all.

Contract: each child leads its own process group, so its children stop with it. Each child appends to its own log
file, which keeps the output of earlier starts until it is rotated. A service that dies is started again, at most
``RESTARTS`` times in ``WINDOW_S``. Stopping sends SIGTERM first and SIGKILL after ``GRACE_S``. If the supervisor is
killed, its children get SIGTERM.
"""

import ctypes
import http
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import takewhile
from pathlib import Path

from orchestration.log_rotation import rotate
from spine.errors import ParametersRejected, PlumblineError

HOST = "127.0.0.1"
"""Services listen on this address only."""

GRACE_S = 5.0
KILLED_WITHIN_S = 1.0
"""Together well below the ten seconds after which ``docker stop`` kills: the supervisor itself has to end too."""

RESTARTS, WINDOW_S = 5, 600.0
FIRST_PAUSE_S = 1.0
"""The pause before a service is started again, which doubles with each restart within the window."""

START_TIMEOUT_S = 120.0

_PR_SET_PDEATHSIG = 1

_START = "plumbline starts"
"""Marks in a log where the output of a start begins."""


class ServiceFailed(PlumblineError):
    """A service did not start, or died."""


@dataclass(frozen=True)
class Service:
    """One process to supervise.

    Attributes:
        name: name of the service in messages; also the name of its log file.
        command: program and arguments.
        health: address that responds with status 200 once the service is up; None if there is no such address.
        keeps_children: whether its children, such as runs, live on when it is started again.
        wait_for: port or Unix socket that must accept connections before the next service starts; None to start it at
            once.
    """

    name: str
    command: Sequence[str]
    health: str | None = None
    wait_for: int | Path | None = None
    keeps_children: bool = False


class Supervised:
    """A context manager that starts services, and stops all of them when the context closes."""

    def __init__(self, services: Sequence[Service], logs: Path, environment: Mapping[str, str]) -> None:
        self._services = services
        self._logs = logs
        self._environment = {**os.environ, **environment}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._former: list[subprocess.Popen[bytes]] = []
        self._died: dict[str, list[float]] = {}

    def __enter__(self) -> "Supervised":
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            for service in self._services:
                self._start(service)
                if service.wait_for is not None:
                    self._wait(service, partial(accepts, service.wait_for), "connection", START_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, service: Service) -> None:
        rotate(self.log_of(service.name))
        with self.log_of(service.name).open("ab") as log:
            log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {_START} {service.name}\n".encode())
            log.flush()  # before the child writes
            self._running[service.name] = subprocess.Popen(
                list(service.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
                preexec_fn=_end_with_supervisor,
            )

    def log_of(self, name: str) -> Path:
        """The log file of a service."""
        return self._logs / f"{name.replace(' ', '-')}.log"

    def rotate_logs(self) -> None:
        """Rotate the logs that have become too large."""
        for service in self._services:
            rotate(self.log_of(service.name))

    def wait_until_up(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until every health address responds; wait at most ``timeout_s`` for each address.

        Raises:
            ServiceFailed: a service died (``SERVICE_DIED``) or does not respond in time (``SERVICE_LATE``).
        """
        for service in self._services:
            if service.health is not None:
                self._wait(service, partial(answers, service.health), "answer", timeout_s)

    def _wait(self, service: Service, is_up: Callable[[], bool], what: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_up():
            self.check()
            if time.monotonic() > deadline:
                raise self._failed("SERVICE_LATE", service.name, f"no {what} after {timeout_s:.0f} s")
            time.sleep(0.1)

    def check(self) -> None:
        """Raise ``ServiceFailed`` if a service has died."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise self._failed("SERVICE_DIED", name, f"ended with exit code {process.returncode}")

    def restart_dead(self) -> list[str]:
        """Start the services again that have died and whose pause is over; return their names.

        Raises:
            ServiceFailed: SERVICE_DIED: a service died more than ``RESTARTS`` times in ``WINDOW_S``.
        """
        restarted = []
        for service in self._services:
            process, now = self._running[service.name], time.monotonic()
            if process.poll() is None:
                continue
            died = self._died.setdefault(service.name, [])
            if process not in self._former:
                self._former.append(process)
                died[:] = [at for at in died if now - at < WINDOW_S] + [now]
            if len(died) > RESTARTS:
                what = f"died {len(died)} times in {WINDOW_S / 60:.0f} min, last with exit code {process.returncode}"
                raise self._failed("SERVICE_DIED", service.name, what)
            if now - died[-1] >= FIRST_PAUSE_S * 2 ** (len(died) - 1):
                self._start_again(service, process)
                restarted.append(service.name)
        return restarted

    def _start_again(self, service: Service, dead: subprocess.Popen[bytes]) -> None:
        if not service.keeps_children:
            _signal_group(dead, signal.SIGKILL)  # a child may still listen on the port
        if isinstance(service.wait_for, Path):
            service.wait_for.unlink(missing_ok=True)
        self._start(service)

    def _groups(self) -> list[subprocess.Popen[bytes]]:
        """The processes that lead the groups of the services, and of those that died."""
        return [*self._running.values(), *self._former]

    def stop(self) -> None:
        """Stop every process group: send SIGTERM, wait at most ``GRACE_S``, and send SIGKILL."""
        for process in self._groups():
            _signal_group(process, signal.SIGTERM)
        self._wait_until_gone(GRACE_S)
        for process in self._groups():
            _signal_group(process, signal.SIGKILL)
            process.wait()
        # A killed run holds its lock, and counts as alive, until the kernel has released its memory.
        self._wait_until_gone(KILLED_WITHIN_S)
        self._running.clear()
        self._former.clear()

    def _wait_until_gone(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while any(_group_alive(p) for p in self._groups()) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _failed(self, code: str, name: str, what: str) -> ServiceFailed:
        log = self.log_of(name)
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        last = list(takewhile(lambda line: _START not in line, reversed(lines[-3:])))[::-1]
        found = f"{name}: {what}" + (f" ({' | '.join(line.strip() for line in last)})" if last else "")
        return ServiceFailed(code, found=found, expected="a running service", remedy=f"read {log}")


def answers(address: str) -> bool:
    """Whether an address on this machine responds with status 200, or asks for the token. No proxy is used."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=2) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        return error.code == http.HTTPStatus.UNAUTHORIZED
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def accepts(at: int | Path) -> bool:
    """Whether something listens on the port, or on the Unix socket."""
    place, family = (str(at), socket.AF_UNIX) if isinstance(at, Path) else ((HOST, at), socket.AF_INET)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        return probe.connect_ex(place) == 0


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def require_free_port(port: int, option: str) -> None:
    """Refuse a port that is in use.

    Raises:
        ParametersRejected: ``PORT_TAKEN``.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Servers set this option too, so a port in TIME_WAIT after a restart counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ParametersRejected(
                "PORT_TAKEN",
                found=f"port {port} on {HOST}: {error.strerror}",
                expected="a free port",
                remedy=f"stop the program that listens there, or choose another port with {option}",
            ) from error


def _end_with_supervisor() -> None:
    """Let Linux send SIGTERM to this child when the supervisor dies, even of SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal_group(process: subprocess.Popen[bytes], what: signal.Signals) -> None:
    try:
        os.killpg(process.pid, what)
    except ProcessLookupError:
        return


def _group_alive(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process of the group still exists. The check also reaps the leader, so that no zombie remains."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True

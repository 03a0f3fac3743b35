"""Worker processes end when their parent ends, even by a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from spine.worker_pool import worker_pool

_PARENT = """
import sys, time
from spine.worker_pool import worker_pool
from os import getpid

if __name__ == "__main__":
    pool = worker_pool(2)
    pids = {pool.submit(getpid).result() for _ in range(20)}
    busy = [pool.submit(time.sleep, 600) for _ in range(2)]
    print(*pids, flush=True)
    time.sleep(600)
"""


def _living(pids: list[int]) -> list[int]:
    return [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        pids += [child.pid for child in psutil.Process(parent.pid).children() if child.pid not in pids]
        assert pids
        assert _living(pids) == pids
        parent.send_signal(how)
        parent.wait(timeout=20)
    until = time.monotonic() + 20
    while _living(pids) and time.monotonic() < until:
        time.sleep(0.1)
    assert _living(pids) == []


def test_the_preparation_runs_in_every_worker() -> None:
    with worker_pool(1, _prepare) as pool:
        assert pool.submit(os.getenv, "PLUMBLINE_PREPARED").result() == "yes"
    assert "PLUMBLINE_PREPARED" not in os.environ


def _prepare() -> None:
    os.environ["PLUMBLINE_PREPARED"] = "yes"

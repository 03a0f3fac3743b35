"""SIGTERM ends a command within ten seconds, also while a library works."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

BEGIN = "from orchestration.services.interruption import end_soon_after_sigterm; end_soon_after_sigterm({within}); "
BUSY = "import hashlib; print('up', flush=True); hashlib.pbkdf2_hmac('sha256', b'a', b'b', 2_000_000_000)"
CHILD = "import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
CLEAN = """
import time
print('up', flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print('cleaned up', flush=True)
"""
REPLACED = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: None)
print('up', flush=True)
while True:
    time.sleep(9)
"""


def terminated(code: str, within: float = 1.0) -> tuple[int, str, float]:
    """Exit code, output and seconds from SIGTERM to the end."""
    command = [sys.executable, "-u", "-c", BEGIN.format(within=within) + code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        time.sleep(0.3)  # until it is at work
        children = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        output, _ = process.communicate(timeout=20)
        seconds = time.monotonic() - began
    while any(map(running, children)):  # the system ends a killed process a moment later
        assert time.monotonic() - began < 20
        time.sleep(0.05)
    return process.returncode, output, seconds


def running(child: psutil.Process) -> bool:
    try:
        return child.is_running() and child.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_it_is_an_interrupt_first():
    code, output, _ = terminated(CLEAN, within=9)
    assert (code, output) == (0, "cleaned up\n")


@pytest.mark.parametrize("code", [BUSY, CHILD + BUSY, REPLACED])
def test_a_process_that_does_not_end_is_ended_with_its_children(code):
    exit_code, _, seconds = terminated(code)
    assert exit_code == 143
    assert 0.9 < seconds < 3

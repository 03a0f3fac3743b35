"""Handles SIGTERM like Ctrl-C, and ends a process that does not end by itself."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` in the block at SIGTERM. Later signals are ignored, so that stopping can finish."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        for kind in before:
            signal.signal(kind, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {kind: signal.signal(kind, interrupt) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


ENDS_WITHIN_S = 9.0
"""Less than the ten seconds after which ``docker stop`` and others kill without asking."""


def end_soon_after_sigterm(within_s: float = ENDS_WITHIN_S) -> None:
    """Handle SIGTERM like Ctrl-C in this process from now on, and end it after ``within_s`` in any case.

    A handler of Python runs between two instructions of Python only, and a call into a library may last minutes. The
    system writes to the pipe at once, whichever handler is set later (https://docs.python.org/3/library/signal.html).
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end, args=(reading, within_s), daemon=True, name="ends after SIGTERM").start()


def _end(reading: int, within_s: float) -> None:
    while signal.SIGTERM not in os.read(reading, 1):
        pass
    time.sleep(within_s)
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(128 + signal.SIGTERM)

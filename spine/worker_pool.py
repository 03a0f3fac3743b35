"""Worker processes that end when their parent ends.

Contract: processes are spawned, not forked, because the caller may have running threads (torch, Dagster). A worker
whose parent has ended or was killed ends at once and does not wait for work.
"""

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process


def worker_pool(workers: int, prepare: Callable[[], None] | None = None) -> ProcessPoolExecutor:
    """A pool of ``workers`` spawned processes; ``prepare`` runs once in each process."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(prepare,))


def _begin(prepare: Callable[[], None] | None) -> None:
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()
    if prepare is not None:
        prepare()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # the main thread waits on a queue and would not notice an exception


def ignore_stop_signals() -> None:
    """Ignore SIGINT and SIGTERM in this worker process.

    A terminal and systemd send them to the workers too. The parent decides when its workers end.
    """
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.SIG_IGN)

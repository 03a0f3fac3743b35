"""Several workers, and what becomes of a worker that hangs or dies: its input is a finding, and another one goes on."""

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from benchmarks.fuzz.results import Tally
from benchmarks.fuzz.targets import Target
from benchmarks.fuzz.watch import MOST_SECONDS, Outcome, documented_codes
from benchmarks.fuzz.worker import Order, run_worker

GRACE_S = 3.0
"""A worker that answers this much too late reports its finding itself; afterwards it is killed."""

Found = Callable[[int, str], None]
"""Called with (number of the input, rule that it broke)."""


@dataclass
class _Worker:
    order: Order
    process: Any
    state: Any
    parent: Connection
    ended: bool = False


def fuzz(target: Target, *, seed: int, first: int, inputs: int, seconds: float, workers: int, found: Found) -> Tally:
    """Read the inputs ``first`` to ``first + inputs``, or as many as ``seconds`` allow, and return their counts."""
    started = time.monotonic()
    tally, ends, known = Tally(), [first], documented_codes()
    with tempfile.TemporaryDirectory(prefix="plumbline-fuzz-", dir=_memory()) as folder:
        last, stop_at = first + inputs, started + seconds
        orders = (
            Order(target, seed, first + i, last, workers, stop_at, Path(folder) / str(i), known) for i in range(workers)
        )
        running = [_started(order) for order in orders if order.first < order.last]
        while running:
            wait([worker.parent for worker in running], timeout=0.2)
            running = [left for worker in running for left in _tended(worker, tally, found, ends)]
    tally.seconds = time.monotonic() - started
    tally.next = {str(seed): min(max(ends), first + inputs)}
    return tally


def _memory() -> str | None:
    """A folder in memory, if the machine has one: the inputs are many small files."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _started(order: Order) -> _Worker:
    context = multiprocessing.get_context("spawn")
    own, theirs = context.Pipe(duplex=False)
    state = context.Array("d", 3, lock=False)
    process = context.Process(target=run_worker, args=(order, state, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Worker(order, process, state, own)


def _tended(worker: _Worker, tally: Tally, found: Found, ends: list[int]) -> list[_Worker]:
    """Take the messages of a worker. Returns the worker that goes on: itself, one in its place, or none."""
    with contextlib.suppress(EOFError, OSError):
        while worker.parent.poll():
            kind, *content = worker.parent.recv()
            if kind == "tally":
                tally.join(content[0])
            elif kind == "finding":
                found(content[0], content[1])
            else:
                worker.ended = True
                ends.append(content[0])
    number, begun = int(worker.state[0]), worker.state[1]
    if worker.ended:
        worker.process.join()
        return _continued(worker, ends[-1])
    if worker.process.exitcode is not None:
        return _replaced(worker, tally, found, f"the worker died ({worker.process.exitcode})", number)
    if begun and time.monotonic() - begun > MOST_SECONDS + GRACE_S:
        _kill(worker)
        return _replaced(worker, tally, found, f"no answer within {MOST_SECONDS:.0f} s", number)
    return [worker]


def _replaced(worker: _Worker, tally: Tally, found: Found, fault: str, number: int) -> list[_Worker]:
    """Record the input of a worker that is gone, and go on after it."""
    name = f"{worker.order.seed}/{number}"
    tally.add(Outcome((), MOST_SECONDS + GRACE_S, 0, fault), name, frozenset())
    found(number, fault)
    return _continued(worker, number + worker.order.step)


def _continued(worker: _Worker, first: int) -> list[_Worker]:
    order = replace(worker.order, first=first)
    worker.parent.close()
    done = first >= order.last or time.monotonic() >= order.stop_at
    return [] if done else [_started(order)]


def _kill(worker: _Worker) -> None:
    decoder = int(worker.state[2])
    worker.process.kill()
    worker.process.join()
    if decoder:
        with contextlib.suppress(ProcessLookupError):
            os.kill(decoder, signal.SIGKILL)

"""The process that reads inputs one after the other, and reports to its parent (``pool``)."""

import logging
import os
import resource
import shutil
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.fuzz.results import Tally
from benchmarks.fuzz.targets import Target
from benchmarks.fuzz.watch import judged
from spine.radiograph.sandbox import child_pid

ADDRESS_SPACE = 6 * 2**30
"""Protects the machine. The rule of 1 GiB is about resident memory (``watch``)."""
REPORT_S = 1.0


@dataclass(frozen=True)
class Order:
    """What a worker does: every ``step``-th input from ``first`` to before ``last``, until ``stop_at``.

    ``known`` has the documented codes.
    ``stop_at`` is in seconds of ``time.monotonic``, which all processes of a machine share.
    """

    target: Target
    seed: int
    first: int
    last: int
    step: int
    stop_at: float
    folder: Path
    known: frozenset[str]


def run_worker(order: Order, state: Any, parent: Connection) -> None:
    """Read the inputs of an order.

    ``state`` is shared with the parent: the number of the input, when its reading began (0 between inputs), and the
    process id of the decoder. Messages to the parent are ``("tally", Tally)``, ``("finding", number, fault)`` and
    ``("end", next number)``.
    """
    _limit(order.folder)
    tally, reported = Tally(), time.monotonic()
    order.target.input(order.seed, order.first)  # makes the seeds before the first clock starts
    number = order.first
    while number < order.last and time.monotonic() < order.stop_at:
        state[0], files = number, order.target.input(order.seed, number)
        state[1] = time.monotonic()
        outcome = judged(order.target, files, order.folder / "work", order.known)
        state[1] = 0.0
        state[2] = child_pid() or 0
        tally.add(outcome, f"{order.seed}/{number}", order.target.first_check)
        number += order.step
        if outcome.fault:
            parent.send(("finding", number - order.step, outcome.fault))
        if time.monotonic() - reported > REPORT_S:
            parent.send(("tally", tally))
            tally, reported = Tally(), time.monotonic()
        if outcome.fault and "MiB" in outcome.fault:
            break  # the peak of a process never falls, so a new process goes on
    parent.send(("tally", tally))
    parent.send(("end", number))


def _limit(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # what a worker left that was killed
    folder.mkdir(parents=True)
    os.chdir(folder)
    sys.dont_write_bytecode = True
    logging.lastResort = None
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))

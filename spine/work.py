"""One interface for work on many items, and the implementation that uses the cores of this machine.

Contract: the results come in the order of the items. Only a bounded number of batches is under way, so that the
required memory does not depend on the number of items. An exception of a task reaches the caller in the place of its
result, and ends the run. Everything that is passed to ``run`` is pickled: functions are functions of a module, or a
``functools.partial`` of one.

A task depends on its item only, and gives the same result when it is repeated. It may run twice, also at the same time:
a machine that has only lost its connection finishes its task after the task was given to another machine. Therefore a
task writes below a folder of its own attempt, and one rename decides. It returns records, not pixels.

    WORKER_DIED    a worker process ended without a result
"""

import os
import pickle
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from spine.errors import PlumblineError
from spine.worker_pool import leave_process_group, worker_pool

BATCHES_PER_WORKER = 3
"""Batches under way for each worker: one that runs, and two so that the worker does not wait for the caller."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Handle = TypeVar("Handle")


@dataclass(frozen=True)
class Resources:
    """What one batch needs.

    Attributes:
        cpus: number of cores.
        gpus: number of GPUs. Work on one machine ignores it.
        memory_bytes: memory, or 0 for no statement. Work on one machine ignores it.
    """

    cpus: float = 1
    gpus: float = 0
    memory_bytes: int = 0


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """The outcome of a batch: the results until the first exception, and this exception."""

    results: tuple[Result, ...]
    fault: Exception | None = None


class Work(Protocol):
    """A place where work is done."""

    def run(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        batch: int = 1,
        resources: Resources = Resources(),
    ) -> Generator[Result, None, None]:
        """The results of ``function`` for each item, in the order of the items.

        Args:
            function: the task; see the head of the module.
            items: the items, which are read while the work is under way.
            batch: number of items that one worker gets at a time. Small tasks need large batches.
            resources: what one batch needs.

        Raises:
            PlumblineError: ``WORKER_DIED``, or what the task raises. Batches that have not begun are cancelled, as they
                are when the caller closes the iterator.
        """


@dataclass(frozen=True)
class LocalWork:
    """Work in ``workers`` processes of this machine, with one thread each.

    With one worker, or with the items of one batch, the work is done in this process and nothing is started.
    """

    workers: int = 1

    def run(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        batch: int = 1,
        resources: Resources = Resources(),
    ) -> Generator[Result, None, None]:
        """The results in order; see ``Work.run``."""
        workers = max(1, int(self.workers / max(resources.cpus, 1)))
        waiting = iter(items)
        first = list(islice(waiting, batch + 1))
        if workers == 1 or len(first) <= batch:
            yield from map(function, chain(first, waiting))
            return
        pool = worker_pool(workers, _prepare)

        def submit(items: tuple[Item, ...]) -> "Future[Outcome[Result]]":
            return pool.submit(outcome_of, function, items)

        try:
            batches = batches_of(chain(first, waiting), batch)
            yield from results_in_order(batches, submit, Future.result, workers * BATCHES_PER_WORKER)
        except BrokenProcessPool:
            raise worker_died() from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


IN_THIS_PROCESS = LocalWork(1)


def batches_of(items: Iterable[Item], batch: int) -> Iterator[tuple[Item, ...]]:
    """The items in tuples of ``batch`` items; the last one may be shorter."""
    waiting = iter(items)
    while found := tuple(islice(waiting, batch)):
        yield found


def outcome_of(function: Callable[[Item], Result], batch: Sequence[Item]) -> Outcome[Result]:
    """Run the task for each item of a batch until one raises an exception. Implementations call this in a worker."""
    results: list[Result] = []
    for item in batch:
        try:
            results.append(function(item))
        except Exception as fault:
            return Outcome(tuple(results), fault if isinstance(fault, PlumblineError) else _portable(fault))
    return Outcome(tuple(results))


def _portable(fault: Exception) -> Exception:
    """An unexpected exception in a form that survives pickling, with its traceback as a note and its place."""
    try:
        copy = pickle.loads(pickle.dumps(fault))  # noqa: S301 -- our own bytes
        found = fault if type(copy) is type(fault) else RuntimeError(f"{type(fault).__name__}: {fault}")
    except Exception:  # an exception may have arguments or attributes that cannot be pickled
        found = RuntimeError(f"{type(fault).__name__}: {fault}")
    found.add_note("".join(traceback.format_exception(fault)))  # pickling drops the traceback
    found.__dict__["raised_at"] = place_of_fault(fault)
    return found


def place_of_fault(fault: BaseException) -> str:
    """File and line where an exception was raised, in a worker or here."""
    if at := fault.__dict__.get("raised_at"):
        return str(at)
    last = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


def run_apart(function: Callable[[Item], Result], item: Item) -> Result:
    """The result of one item from a process of its own, because the task may end its process.

    Raises:
        PlumblineError: ``WORKER_DIED``, or what the task raises.
    """
    pool = worker_pool(1, _prepare)
    try:
        found = pool.submit(outcome_of, function, (item,)).result()
    except BrokenProcessPool:
        raise worker_died() from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if found.fault is not None:
        raise found.fault
    return found.results[0]


def results_in_order(
    batches: Iterable[tuple[Item, ...]],
    submit: Callable[[tuple[Item, ...]], Handle],
    outcome: Callable[[Handle], Outcome[Result]],
    ahead: int,
) -> Iterator[Result]:
    """The results of all batches in order, with at most ``ahead`` batches under way.

    ``submit`` starts a batch and returns a handle. ``outcome`` waits for the handle's outcome.
    """
    waiting = iter(batches)
    running = deque(submit(batch) for batch in islice(waiting, ahead))
    while running:
        found = outcome(running.popleft())
        running.extend(submit(batch) for batch in islice(waiting, 1))
        yield from found.results
        if found.fault is not None:
            raise found.fault


def worker_died() -> PlumblineError:
    """The error for a worker that ended without a result."""
    return PlumblineError(
        "WORKER_DIED",
        found="a worker process that ended without a result",
        expected="workers that are not killed, and enough memory for each of them",
        remedy="run again, with fewer workers (PLUMBLINE_WORKERS) if memory was short; finished work is kept",
    )


def _prepare() -> None:
    """Limit a worker to one thread in libraries that are loaded later, and leave Ctrl-C to its parent."""
    leave_process_group()
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

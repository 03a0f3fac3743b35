"""Processes that promote at the same time, and processes that are killed during a promotion, for tests and benchmarks.

Each racer is a process with its own connections, and a barrier starts all racers of a round together. Some racers share
a history, and some have their own history, like promoters on different machines. So only the champion record can decide
which racer wins.
"""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import mlflow  # noqa: F401  the fork server imports it once for all processes

from spine import storage
from spine.errors import PlumblineError
from tests.validation.gates.records import build_record
from tests.validation.promotion.registry import AT, SERVED, Registry
from validation.evaluation.record import EvaluationRecord
from validation.promotion import (
    champion_change,
    champion_record,
    cleanup,
    database,
    history,
    history_length,
    served_copy,
)
from validation.promotion.audit import audit
from validation.promotion.champion import current_champion, open_registry, versions_of
from validation.promotion.champion_record import ChampionRecord, ServingVersion
from validation.promotion.history import read_history
from validation.promotion.repair import repair
from validation.promotion.served_copy import promotions_experiment

STEPS = frozenset(
    str(module.__file__)
    for module in (champion_change, champion_record, cleanup, database, history, history_length, served_copy, storage)
)
"""The files of the functions at whose calls and returns a promotion can be killed."""


@dataclass(frozen=True)
class Attempt:
    """One promotion that any racer can attempt; ``folder`` has the evidence."""

    tracking_uri: str
    folder: Path
    address: str

    def promote(self, ledger: Path) -> str:
        """``won``, or the code of the refusal."""
        registry = Registry(self.tracking_uri, self.folder, build_record)
        try:
            # Each history has its own time, as two machines do: equal first entries would make two histories one.
            at = AT + timedelta(microseconds=sum(ledger.name.encode()))
            registry.promote(self.address, ledger_path=ledger, promoter=f"process {os.getpid()}", at=at)
        except PlumblineError as error:
            return error.code
        return "won"


class Track:
    """A source of attempts: each has a new model that was judged against the present champion."""

    def __init__(self, folder: Path, tracking_uri: str, scored: Any) -> None:
        self.folder, self.tracking_uri = folder, tracking_uri
        better = scored("challenger", "a" * 64, noise=0.5, seed=3)
        worse = scored("champion", "b" * 64, noise=2.0, seed=2)
        self._records = {"challenger": better, "champion": worse}
        self._made = 0

    def next(self) -> Attempt:
        """Register and judge one more model."""
        self._made += 1
        folder = self.folder / f"round-{self._made}"
        (folder / "evidence").mkdir(parents=True)
        registry = Registry(self.tracking_uri, folder, self._scored)
        champion = current_champion(self.tracking_uri, SERVED)
        address = registry.candidate(f"model-{self._made}", champion.model_digest if champion else None)
        return Attempt(self.tracking_uri, folder, address)

    def _scored(self, role: str, digest: str, **_: Any) -> EvaluationRecord:
        return replace(self._records[role], model_digest=digest)


def preloaded() -> ForkServerContext:
    """A fork server that has imported this module and opened no connection."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def race(track: Track, *, processes: int, rounds: int, histories: int) -> list[Counter[str]]:
    """Outcomes of each round."""
    context = preloaded()
    barrier = context.Barrier(processes + 1)
    ledgers = [track.folder / f"history-{i % histories}.jsonl" for i in range(processes)]
    pipes = [context.Pipe() for _ in range(processes)]
    racers = [
        context.Process(target=_racer, args=(barrier, theirs, ledger), daemon=True)
        for (_, theirs), ledger in zip(pipes, ledgers, strict=True)
    ]
    outcomes = []
    with running(racers):
        for _ in range(rounds):
            attempt = track.next()
            for ours, _theirs in pipes:
                ours.send(attempt)
            barrier.wait()
            outcomes.append(Counter(ours.recv() for ours, _theirs in pipes))
        for ours, _theirs in pipes:
            ours.send(None)
    return outcomes


@contextmanager
def running(processes: Sequence[BaseProcess]) -> Iterator[None]:
    """Start the processes, and wait for their end after the block."""
    for process in processes:
        process.start()
    yield
    for process in processes:
        process.join()


def _racer(barrier: Any, pipe: Any, ledger: Path) -> None:
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    while (attempt := pipe.recv()) is not None:
        barrier.wait()
        pipe.send(attempt.promote(ledger))


def race_for_the_row(database: str, *, processes: int, rounds: int) -> list[Counter[str]]:
    """Outcomes of each round in which all processes read the same row and then change it at the same time."""
    context = preloaded()
    barrier = context.Barrier(processes)
    results = context.SimpleQueue()
    racers = [
        context.Process(target=_swapper, args=(database, barrier, results, i, rounds), daemon=True)
        for i in range(processes)
    ]
    outcomes: list[Counter[str]] = [Counter() for _ in range(rounds)]
    with running(racers):
        for _ in range(processes * rounds):
            number, outcome = results.get()
            outcomes[number][outcome] += 1
    return outcomes


def _swapper(database: str, barrier: Any, results: Any, me: int, rounds: int) -> None:
    record = ChampionRecord(database, "raced-for")
    for number in range(rounds):
        barrier.wait()
        seen = record.serving()
        barrier.wait()
        try:
            record.change(seen, ServingVersion(str(me), f"{me:064d}", entry=f"{number:032d}{me:032d}"))
            results.put((number, "won"))
        except PlumblineError as error:
            results.put((number, error.code))


@dataclass(frozen=True)
class Killed:
    """The state after one killed promotion.

    Attributes:
        changed: whether the new model serves.
        finished: whether the promotion ended before it was killed.
        faults_before, faults_after: codes of the audit before and after the repair.
        leftovers: runs and versions that the repair did not remove.
    """

    changed: bool
    finished: bool
    faults_before: tuple[str, ...]
    faults_after: tuple[str, ...]
    leftovers: tuple[str, ...]


def kill(track: Track, *, points: int, seed: int) -> list[Killed]:
    """Kill ``points`` promotions with signal 9, half of them at a random time and half at a random step."""
    draw = random.Random(seed)
    context, ledger = preloaded(), track.folder / "killed.jsonl"
    attempt = track.next()
    seconds, _ = _whole_run(context, attempt, ledger, count=False)
    _, steps = _whole_run(context, track.next(), ledger, count=True)
    attempt, outcomes = track.next(), []
    for number in range(points):
        at_step = draw.randint(1, steps) if number % 2 else None
        before = current_champion(track.tracking_uri, SERVED)
        finished = _killed_run(context, attempt, ledger, draw.uniform(0, seconds), at_step)
        faults = tuple(f.code for f in audit(track.tracking_uri, SERVED, ledger))
        repair(track.tracking_uri, SERVED, ledger_path=ledger, promoter="bench", at=AT)
        after = current_champion(track.tracking_uri, SERVED)
        assert before is not None
        assert after is not None
        changed = before.model_digest != after.model_digest
        faults_after = tuple(f.code for f in audit(track.tracking_uri, SERVED, ledger))
        outcomes.append(Killed(changed, finished, faults, faults_after, leftovers(track.tracking_uri)))
        if changed:
            attempt = track.next()
    return outcomes


def leftovers(tracking_uri: str) -> tuple[str, ...]:
    """The promotion runs that never ended, and the versions that were prepared and never served."""
    client = open_registry(tracking_uri)
    experiment = client.get_experiment_by_name(promotions_experiment(SERVED))
    runs = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'") if experiment else []
    prepared = [v for v in versions_of(client, SERVED) if v.tags["plumbline.state"] == "prepared"]
    return (*(f"run {r.info.run_id}" for r in runs), *(f"version {v.version}" for v in prepared))


def _whole_run(context: ForkServerContext, attempt: Attempt, ledger: Path, *, count: bool) -> tuple[float, int]:
    """(seconds, steps) of a promotion that is not killed. Counting steps makes it slower."""
    ours, theirs = context.Pipe()
    process = context.Process(target=_counted, args=(attempt, ledger, theirs, count), daemon=True)
    with running([process]):
        seconds, steps = ours.recv()
    return seconds, steps


def _counted(attempt: Attempt, ledger: Path, pipe: Any, counting: bool) -> None:
    count = _count_steps(None) if counting else [0]
    started = time.perf_counter()
    outcome = attempt.promote(ledger)
    seconds = time.perf_counter() - started
    sys.setprofile(None)
    assert outcome == "won", outcome
    pipe.send((seconds, count[0]))


def _killed_run(
    context: ForkServerContext, attempt: Attempt, ledger: Path, after_seconds: float, at_step: int | None
) -> bool:
    """Whether the promotion ended before it was killed."""
    ours, theirs = context.Pipe()
    process = context.Process(target=_doomed, args=(attempt, ledger, theirs, at_step), daemon=True)
    with running([process]):
        ours.recv()
        if at_step is None:
            time.sleep(after_seconds)
            process.kill()
    return process.exitcode != -signal.SIGKILL


def _doomed(attempt: Attempt, ledger: Path, pipe: Any, at_step: int | None) -> None:
    pipe.send("started")
    if at_step is not None:
        _count_steps(at_step)
    attempt.promote(ledger)


def _count_steps(die_at: int | None) -> list[int]:
    """Count the calls and returns in ``STEPS``. At the number ``die_at`` the process kills itself with signal 9."""
    count = [0]

    def seen(frame: Any, event: str, _: Any) -> None:
        if event in ("call", "return") and frame.f_code.co_filename in STEPS:
            count[0] += 1
            if count[0] == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(seen)
    return count


def histories_agree(track: Track, ledgers: Sequence[Path], rounds: int) -> list[str]:
    """The faults of all histories: each chain must be intact, and each promotion must be in exactly one history."""
    promoted = [e.version for path in ledgers for e in read_history(path) if e.event == "promoted"]
    faults = [f"{len(promoted)} promotions in the histories, {rounds} rounds"] if len(promoted) != rounds else []
    if len(set(promoted)) != len(promoted):
        faults.append("a version promoted twice")
    serving = ChampionRecord(track.tracking_uri, SERVED).serving()
    if serving is None or serving.sequence != rounds or serving.version not in promoted:
        faults.append(f"champion record {serving} after {rounds} rounds")
    for path in ledgers:
        repair(track.tracking_uri, SERVED, ledger_path=path, promoter="bench", at=AT)
        faults += [f"{path.name}: {f.code} {f.found}" for f in audit(track.tracking_uri, SERVED, path)]
    return faults

"""Processes that race to promote, and processes that are killed while they do: for the tests here and for the bench.

Each racer is a process of its own with its own connections; all start a round at one barrier. Several share a history,
others write one each, as promoters on different machines do: the seat alone must tell one winner from the rest.
"""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import mlflow  # noqa: F401  the fork server imports it once for all

from spine.errors import PlumblineError
from tests.validation.promotion.registry import AT, SERVED, Registry, correct_result
from validation.evaluation.record import EvaluationRecord
from validation.gates.policy import DEFAULT_POLICY
from validation.promotion.audit import audit, repair
from validation.promotion.champion import current_champion, open_registry, versions_of
from validation.promotion.champion_record import ServingVersion, ChampionRecord
from validation.promotion.history import read_history
from validation.promotion.promote import promote
from validation.promotion.served_copy import promotions_experiment

STEPS = (
    "moving.py", "seat.py", "database.py", "anchor.py", "history.py", "storage.py", "served_copy.py", "leftovers.py",
)  # fmt: skip
"""Files whose calls count as points at which a promotion can be killed."""


@dataclass(frozen=True)
class Asked:
    """One promotion to be asked for by whoever has the folder."""

    folder: Path
    tracking_uri: str
    evidence: Path
    address: str

    def promote(self, ledger: Path) -> str:
        """``won``, or the code of the refusal."""
        try:
            promote(
                self.evidence / "verdict.json",
                tracking_uri=self.tracking_uri,
                candidate_uri=self.address,
                evidence_folder=self.evidence,
                policy_path=DEFAULT_POLICY,
                production_model=SERVED,
                promoter=f"process {os.getpid()}",
                at=AT,
                measure_virtual_study=correct_result,
                ledger_path=ledger,
            )
        except PlumblineError as error:
            return error.code
        return "won"


class Track:
    """Prepares promotions one after the other, each of a model judged against the present champion."""

    def __init__(self, folder: Path, tracking_uri: str, scored: Any) -> None:
        self.folder, self.tracking_uri = folder, tracking_uri
        better = scored("challenger", "a" * 64, noise=0.5, seed=3)
        worse = scored("champion", "b" * 64, noise=2.0, seed=2)
        self._records = {"challenger": better, "champion": worse}
        self._made = 0

    def next(self) -> Asked:
        """Register and judge one more model."""
        self._made += 1
        evidence = self.folder / f"round-{self._made}"
        (evidence / "evidence").mkdir(parents=True)
        registry = Registry(self.tracking_uri, evidence, self._scored)
        address, _ = registry.register(f"model-{self._made}")
        champion = current_champion(self.tracking_uri, SERVED)
        if champion is None:
            registry.judge(f"model-{self._made}")
        else:
            registry.judge_against_digest(f"model-{self._made}", champion.model_digest)
        return Asked(self.folder, self.tracking_uri, evidence / "evidence", address)

    def _scored(self, role: str, digest: str, **_: Any) -> EvaluationRecord:
        return replace(self._records[role], model_digest=digest)


def preloaded() -> ForkServerContext:
    """A fork server that has imported this module, and opened nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def race(track: Track, *, processes: int, rounds: int, histories: int) -> list[Counter[str]]:
    """What the racers of each round came to."""
    context = preloaded()
    barrier = context.Barrier(processes + 1)
    ledgers = [track.folder / f"history-{i % histories}.jsonl" for i in range(processes)]
    pipes = [context.Pipe() for _ in range(processes)]
    racers = [
        context.Process(target=_racer, args=(barrier, theirs, ledger), daemon=True)
        for (_, theirs), ledger in zip(pipes, ledgers, strict=True)
    ]
    for racer in racers:
        racer.start()
    told = []
    for _ in range(rounds):
        asked = track.next()
        for ours, _theirs in pipes:
            ours.send(asked)
        barrier.wait()
        told.append(Counter(ours.recv() for ours, _theirs in pipes))
    for ours, _theirs in pipes:
        ours.send(None)
    for racer in racers:
        racer.join()
    return told


def _racer(barrier: Any, pipe: Any, ledger: Path) -> None:
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    while (asked := pipe.recv()) is not None:
        barrier.wait()
        pipe.send(asked.promote(ledger))


def race_for_the_row(database: str, *, processes: int, rounds: int) -> list[Counter[str]]:
    """The bare swap: everybody has read the same row, everybody swaps at once."""
    context = preloaded()
    barrier = context.Barrier(processes)
    results = context.SimpleQueue()
    racers = [
        context.Process(target=_swapper, args=(database, barrier, results, i, rounds), daemon=True)
        for i in range(processes)
    ]
    for racer in racers:
        racer.start()
    told: list[Counter[str]] = [Counter() for _ in range(rounds)]
    for _ in range(processes * rounds):
        number, outcome = results.get()
        told[number][outcome] += 1
    for racer in racers:
        racer.join()
    return told


def _swapper(database: str, barrier: Any, results: Any, me: int, rounds: int) -> None:
    seat = ChampionRecord(database, "raced-for")
    for number in range(rounds):
        barrier.wait()
        seen = seat.serving()
        barrier.wait()
        try:
            seat.change(seen, ServingVersion(str(me), f"{me:064d}", entry=f"{number:032d}{me:032d}"))
            results.put((number, "won"))
        except PlumblineError as error:
            results.put((number, error.code))


@dataclass(frozen=True)
class Killed:
    """One kill: whether the new model serves afterwards, what had to be done to agree again, what is left over then."""

    moved: bool
    finished: bool
    faults_before: tuple[str, ...]
    faults_after: tuple[str, ...]
    leftovers: tuple[str, ...]


def kill(track: Track, *, points: int, seed: int) -> list[Killed]:
    """Kill -9 a promotion at ``points`` random points, half of them by the clock and half by the step it is at."""
    draw = random.Random(seed)
    context, ledger = preloaded(), track.folder / "killed.jsonl"
    asked = track.next()
    seconds, _ = _whole_run(context, asked, ledger, count=False)
    _, steps = _whole_run(context, track.next(), ledger, count=True)
    asked, told = track.next(), []
    for number in range(points):
        at_step = draw.randint(1, steps) if number % 2 else None
        before = current_champion(track.tracking_uri, SERVED)
        finished = _killed_run(context, asked, ledger, draw.uniform(0, seconds), at_step)
        faults = tuple(f.code for f in audit(track.tracking_uri, SERVED, ledger))
        repair(track.tracking_uri, SERVED, ledger_path=ledger, promoter="bench", at=AT)
        after = current_champion(track.tracking_uri, SERVED)
        assert before is not None
        assert after is not None
        moved = before.model_digest != after.model_digest
        faults_after = tuple(f.code for f in audit(track.tracking_uri, SERVED, ledger))
        told.append(Killed(moved, finished, faults, faults_after, leftovers(track.tracking_uri)))
        if moved:
            asked = track.next()
    return told


def leftovers(tracking_uri: str) -> tuple[str, ...]:
    """Promotion runs that never ended, and versions that were prepared and never served."""
    client = open_registry(tracking_uri)
    experiment = client.get_experiment_by_name(promotions_experiment(SERVED))
    runs = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'") if experiment else []
    prepared = [v for v in versions_of(client, SERVED) if v.tags["plumbline.state"] == "prepared"]
    return (*(f"run {r.info.run_id}" for r in runs), *(f"version {v.version}" for v in prepared))


def _whole_run(context: ForkServerContext, asked: Asked, ledger: Path, *, count: bool) -> tuple[float, int]:
    """(seconds, steps) of a promotion that nobody kills; counting steps makes it slower."""
    ours, theirs = context.Pipe()
    process = context.Process(target=_counted, args=(asked, ledger, theirs, count), daemon=True)
    process.start()
    seconds, steps = ours.recv()
    process.join()
    return seconds, steps


def _counted(asked: Asked, ledger: Path, pipe: Any, counting: bool) -> None:
    count = _count_steps(None) if counting else [0]
    started = time.perf_counter()
    outcome = asked.promote(ledger)
    seconds = time.perf_counter() - started
    sys.setprofile(None)
    assert outcome == "won", outcome
    pipe.send((seconds, count[0]))


def _killed_run(
    context: ForkServerContext, asked: Asked, ledger: Path, after_seconds: float, at_step: int | None
) -> bool:
    """Whether the promotion ended before its death."""
    ours, theirs = context.Pipe()
    process = context.Process(target=_doomed, args=(asked, ledger, theirs, at_step), daemon=True)
    process.start()
    ours.recv()
    if at_step is None:
        time.sleep(after_seconds)
        process.kill()
    process.join()
    return process.exitcode != -signal.SIGKILL


def _doomed(asked: Asked, ledger: Path, pipe: Any, at_step: int | None) -> None:
    pipe.send("started")
    if at_step is not None:
        _count_steps(at_step)
    asked.promote(ledger)


def _count_steps(die_at: int | None) -> list[int]:
    """Count calls into ``STEPS``; the process kills itself with signal 9 at the given one."""
    count = [0]

    def seen(frame: Any, event: str, _: Any) -> None:
        if event in ("call", "return") and frame.f_code.co_filename.endswith(STEPS):
            count[0] += 1
            if count[0] == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(seen)
    return count


def histories_agree(track: Track, ledgers: Sequence[Path], rounds: int) -> list[str]:
    """What is wrong with all histories together: every chain whole, every promotion in exactly one of them."""
    promoted = [e.version for path in ledgers for e in read_history(path) if e.event == "promoted"]
    faults = [f"{len(promoted)} promotions in the histories, {rounds} rounds"] if len(promoted) != rounds else []
    if len(set(promoted)) != len(promoted):
        faults.append("a version promoted twice")
    holder = ChampionRecord(track.tracking_uri, SERVED).serving()
    if holder is None or holder.sequence != rounds or holder.version not in promoted:
        faults.append(f"seat {holder} after {rounds} rounds")
    for path in ledgers:
        repair(track.tracking_uri, SERVED, ledger_path=path, promoter="bench", at=AT)
        faults += [f"{path.name}: {f.code} {f.found}" for f in audit(track.tracking_uri, SERVED, path)]
    return faults

"""Processes that change one history at the same time, and processes that are killed, for tests and benchmarks.

Each racer is a process with its own connections, and a barrier starts all racers of a round together. Some racers share
a workspace and its lock, and some have another workspace, like promoters on different machines. So only the key of the
table can decide which racer wins.
"""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from spine import storage
from spine.errors import PlumblineError
from tests.validation.gates.records import build_record
from tests.validation.promotion.registry import AT, AUTHOR, SERVED, Registry
from validation.evaluation.record import EvaluationRecord
from validation.gates.evidence import Evidence
from validation.gates.policy import DEFAULT_POLICY, read_policy
from validation.gates.verdict import Verdict, judge, read_verdict
from validation.promotion import history, promote, rollback, served_copy, sync
from validation.promotion.approval import SignOff
from validation.promotion.decisions import approved, promoted
from validation.promotion.history import History, open_history
from validation.promotion.sync import STATE_TAG, changing, state_of_version
from validation.promotion.verify import verify
from validation.registry import client, database
from validation.registry.client import open_registry, versions_of

STEPS = {str(m.__file__) for m in (history, promote, rollback, served_copy, sync, client, database, storage)}
"""The files of the functions at whose calls and returns a command can be killed. ``events`` and ``decisions`` are pure,
so that a kill in them has the same effect as a kill before them."""

Runs = Callable[[], str]
"""A command; ``won``, or the reason why it was refused."""


@dataclass
class Attempt(Registry):
    """A candidate that was judged against the present champion, and the commands on it in the workspace ``copy_at``.

    ``folder`` has the evidence.
    """

    address: str = ""
    approval: str = ""
    copy_at: Path = Path()

    @property
    def copy(self) -> Path:
        return self.copy_at

    def run(self, command: str) -> str:
        """``won``, or the code of the refusal."""
        try:
            if command == "promotion":
                self.promote(self.address, promoter=f"process {os.getpid()}", approval=self.approval)
            elif command == "rollback":
                self.roll_back()
            else:
                self.approve(read_verdict(self.verdict_path))
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

    def history(self, workspace: str) -> History:
        """The history, as a workspace of this name opens it."""
        return open_history(self.tracking_uri, SERVED, self.folder / workspace / "history.jsonl")

    def next(self, workspace: str) -> Attempt:
        """Register and judge one more model."""
        self._made += 1
        folder = self.folder / f"round-{self._made}"
        (folder / "evidence").mkdir(parents=True)
        champion = self.history(workspace).state().champion
        judging = Attempt(self.tracking_uri, folder, self._scored)
        address = judging.candidate(f"model-{self._made}", champion.digest if champion else None)
        copy = self.history(workspace).copy
        return Attempt(self.tracking_uri, folder, build_record, address=address, copy_at=copy)

    def _scored(self, role: str, digest: str, **_: Any) -> EvaluationRecord:
        return replace(self._records[role], model_digest=digest)


def preloaded(*modules: str) -> ForkServerContext:
    """A fork server that has imported this module and the other ``modules``, and opened no connection."""
    context = multiprocessing.get_context("forkserver")
    stores = (f"mlflow.store.{store}.sqlalchemy_store" for store in ("model_registry", "tracking"))
    context.set_forkserver_preload([__name__, *modules, *stores])  # imported once for all processes
    return context


@contextmanager
def running(processes: Sequence[BaseProcess]) -> Iterator[None]:
    """Start the processes, and wait for their end after the block."""
    for process in processes:
        process.start()
    yield
    for process in processes:
        process.join()


def race(track: Track, *, processes: int, rounds: int, workspaces: int) -> tuple[list[Counter[str]], list[str]]:
    """Whole promotions at the same time: outcomes of each round, and the faults afterwards."""
    context = preloaded()
    barrier = context.Barrier(processes + 1)
    names = [f"workspace-{i}" for i in range(workspaces)]
    pipes = [context.Pipe() for _ in range(processes)]
    racers = [
        context.Process(target=_racer, args=(barrier, theirs, track.history(names[i % workspaces]).copy), daemon=True)
        for i, (_, theirs) in enumerate(pipes)
    ]
    outcomes = []
    with running(racers):
        for _ in range(rounds):
            attempt = track.next(names[0])
            for ours, _theirs in pipes:
                ours.send(attempt)
            barrier.wait()
            outcomes.append(Counter(ours.recv() for ours, _theirs in pipes))
        for ours, _theirs in pipes:
            ours.send(None)
    faults = [f"{name}: {fault}" for name in names for fault in after_next_command(track.history(name))]
    versions = [e.version for e in track.history(names[0]).events() if e.kind == "promoted"]
    if (len(versions), len(set(versions))) != (rounds, rounds):
        faults.append(f"the history promotes the versions {versions} in {rounds} rounds")
    return outcomes, faults


def _racer(barrier: Any, pipe: Any, copy: Path) -> None:
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    while (attempt := pipe.recv()) is not None:
        barrier.wait()
        pipe.send(replace(attempt, copy_at=copy).run("promotion"))


def race_for_the_row(
    database: str, folder: Path, *, promoters: int, approvers: int, rounds: int
) -> tuple[list[Counter[str]], list[str]]:
    """Processes that read the same state and then add an event to it at the same time, without a registry.

    Returns:
        Outcomes of each round, and the faults of the history: a promotion or an approval is missing or there twice.
    """
    context = preloaded()
    barrier, results = context.Barrier(promoters + approvers), context.SimpleQueue()
    raced_for = History(database, database, "raced-for", folder / "history.jsonl")
    before = len(raced_for.state().events)
    verdict = judge(read_policy(DEFAULT_POLICY), Evidence(build_record(noise=0.5)), judged_at=AT)
    racers = [
        context.Process(target=_inserter, args=(raced_for, verdict, barrier, results, i, i >= promoters, rounds))
        for i in range(promoters + approvers)
    ]
    outcomes: list[Counter[str]] = [Counter() for _ in range(rounds)]
    with running(racers):
        for _ in range(len(racers) * rounds):
            number, outcome = results.get()
            outcomes[number][outcome] += 1
    events = raced_for.state().events[before:]  # ``state`` verifies the chain
    given = Counter((e.actor, e.reason) for e in events if e.kind == "approved")
    wanted = Counter((f"person {promoters + i}", f"round {n}") for i in range(approvers) for n in range(rounds))
    promotions = sum(e.kind == "promoted" for e in events)
    faults = [f"{promotions} promotions in {rounds} rounds"] if promotions != rounds else []
    return outcomes, faults + [f"approval {who}: {given[who]} times" for who in given | wanted if given[who] != 1]


def _inserter(
    raced_for: History, first: Verdict, barrier: Any, results: Any, me: int, approves: bool, rounds: int
) -> None:
    decision = {"policy": read_policy(DEFAULT_POLICY), "author": AUTHOR, "at": AT}
    promotion: Any = {"version": str(me), "approval": "", "actor": f"process {me}"}
    for number in range(rounds):
        barrier.wait()
        seen, new = raced_for.state().champion, f"{number:032d}{me:032d}"
        verdict = replace(first, challenger_model=new, champion_model=seen.digest if seen else None)
        approval: Any = {"sign_off": SignOff(f"person {me}", f"round {number}")}
        decide = partial(approved, **approval) if approves else partial(promoted, **promotion)
        barrier.wait()
        try:
            raced_for.append(partial(decide, verdict=verdict, **decision))
            results.put((number, "approved" if approves else "won"))
        except PlumblineError as error:
            results.put((number, error.code))


@dataclass(frozen=True)
class Killed:
    """The state after one killed command.

    Attributes:
        finished: whether the command ended before it was killed.
        changed: whether its event is in the history.
        agreed: whether registry and history.jsonl agreed with the history before the next command.
        faults: the differences after the next command.
    """

    finished: bool
    changed: bool
    agreed: bool
    faults: tuple[str, ...]


def kill(track: Track, command: str, *, points: int, seed: int) -> list[Killed]:
    """Kill a command ``points`` times with signal 9, half at a random time and half at a random step."""
    draw, context, outcomes = random.Random(seed), preloaded(), []
    assert _prepared(track, "promotion").run("promotion") == "won"  # the model to which a rollback returns
    seconds, _ = whole_run(context, partial(_prepared(track, command).run, command), count=False)
    _, steps = whole_run(context, partial(_prepared(track, command).run, command), count=True)
    for number in range(points):
        attempt = _prepared(track, command)
        before = attempt.state
        at_step = draw.randint(1, steps) if number % 2 else None
        finished = killed_run(context, partial(attempt.run, command), draw.uniform(0, seconds), at_step)
        agreed = not _differences(attempt.history)
        faults = after_next_command(attempt.history)
        new = attempt.state.events[len(before.events) :]
        if [e.kind for e in new] not in ([], [_KINDS[command]]):
            faults.append(f"events {new}")
        if not new and (repeated := attempt.run(command)) != "won":
            faults.append(f"the same command is refused afterwards: {repeated}")
        outcomes.append(Killed(finished, bool(new), agreed, tuple(faults)))
    return outcomes


_KINDS = {"promotion": "promoted", "rollback": "rolled_back", "approval": "approved"}


def _prepared(track: Track, command: str) -> Attempt:
    """An attempt on which the command succeeds: a promotion has an approval, and a rollback has a model to deny."""
    attempt = track.next("killed")
    if command == "promotion":
        attempt.approval = attempt.approve(read_verdict(attempt.verdict_path)).sha256
    if command == "rollback":
        assert attempt.run("promotion") == "won"
    return attempt


def after_next_command(where: History) -> list[str]:
    """What still differs from the history after the next command, which corrects everything by itself."""
    with changing(where):
        pass
    return _differences(where)


def _differences(where: History) -> list[str]:
    """Faults of the verification, states of versions, and what a killed command has left."""
    state = where.state()
    shown = {str(v.version): v.tags[STATE_TAG] for v in versions_of(open_registry(where.tracking_uri), where.model)}
    served = state.put_into_service.values()
    states = [e.version for e in served if shown.get(e.version) != state_of_version(state, e)]
    files = [f"file {p.name}" for p in where.copy.parent.iterdir() if p.name.endswith(storage.PARTIAL_SUFFIX)]
    left = Registry(where.tracking_uri, where.copy.parent, build_record).leftovers()
    return [*(f"{f.code} {f.found}" for f in verify(where)), *(f"state of version {v}" for v in states), *left, *files]


def whole_run(context: ForkServerContext, run: Runs, *, count: bool) -> tuple[float, int]:
    """(seconds, steps) of a command that is not killed. Counting steps makes it slower."""
    ours, theirs = context.Pipe()
    process = context.Process(target=_counted, args=(run, theirs, count), daemon=True)
    with running([process]):
        seconds, steps = ours.recv()
    return seconds, steps


def _counted(run: Runs, pipe: Any, counting: bool) -> None:
    count = _count_steps(None) if counting else [0]
    started = time.perf_counter()
    outcome = run()
    seconds = time.perf_counter() - started
    sys.setprofile(None)
    assert outcome == "won", outcome
    pipe.send((seconds, count[0]))


def killed_run(context: ForkServerContext, run: Runs, after_seconds: float, at_step: int | None) -> bool:
    """Whether the command ended before it was killed, after these seconds or at this step."""
    ours, theirs = context.Pipe()
    process = context.Process(target=_doomed, args=(run, theirs, at_step), daemon=True)
    with running([process]):
        ours.recv()
        if at_step is None:
            time.sleep(after_seconds)
            process.kill()
    return process.exitcode != -signal.SIGKILL


def _doomed(run: Runs, pipe: Any, at_step: int | None) -> None:
    pipe.send("started")
    if at_step is not None:
        _count_steps(at_step)
    run()


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

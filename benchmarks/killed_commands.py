"""``kill -9`` of whole commands, after which only ``plumbline champion`` runs: history and local copy must then agree.

The commands are ``plumbline promote``, ``rollback``, ``rollback --local`` without a registry, and ``approve``. Half of
the points are calls in the gate and in the lifecycle, and half are random times. After the next command, ``plumbline
history --verify`` must find no fault, the history has at most the event of the killed command, and no file or run of
the killed command is left. A killed command that changed nothing must succeed when it is repeated.
"""

import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, timed
from benchmarks.rollback import judged, promoted, registry_down
from orchestration.environment import quiet_environment
from orchestration.lifecycle import changes, history, local_champion, promotion
from orchestration.pipeline.params import Params, write_params
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.registry import history_state
from tests.served_workspace import typed
from tests.validation.gates.records import build_record
from tests.validation.promotion.racers import STEPS, Killed, killed_run, preloaded, whole_run
from tests.validation.promotion.registry import Registry

POINTS, SEED = 10, 20261130
KINDS = {"promote": "promoted", "rollback": "rolled_back", "rollback --local": "rolled_back", "approve": "approved"}
SCRATCH = (".*.partial", ".champion.*", ".previous_champion.*", "champion_returning", "evidence")
"""What a killed command could leave in ``state``."""

_NOTES = count(2)
"""The length of the next model's note, in which the models differ."""


def figures() -> list[Figure]:
    """For each command, the kills after which everything agreed."""
    os.environ |= quiet_environment()
    return [_figure(command) for command in KINDS]


def _figure(command: str) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        killed, seconds = timed(lambda: list(_kill(Path(folder), command)))
    faults = [fault for k in killed for fault in k.faults]
    died = [k for k in killed if not k.finished]
    how = f"{len(died)} interrupted, {sum(k.changed for k in died)} of them after the event, {seconds:.0f} s"
    name = f"kill -9 of `plumbline {command}`: all agreed after `plumbline champion`"
    good = sum(not k.faults for k in killed)
    return Figure(name, good, f"of {POINTS}", str(POINTS), "; ".join([how, *faults[:3]]))


@dataclass(frozen=True)
class Command:
    """One command of a workspace, as a person types it."""

    root: Path
    words: tuple[str, ...]

    def __call__(self) -> str:
        """``won``, or the output of the failed command."""
        STEPS.update(str(module.__file__) for module in (changes, history, local_champion, promotion))
        result = typed(Workspace(self.root), *self.words)
        return "won" if result.exit_code == 0 else f"{self.words[0]}: {' '.join(result.output.split())[:300]}"


def _kill(folder: Path, command: str) -> Iterator[Killed]:
    draw, context = random.Random(SEED), preloaded(__name__)
    workspace = Workspace(folder / "ws")
    workspace.prepare()
    write_params(Params(), workspace.params_file)
    promoted(workspace, "x", None)
    seconds, _ = _ready(workspace, command, partial(whole_run, context, count=False))[0]
    _, steps = _ready(workspace, command, partial(whole_run, context, count=True))[0]
    for number in range(POINTS):
        at_step = draw.randint(1, steps) if number % 2 else None
        stop = partial(killed_run, context, after_seconds=draw.uniform(0, seconds), at_step=at_step)
        finished, again, before = _ready(workspace, command, stop)
        faults = _after_next_command(workspace)
        new = [event.kind for event in history_state(workspace).events[before:]]
        if new not in ([], [KINDS[command]]):
            faults.append(f"events {new}")
        if not new and (repeated := again()) != "won":
            faults.append(f"the same command is refused afterwards: {repeated}")
        yield Killed(finished, bool(new), False, tuple(faults))


def _ready(workspace: Workspace, command: str, run: Callable[[Command], Any]) -> tuple[Any, Command, int]:
    """Make a state in which the command succeeds, and run it: the result, the command, the number of events before."""
    typed(workspace, "champion")
    champion = history_state(workspace).champion
    assert champion is not None
    candidate = judged if command in ("promote", "approve") else promoted
    candidate(workspace, "x" * next(_NOTES), champion.digest)
    verdict = str(workspace.verdict_file)
    approve = Command(workspace.root, ("approve", verdict, "--as", "R. Viewer", "--comment", "bench"))
    words = ("promote", "--by", "R. Viewer") if command == "promote" else (*command.split(), "--reason", "bench")
    if command == "promote":
        assert approve() == "won"
    ready = approve if command == "approve" else Command(workspace.root, words)
    before = len(history_state(workspace).events)
    with registry_down(workspace) if command.endswith("--local") else nullcontext():
        return run(ready), ready, before


def _after_next_command(workspace: Workspace) -> list[str]:
    """What is wrong after ``plumbline champion``."""
    commands = (Command(workspace.root, words) for words in (("champion",), ("history", "--verify")))
    faults = [outcome for command in commands if (outcome := command()) != "won"]
    files = [path.name for pattern in SCRATCH for path in workspace.state.glob(pattern)]
    return [*faults, *Registry(workspace.tracking_uri, workspace.state, build_record).leftovers(), *files]

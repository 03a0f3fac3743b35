"""Concurrent promotions (64 processes, 100 rounds), ``kill -9`` at 50 / 20 / 20 points, and the time of a rollback.

In the first race, all processes read the same state and add an event to it at the same time, and eight more persons
approve. In the second race, they run whole promotions from eight workspaces; processes of one workspace wait for each
other. Both races run on SQLite and on a temporary PostgreSQL, or on the one that ``PLUMBLINE_TEST_POSTGRES`` names.
After a kill, only the next command runs. Every figure with a target that is not a time must be equal to the target.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from benchmarks.figures import Figure, timed

PROCESSES, ROUNDS, WORKSPACES, APPROVERS, SEED = 64, 100, 8, 8, 20261123
POINTS = {"promotion": 50, "rollback": 20, "approval": 20}
BATCH = 10
"""Kills in one registry. ``history --verify`` reads the files of every version, so long histories cost only time."""


def figures() -> list[Figure]:
    """Seconds of a rollback, winners of each round, faults of the histories, and the state after a kill."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    from benchmarks import killed_commands, rollback

    with tempfile.TemporaryDirectory() as folder:
        kills = [f for command in POINTS for f in _kills(Path(folder) / command, command)]
        return [*rollback.figures(), *kills, *killed_commands.figures(), *races(Path(folder))]


def races(folder: Path) -> Iterator[Figure]:
    """The figures of both races on both databases."""
    from tests.validation.promotion import throwaway_postgres

    yield from _races("SQLite", _registry(folder / "sqlite"), folder / "sqlite")
    reason = throwaway_postgres.why_not()
    if reason is not None:
        yield Figure("PostgreSQL: rounds of both races", 0, f"of {2 * ROUNDS}", "", f"skipped: {reason}")
        return
    with throwaway_postgres.running() as address:
        throwaway_postgres.registry_on(address, folder / "postgres" / "artifacts")
        yield from _races("PostgreSQL", address, folder / "postgres")


def _races(name: str, address: str, folder: Path) -> Iterator[Figure]:
    from tests.validation.promotion.racers import Track, race, race_for_the_row

    (rounds, faults), seconds = timed(
        lambda: race_for_the_row(address, folder, promoters=PROCESSES, approvers=APPROVERS, rounds=ROUNDS)
    )
    how = f"{PROCESSES} processes promote and {APPROVERS} approve on one state, {ROUNDS} rounds, {seconds:.0f} s"
    yield from _winners(f"{name}, events", rounds, how)
    approvals = sum(outcome["approved"] for outcome in rounds)
    yield Figure(f"{name}, events: approvals recorded", approvals, "", str(APPROVERS * ROUNDS))
    yield Figure(
        f"{name}, events: promotions and approvals lost or doubled", len(faults), "", "0", "; ".join(faults[:3])
    )

    track = Track(folder / "race", address, cache(_scored))
    (rounds, faults), seconds = timed(lambda: race(track, processes=PROCESSES, rounds=ROUNDS, workspaces=WORKSPACES))
    how = f"{PROCESSES} processes in {WORKSPACES} workspaces promote at once, {ROUNDS} rounds, {seconds:.0f} s"
    yield from _winners(f"{name}, whole promotions", rounds, how)
    what = f"{name}, whole promotions: faults after the next command of every workspace"
    yield Figure(what, len(faults), "", "0", "; ".join(faults[:3]))


def _kills(folder: Path, command: str) -> list[Figure]:
    from tests.validation.promotion.racers import Killed, Track, kill

    def batches() -> Iterator[Killed]:
        for first in range(0, points, BATCH):
            track = Track(folder / f"{first}", _registry(folder / f"{first}"), cache(_scored))
            yield from kill(track, command, points=min(BATCH, points - first), seed=SEED + first)

    points = POINTS[command]
    killed, seconds = timed(lambda: list(batches()))
    how = f"{points} points, half of them at a call in the gate, half at a random time, {seconds:.0f} s"
    died, what = [k for k in killed if not k.finished], f"kill -9, {command}"
    faults = [fault for k in killed for fault in k.faults]
    return [
        Figure(f"{what}: interrupted", len(died), f"of {points}", "", how),
        Figure(f"{what}: the event was in the history", sum(k.changed for k in died), f"of {len(died)}"),
        Figure(f"{what}: all agreed at once", sum(k.agreed for k in died), f"of {len(died)}"),
        Figure(
            f"{what}: all agreed, with nothing left over, after the next command",
            sum(not k.faults for k in killed),
            f"of {points}",
            str(points),
            "; ".join(faults[:3]),
        ),
    ]


def _winners(what: str, rounds: list[Counter[str]], how: str) -> list[Figure]:
    # A winner whose registry does not show its promotion yet gets CHANGE_UNFINISHED.
    wins = Counter(outcome["won"] + outcome["CHANGE_UNFINISHED"] for outcome in rounds)
    others = sum(rounds, Counter()) - Counter({"won": ROUNDS, "approved": APPROVERS * ROUNDS})
    refused = ", ".join(f"{code} {n}" for code, n in sorted(others.items()))
    return [
        Figure(f"{what}: rounds with exactly one winner", wins[1], f"of {len(rounds)}", str(len(rounds)), how),
        Figure(f"{what}: refused", others.total(), f"({refused})"),
    ]


def _scored(role: str, digest: str, **quality: float) -> object:
    from tests.validation.gates.records import build_record

    return build_record(role, digest, **quality)  # type: ignore[arg-type]


@cache
def _empty_registry() -> bytes:
    """An MLflow database without models; its migrations take seconds."""
    from validation.registry.new_database import make_database

    with tempfile.TemporaryDirectory() as folder:
        make_database(f"sqlite:///{folder}/mlflow.db")
        return (Path(folder) / "mlflow.db").read_bytes()


def _registry(folder: Path) -> str:
    folder.mkdir(parents=True)
    (folder / "mlflow.db").write_bytes(_empty_registry())
    return f"sqlite:///{folder / 'mlflow.db'}"

"""Concurrent promotions (64 processes, 100 rounds), kill -9 at 50 points, and the time of a rollback.

In the first race, all processes only replace the database row of the champion, all at the same time. In the second
race, they run whole promotions, and processes with the same history wait for each other. The database is SQLite. Every
figure with a target that is not a time must be equal to the target.
"""

import os
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

from benchmarks.figures import Figure, timed

PROCESSES, ROUNDS, HISTORIES, POINTS, SEED = 64, 100, 8, 50, 20261123


def figures() -> list[Figure]:
    """Seconds of a rollback, winners of each round, faults in the histories, and the state after a kill."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    from benchmarks import rollback

    with tempfile.TemporaryDirectory() as folder:
        return [*rollback.figures(), *_row_swaps(Path(folder)), *_promotions(Path(folder)), *_kills(Path(folder))]


def _row_swaps(folder: Path) -> list[Figure]:
    from tests.validation.promotion.racers import race_for_the_row

    registry = _registry(folder / "row")
    rounds, seconds = timed(lambda: race_for_the_row(registry, processes=PROCESSES, rounds=ROUNDS))
    how = f"{PROCESSES} processes replace the same row at once, {ROUNDS} rounds, {seconds:.0f} s"
    return _winners("database row", rounds, how)


def _promotions(folder: Path) -> list[Figure]:
    from tests.validation.promotion.racers import Track, histories_agree, race

    track = Track(folder / "race", _registry(folder / "race"), cache(_scored))
    rounds, seconds = timed(lambda: race(track, processes=PROCESSES, rounds=ROUNDS, histories=HISTORIES))
    how = f"{PROCESSES} processes with {HISTORIES} histories promote at once, {ROUNDS} rounds, {seconds:.0f} s"
    faults = histories_agree(track, sorted(track.folder.glob("history-*.jsonl")), ROUNDS)
    outcome = Figure(
        "whole promotions: faults in the histories afterwards", len(faults), "", "0", "; ".join(faults[:3])
    )
    return [*_winners("whole promotions", rounds, how), outcome]


def _kills(folder: Path) -> list[Figure]:
    from tests.validation.promotion.racers import Track, kill

    track = Track(folder / "kill", _registry(folder / "kill"), cache(_scored))
    killed, seconds = timed(lambda: kill(track, points=POINTS, seed=SEED))
    how = f"{POINTS} points, half of them at a call in the gate, half at a random time, {seconds:.0f} s"
    died = [k for k in killed if not k.finished]
    return [
        Figure("kill -9: promotions that were interrupted", len(died), f"of {POINTS}", "", how),
        Figure("kill -9: the new model was champion afterwards", sum(k.changed for k in died), f"of {len(died)}"),
        Figure(
            "kill -9: registry and history agreed at once", sum(not k.faults_before for k in died), f"of {len(died)}"
        ),
        Figure(
            "kill -9: they agreed after `plumbline history --repair`",
            sum(not k.faults_after for k in killed),
            f"of {POINTS}",
            str(POINTS),
        ),
        Figure("kill -9: unused runs and versions after the repair", sum(len(k.leftovers) for k in killed), "", "0"),
    ]


def _winners(what: str, rounds: list[Counter[str]], how: str) -> list[Figure]:
    wins = Counter(outcome["won"] for outcome in rounds)
    others = sum(rounds, Counter())
    refused = ", ".join(f"{code} {n}" for code, n in sorted(others.items()) if code != "won")
    return [
        Figure(f"{what}: rounds with exactly one winner", wins[1], f"of {len(rounds)}", str(len(rounds)), how),
        Figure(f"{what}: refused", sum(others.values()) - others["won"], f"({refused})"),
    ]


def _scored(role: str, digest: str, **quality: float) -> object:
    from tests.validation.gates.records import build_record

    return build_record(role, digest, **quality)  # type: ignore[arg-type]


def _registry(folder: Path) -> str:
    """Create an MLflow database; its migrations take seconds."""
    from mlflow import MlflowClient

    folder.mkdir(parents=True)
    address = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=address, registry_uri=address)
    client.search_experiments()
    client.search_registered_models()
    return address

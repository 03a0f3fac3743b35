"""Races and kills at length: 64 processes, 100 rounds; kill -9 at 50 random points; and how long the way back takes.

The first race is for the bare row, so that all 64 really swap at once; the second is of whole promotions, where those
that share a history wait for each other and the others meet at the champion record. On SQLite. Every figure but the
times must be exact.
"""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

from benchmarks.figures import Figure

T = TypeVar("T")
PROCESSES, ROUNDS, HISTORIES, POINTS, SEED = 64, 100, 8, 50, 20261123


def figures() -> list[Figure]:
    """Seconds of a rollback, winners a round, agreement of the histories, and what a kill leaves behind."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    from benchmarks import rollback

    with tempfile.TemporaryDirectory() as folder:
        return [*rollback.figures(), *_row(Path(folder)), *_promotions(Path(folder)), *_kills(Path(folder))]


def _row(folder: Path) -> list[Figure]:
    from tests.validation.promotion.racers import race_for_the_row

    told, seconds = _timed(lambda: race_for_the_row(_registry(folder / "row"), processes=PROCESSES, rounds=ROUNDS))
    how = f"{PROCESSES} processes swap the same row at once, {ROUNDS} rounds, {seconds:.0f} s"
    return _winners("bare swap", told, how)


def _promotions(folder: Path) -> list[Figure]:
    from tests.validation.promotion.racers import Track, histories_agree, race

    track = Track(folder / "race", _registry(folder / "race"), cache(_scored))
    call = lambda: race(track, processes=PROCESSES, rounds=ROUNDS, histories=HISTORIES)  # noqa: E731
    told, seconds = _timed(call)
    how = f"{PROCESSES} processes with {HISTORIES} histories promote at once, {ROUNDS} rounds, {seconds:.0f} s"
    faults = histories_agree(track, sorted(track.folder.glob("history-*.jsonl")), ROUNDS)
    outcome = Figure(
        "whole promotions: faults in the histories afterwards", len(faults), "", "0", "; ".join(faults[:3])
    )
    return [*_winners("whole promotions", told, how), outcome]


def _kills(folder: Path) -> list[Figure]:
    from tests.validation.promotion.racers import Track, kill

    track = Track(folder / "kill", _registry(folder / "kill"), cache(_scored))
    killed, seconds = _timed(lambda: kill(track, points=POINTS, seed=SEED))
    how = f"{POINTS} points, every second one at a call in the gate, the others by the clock, {seconds:.0f} s"
    died = [k for k in killed if not k.finished]
    return [
        Figure("kill -9: promotions that died on the way", len(died), f"of {POINTS}", "", how),
        Figure("kill -9: new model serves afterwards", sum(k.changed for k in died), f"of {len(died)}"),
        Figure(
            "kill -9: registry and history agreed at once", sum(not k.faults_before for k in died), f"of {len(died)}"
        ),
        Figure(
            "kill -9: agree after `plumbline history --repair`",
            sum(not k.faults_after for k in killed),
            f"of {POINTS}",
            str(POINTS),
        ),
        Figure("kill -9: runs and versions left over then", sum(len(k.leftovers) for k in killed), "", "0"),
    ]


def _winners(what: str, told: list[Counter[str]], how: str) -> list[Figure]:
    wins = Counter(outcome["won"] for outcome in told)
    others = sum(told, Counter())
    refused = ", ".join(f"{code} {n}" for code, n in sorted(others.items()) if code != "won")
    return [
        Figure(f"{what}: rounds with exactly one winner", wins[1], f"of {len(told)}", str(len(told)), how),
        Figure(f"{what}: refused", sum(others.values()) - others["won"], f"({refused})"),
    ]


def _scored(role: str, digest: str, **quality: float) -> object:
    from tests.validation.gates.records import build_record

    return build_record(role, digest, **quality)  # type: ignore[arg-type]


def _registry(folder: Path) -> str:
    """A new MLflow database; its migrations take seconds."""
    from mlflow import MlflowClient

    folder.mkdir(parents=True)
    address = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=address, registry_uri=address)
    client.search_experiments()
    client.search_registered_models()
    return address


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    return call(), time.perf_counter() - started

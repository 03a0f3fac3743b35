"""The journal of a fit: parameters, figures and costs, line by line, on the machine of the fit.

Contract: ``journal.jsonl`` holds one JSON object per line, each written and synced whole; a last line torn by a crash
is ignored and cut off before the next is written; figures logged twice (because a run resumed from an older checkpoint)
count once, the later ones. ``tracking`` logs a journal to MLflow, elsewhere and later.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOURNAL_FILE = "journal.jsonl"


@dataclass(frozen=True)
class Measurements:
    """Figures at one step: ``values`` is metric name -> finite value, ``time_s`` seconds since the epoch."""

    step: int
    time_s: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class JournalContent:
    """A journal read back: flattened parameters, cost facts and measurements ordered by step."""

    parameters: Mapping[str, str]
    facts: Mapping[str, Any]
    measurements: tuple[Measurements, ...]


class Journal:
    """Appends to ``journal.jsonl`` in ``folder``; touches nothing before the first line.

    Every process of a fit has one, and only the first process writes.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL_FILE
        self._begun = False

    def write_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Parameters of the run; nested mappings are flattened with dots."""
        self._append({"kind": "parameters", "values": flattened(parameters)})

    def write_facts(self, **facts: Any) -> None:
        """Cost and hardware (device, wall time, images per second ...); JSON values."""
        self._append({"kind": "facts", "values": facts})

    def write_measurements(self, step: int, time_s: float, values: Mapping[str, float]) -> None:
        """Figures at one step."""
        self._append({"kind": "measurements", "step": step, "time_s": time_s, "values": dict(values)})

    def _append(self, record: Mapping[str, Any]) -> None:
        if not self._begun:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._cut_torn_line()
            self._begun = True
        line = json.dumps(record, sort_keys=True, allow_nan=False) + "\n"
        with self.path.open("ab") as stream:
            stream.write(line.encode())
            stream.flush()
            os.fsync(stream.fileno())

    def _cut_torn_line(self) -> None:
        if not self.path.is_file():
            return
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            with self.path.open("r+b") as stream:
                stream.truncate(whole)


def read_journal(folder: Path) -> JournalContent:
    """Read the journal in ``folder``; a torn last line is ignored, repeated figures count once."""
    parameters: dict[str, str] = {}
    facts: dict[str, Any] = {}
    times: dict[int, float] = {}
    values: dict[int, dict[str, float]] = {}
    for record in _records(folder / JOURNAL_FILE):
        if record["kind"] == "parameters":
            parameters |= record["values"]
        elif record["kind"] == "facts":
            facts |= record["values"]
        else:
            step = int(record["step"])
            times[step] = float(record["time_s"])
            values.setdefault(step, {}).update(record["values"])
    measurements = tuple(Measurements(step, times[step], values[step]) for step in sorted(values))
    return JournalContent(parameters, facts, measurements)


def _records(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in lines[:-1] if line]  # a line without a newline is torn


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters in flat form: dots between levels, every value a string."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.dumps(value) if isinstance(value, list) else str(value)
    return flat

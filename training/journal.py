"""The journal of a fit, which records parameters, figures and costs line by line on the machine of the fit.

Contract: ``journal.jsonl`` has one JSON object per line, and each line is synced to disk. After a crash, the last line
can be incomplete. It is ignored when the journal is read, and removed before the next line is written. If a fit resumes
from an older checkpoint and logs a figure again, the later figure is used. ``tracking`` logs the journal to MLflow
later, possibly on another machine.
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
    """The figures at one step: ``values`` maps metric names to finite values, ``time_s`` is in seconds since 1970."""

    step: int
    time_s: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class JournalContent:
    """The content of a journal: flattened parameters, facts about the cost, and measurements ordered by step."""

    parameters: Mapping[str, str]
    facts: Mapping[str, Any]
    measurements: tuple[Measurements, ...]


class Journal:
    """Appends lines to ``journal.jsonl`` in ``folder``. The first line creates the folder and the file.

    Every process of a fit has a journal, but only the leader writes to it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL_FILE
        self._begun = False

    def write_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Write the parameters of the run. Nested mappings are flattened; their names get dots between levels."""
        self._append({"kind": "parameters", "values": flattened(parameters)})

    def write_facts(self, **facts: Any) -> None:
        """Write facts about cost and hardware (device, wall time, images per second ...) as JSON values."""
        self._append({"kind": "facts", "values": facts})

    def write_measurements(self, step: int, time_s: float, values: Mapping[str, float]) -> None:
        """Write the figures at one step."""
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
    """Read the journal in ``folder``. If there is no journal, the content is empty."""
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
    return [json.loads(line) for line in lines[:-1] if line]  # a line without a newline is incomplete


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters in flat form, with dots between levels and with strings as values."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.dumps(value) if isinstance(value, list) else str(value)
    return flat


def latest_figures(folder: Path, *, since: float = 0.0) -> str:
    """The loss and the validation error at the last validation of a fit, as text; empty before the first one.

    Args:
        since: Unix time, s; a journal that was not written since belongs to an earlier fit.
    """
    file = folder / JOURNAL_FILE
    found = read_journal(folder).measurements if file.is_file() and file.stat().st_mtime >= since else ()
    if not found:
        return ""
    values = found[-1].values
    errors = [name for name in values if name.startswith("validation/landmark_error_") and "median" not in name]
    parts = [f"loss {values['train/loss']:.3f}"] if "train/loss" in values else []
    parts += [f"validation error {values[name]:.2f} {name.rpartition('_')[2]}" for name in errors]
    return ", ".join(parts)

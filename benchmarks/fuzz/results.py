"""The counts of all parts of a fuzzing run, in a small JSON file.

``{target: {"inputs", "passed", "seconds", "codes", "slowest_s", "slowest", "largest_bytes", "largest", "next"}}``:
``passed`` counts the inputs that got past the first check. ``slowest`` and ``largest`` name an input by seed and
number. ``next`` has the next number for each seed, so that another part reads other inputs.
"""

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fuzz.watch import Outcome


@dataclass
class Tally:
    """The counts of one target; ``add`` and ``join`` change it."""

    inputs: int = 0
    passed: int = 0
    seconds: float = 0.0
    codes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""
    largest_bytes: int = 0
    largest: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    next: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: Outcome, name: str, first_check: frozenset[str]) -> None:
        """Count one outcome; ``name`` is the seed and the number of the input."""
        self.inputs += 1
        self.passed += any(code not in first_check for code in outcome.codes)
        self.codes.update(set(outcome.codes))
        if outcome.seconds > self.slowest_s:
            self.slowest_s, self.slowest = outcome.seconds, name
        if outcome.memory_bytes > self.largest_bytes:
            self.largest_bytes, self.largest = outcome.memory_bytes, name
        if outcome.fault:
            self.faults[outcome.fault] += 1

    def join(self, other: "Tally") -> None:
        """Add the counts of another tally of the same target."""
        self.inputs += other.inputs
        self.passed += other.passed
        self.seconds += other.seconds
        self.codes.update(other.codes)
        self.faults.update(other.faults)
        if other.slowest_s > self.slowest_s:
            self.slowest_s, self.slowest = other.slowest_s, other.slowest
        if other.largest_bytes > self.largest_bytes:
            self.largest_bytes, self.largest = other.largest_bytes, other.largest
        self.next |= {seed: max(number, self.next.get(seed, 0)) for seed, number in other.next.items()}


def read_results(path: Path) -> dict[str, Tally]:
    """The tallies of a file; empty without a file."""
    if not path.exists():
        return {}
    stored = json.loads(path.read_text())
    return {
        name: Tally(**{**values, "codes": Counter(values["codes"]), "faults": Counter(values["faults"])})
        for name, values in stored.items()
    }


def add_to_results(path: Path, found: dict[str, Tally]) -> dict[str, Tally]:
    """Add tallies to those of a file, and return the sums."""
    total = read_results(path)
    for name, tally in found.items():
        total.setdefault(name, Tally()).join(tally)
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = {name: vars(tally) for name, tally in sorted(total.items())}
    path.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
    return total


def print_results(results: dict[str, Tally]) -> None:
    """Print a row for each target, and the codes that were seen."""
    head = ("target", "inputs", "past the first check", "read", "codes", "inputs/s", "slowest", "most memory", "faults")
    rows = [(name, *_cells(tally)) for name, tally in results.items()]
    for cells in (head, ["---"] * len(head), *rows):
        sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.write(f"{sum(tally.inputs for tally in results.values())} inputs in all\n")
    for name, tally in results.items():
        codes = ", ".join(f"{code} {count}" for code, count in tally.codes.most_common())
        sys.stdout.write(f"{name}: {codes}\n")


def _cells(tally: Tally) -> tuple[str, ...]:
    return (
        f"{tally.inputs}",
        f"{tally.passed / max(tally.inputs, 1):.0%}",
        f"{tally.codes['READ'] / max(tally.inputs, 1):.0%}",
        f"{len(tally.codes)}",
        f"{tally.inputs / max(tally.seconds, 1e-9):.0f}",
        f"{tally.slowest_s:.2f} s ({tally.slowest})",
        f"{tally.largest_bytes / 2**20:.0f} MiB",
        f"{sum(tally.faults.values())}",
    )

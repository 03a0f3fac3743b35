"""Studies that intake takes in per second, on small studies, beside another checkout in the same run.

    python -m benchmarks.intake_rate                      this checkout
    python -m benchmarks.intake_rate --against CHECKOUT   this checkout and another one, in turns

A study has two uncompressed images of 300 x 110 and 300 x 120 pixels and a reconstruction. Each turn takes the same
studies into an empty store, in a new process. The command prints the median of the turns.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.spine.intake.constructed_studies import cohort

STUDIES, TURNS = 200, 5
_RUN = """
import sys, tempfile, time
from pathlib import Path
from spine.intake.ingest import ingest
from spine.intake.sources import open_source
with tempfile.TemporaryDirectory() as out:
    started = time.perf_counter()
    report = ingest(open_source("folder", Path(sys.argv[1])), Path(out) / "s", Path(out) / "q", pseudonym_key=b"k" * 32)
    taken = time.perf_counter() - started
assert report.used == report.received, report.quarantined
print(report.used / taken)
"""


def main(arguments: list[str]) -> int:
    """Print the studies per second of each checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path)
    chosen = parser.parse_args(arguments)
    checkouts = [Path.cwd()] + ([chosen.against.resolve()] if chosen.against else [])
    rates: dict[Path, list[float]] = {checkout: [] for checkout in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        drop = cohort(Path(folder) / "drop", STUDIES)
        for turn in range(TURNS):
            for checkout in checkouts if turn % 2 == 0 else reversed(checkouts):
                rates[checkout].append(_rate(checkout, drop))
    for number, checkout in enumerate(checkouts):
        name = "other checkout" if number else "this checkout"
        print(f"{name:<15} {statistics.median(rates[checkout]):6.1f} studies/s  (median of {TURNS} turns)")
    return 0


def _rate(checkout: Path, drop: Path) -> float:
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _RUN, str(drop)]
    done = subprocess.run(command, env=environment, cwd=checkout, capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

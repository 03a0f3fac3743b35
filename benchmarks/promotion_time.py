"""Seconds of one promotion without the smoke test, beside another checkout in the same run.

    python -m benchmarks.promotion_time                      this checkout
    python -m benchmarks.promotion_time --against CHECKOUT   this checkout and another one, in turns

Each turn promotes 20 models one after another in a new process and a new registry on SQLite. The first promotion does
not count, because it imports MLflow. The function that measures the virtual study returns at once.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

PROMOTIONS, TURNS, TARGET = 20, 5, 0.5
_RUN = """
import sys, tempfile, time
from dataclasses import replace
from pathlib import Path
try:
    from validation.registry.new_database import make_database
except ImportError:  # before the history of events
    from validation.promotion.new_database import make_database
from tests.validation.gates.records import build_record
from tests.validation.promotion.registry import Registry

made = {"challenger": build_record("challenger", noise=0.5, seed=3), "champion": build_record("champion", noise=2.0)}
with tempfile.TemporaryDirectory() as folder:
    address = f"sqlite:///{folder}/mlflow.db"
    make_database(address)
    (Path(folder) / "evidence").mkdir()
    registry = Registry(address, Path(folder), lambda role, digest, **_: replace(made[role], model_digest=digest))
    for i in range(int(sys.argv[1])):
        for record in (Path(folder) / "evidence").rglob("*.json"):
            record.unlink()  # a workspace gathers only the records of the present verdict
        candidate = registry.candidate(f"m{i}", champion=f"m{i - 1}" if i else None)
        started = time.perf_counter(), time.process_time()
        registry.promote(candidate)
        print(time.perf_counter() - started[0], time.process_time() - started[1])
"""


def main(arguments: list[str]) -> int:
    """Print the seconds of each checkout, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path)
    chosen = parser.parse_args(arguments)
    checkouts = [Path.cwd()] + ([chosen.against.resolve()] if chosen.against else [])
    seconds: dict[Path, list[list[float]]] = {checkout: [] for checkout in checkouts}
    for turn in range(TURNS):
        for checkout in checkouts if turn % 2 == 0 else reversed(checkouts):
            seconds[checkout] += _promotions(checkout)
    medians = [[statistics.median(column) for column in zip(*seconds[c], strict=True)] for c in checkouts]
    for name, (wall, cpu) in zip(("this checkout", "other checkout"), medians, strict=False):
        print(f"{name:<15} {wall:6.3f} s, {cpu:6.3f} s of CPU  (medians of {TURNS} turns of {PROMOTIONS} promotions)")
    if chosen.against:
        wall, cpu = (ours / theirs for ours, theirs in zip(*medians, strict=True))
        print(f"{'ratio':<15} {wall:6.2f}  , {cpu:6.2f}           (target: at most {TARGET})")
    return 0


def _promotions(checkout: Path) -> list[list[float]]:
    """The seconds, and the seconds of CPU, of each promotion except the first."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    command = [sys.executable, "-c", _RUN, str(PROMOTIONS)]
    done = subprocess.run(command, env=environment, cwd=checkout, capture_output=True, text=True, check=True)
    return [[float(number) for number in line.split()] for line in done.stdout.splitlines()][1:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

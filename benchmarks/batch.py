"""Time a study takes in ``plumbline measure --studies``, against one pair measured again and again in one process.

    python -m benchmarks.batch [--studies 50] [--rows 1024]

Both measure the same pairs of virtual patients in turns, so that other work on the machine slows both alike.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import print_table
from inference.batch import studies_below
from inference.batch_table import BatchTable
from inference.bundled import open_bundled
from inference.measured_study import measure_radiographs
from inference.radiograph_files import RadiographFile, open_radiographs
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.landmarks import VIEWS
from spine.scanner import NATIVE_SPACING_MM

PATIENTS = 5
"""Number of different patients; the studies are copies of them."""
_FULL_ROWS = 4096


def main(arguments: list[str] | None = None) -> int:
    """Print the table and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=50)
    parser.add_argument("--rows", type=int, default=1024)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = _studies(Path(scratch), chosen.studies, chosen.rows)
        pair_s, batch_s = _times(folder, Path(scratch) / "table.csv")
    ratio = statistics.mean(batch_s) / statistics.mean(pair_s)
    sys.stdout.write(f"{chosen.studies} studies of {chosen.rows} rows, in turns with the same pair in process\n")
    rows = [
        [name, f"{statistics.mean(times):.3f} s", f"{statistics.median(times):.3f} s", f"{sum(times):.1f} s"]
        for name, times in (("pair in process", pair_s), ("study of a batch", batch_s))
    ]
    print_table(["", "mean", "median", "in all"], rows)
    sys.stdout.write(f"a study of the batch takes {ratio:.2f} times one pair in process\n")
    return 0


def _studies(scratch: Path, count: int, rows: int) -> Path:
    spacing = float(NATIVE_SPACING_MM * _FULL_ROWS / rows)
    write_cohort(scratch / "patients", CohortConfig(PATIENTS, 5, (rows, rows // 2), spacing))
    for i in range(count):
        shutil.copytree(scratch / "patients" / f"case-{i % PATIENTS:05d}", scratch / "studies" / f"study-{i:03d}")
    return scratch / "studies"


def _times(folder: Path, csv: Path) -> tuple[list[float], list[float]]:
    """(seconds of a pair in process, seconds of a study of the batch), in turns."""
    model = open_bundled()
    table = BatchTable(csv, model.digest, "")
    table.begin(())
    pair_s: list[float] = []
    batch_s: list[float] = []
    for number, study in enumerate(studies_below(folder)):
        began = time.perf_counter()
        files = [RadiographFile(folder / study.name / f"{view}.dcm", view) for view in VIEWS]
        measure_radiographs(model, open_radiographs(files))
        between = time.perf_counter()
        table.holds(study.name, study.content())
        table.add(study.measure(model))
        if number:  # the first one loads libraries
            pair_s.append(between - began)
            batch_s.append(time.perf_counter() - between)
    return pair_s, batch_s


if __name__ == "__main__":
    sys.exit(main())

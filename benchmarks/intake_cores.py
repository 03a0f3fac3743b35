"""Intake with two workers against one process, in turns of the same run, on images of 512 x 256 pixels.

    python -m benchmarks.intake_cores [--studies 1000] [--turns 3] [--workers 2]

The studies are copies of rendered virtual patients, with their own identifiers and some changed pixels. Each turn takes
all of them into an empty store, in a new process, and the stores must have the same bytes. Wall time depends on what
else the machine does. Therefore the command also prints the CPU time, and the ratio that idle cores would give:
CPU seconds of one process / max(CPU seconds of the writer, CPU seconds of all processes / workers). The CPU time of the
workers has their start, which does not grow with the number of studies.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import UID

from benchmarks.figures import Figure, print_figures
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from simulation.cohort.patient_folder import case_folder, case_folders

RENDERED, SEED = 20, 21
TARGET = 1.7

_RUN = """
import resource, sys, tempfile, time
from pathlib import Path
from spine.intake.ingest import ingest
from spine.intake.sources import open_source
from spine.storage import sha256_of_tree
from spine.work import LocalWork

if __name__ == "__main__":
    drop, workers = Path(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory(dir=drop.parent) as out:
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        work, key = LocalWork(workers), b"k" * 32
        report = ingest(open_source("virtual", drop), Path(out) / "s", Path(out) / "q", pseudonym_key=key, work=work)
        wall = time.perf_counter() - started
        after, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        writer = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        # A few virtual patients are refused, because the images of their views look exchanged.
        assert report.used > 0.9 * report.received, {refused.code for refused in report.quarantined}
        print(wall, writer, children.ru_utime + children.ru_stime, sha256_of_tree(Path(out)))
"""


@dataclass(frozen=True)
class Turn:
    """One intake: wall seconds, CPU seconds of the writing process and of its workers, and the digest of the store."""

    wall: float
    writer: float
    workers: float
    digest: str

    @property
    def cpu(self) -> float:
        """CPU seconds of all processes."""
        return self.writer + self.workers


def main(arguments: list[str]) -> int:
    """Measure and print the figures; the exit code is 1 if the stores differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args(arguments)
    turns: dict[int, list[Turn]] = {1: [], chosen.workers: []}
    with tempfile.TemporaryDirectory() as folder:
        drop = write_copies(Path(folder), chosen.studies)
        for number in range(chosen.turns):
            for workers in sorted(turns, reverse=number % 2 == 1):
                turns[workers].append(_turn(Path(folder), drop, workers))
    print_figures(f"intake of {chosen.studies} studies", figures(turns[1], turns[chosen.workers], chosen.workers))
    return 0 if len({turn.digest for found in turns.values() for turn in found}) == 1 else 1


def figures(single: list[Turn], several: list[Turn], workers: int) -> list[Figure]:
    """The figures of turns with one process and with several workers, as medians."""
    one, all_ = statistics.median(t.cpu for t in single), statistics.median(t.cpu for t in several)
    writer = statistics.median(t.writer for t in several)
    wall, walls = statistics.median(t.wall for t in single), statistics.median(t.wall for t in several)
    return [
        Figure("one process", wall, "s wall", how=f"{one:.1f} s CPU"),
        Figure(f"{workers} workers", walls, "s wall", how=f"{all_:.1f} s CPU, of which {writer:.1f} s the writer"),
        Figure("ratio of wall times", wall / walls, "", f">= {TARGET}", f"median of {len(single)} turns"),
        Figure("ratio on idle cores", one / max(writer, all_ / workers), "", f">= {TARGET}", "from the CPU times"),
    ]


def write_copies(folder: Path, count: int) -> Path:
    """Render some virtual patients below ``folder``, and write ``count`` studies that are copies of them."""
    rendered, drop = folder / "rendered", folder / "drop"
    write_cohort(rendered, CohortConfig(min(RENDERED, count), SEED))
    cases = case_folders(rendered)
    for number in range(count):
        _copy(cases[number % len(cases)], case_folder(drop, number), number)
    return drop


def _copy(case: Path, copy: Path, number: int) -> None:
    shutil.copytree(case, copy)
    for role, path in enumerate(sorted(copy.glob("*.dcm")), 1):
        dataset = pydicom.dcmread(path)
        dataset.PatientID = f"copy-{number}"
        dataset.StudyInstanceUID = f"2.25.{number + 1}0"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.{number + 1}{role}")
        pixels = np.array(dataset.pixel_array)
        # The bits of the number, near the middle, in grey values that no normalisation makes equal.
        row, column = (side // 2 for side in pixels.shape)
        low, high = pixels.min(), pixels.max()
        pixels[row, column : column + 24] = [high if number >> bit & 1 else low for bit in range(24)]
        dataset.PixelData = pixels.tobytes()
        dataset.save_as(path)
    points = copy / "reconstruction.json"
    points.write_text(json.dumps(json.loads(points.read_text()) | {"subject_id": f"copy-{number}"}))


def _turn(folder: Path, drop: Path, workers: int) -> Turn:
    script = folder / "intake.py"
    script.write_text(_RUN)  # workers import the main module, so it must be a file
    environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(drop), str(workers)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    wall, writer, used, digest = done.stdout.split()
    return Turn(float(wall), float(writer), float(used), digest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

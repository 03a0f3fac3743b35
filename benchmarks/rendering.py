"""Rendering rate of a cohort on a CPU, the time of each stage, and memory against the number of patients.

Contract: the rate is that of the whole command, from the start of its process to the last file.

    python -m benchmarks rendering           memory up to 1,000 patients, about six minutes
    python -m benchmarks rendering --full    memory up to 10,000 patients, about half an hour and 6 GB of disk
"""

import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from benchmarks.figures import Figure, new_chart, python, run_command, save_chart
from simulation.body.batch import PatientBatch, collate
from simulation.body.patient import build_patient
from simulation.body.patient_mass import PatientMass, sample_patient_mass
from simulation.body.skeleton import build_bones
from simulation.cohort.config import CohortConfig
from simulation.cohort.patient_writer import write_case
from simulation.imaging.acquisition import Acquisition, plan_acquisition
from simulation.imaging.annotation import collimate, draw_marks, overlay_table
from simulation.imaging.display import MAXIMUM, appearance_batch, apply_display
from simulation.imaging.exposure import detect, exposure_batch, line_integrals, path_lengths
from simulation.imaging.field_of_view import scan_geometry
from simulation.imaging.rays import rays_of
from simulation.imaging.splat import splat
from simulation.population.sampling import sample_patient
from simulation.threads import one_thread
from spine.landmarks import VIEWS

PATIENTS, WORKERS, SEED = 240, 2, 2019
STAGED = 24
MEMORY_AT, MEMORY_AT_FULL = (100, 300, 1000), (100, 300, 1000, 3000, 10_000)
IMAGE = Path("docs/cohort-memory.png")
_EVERY_SECONDS = 0.5
_MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """Number of patients begun, and memory in MiB of all processes, of the largest worker and of the parent."""

    patients: int
    total: float
    worker: float
    parent: float


def figures(full: bool = False) -> list[Figure]:
    """Patients per minute, time of each stage of one patient, memory against the number of patients."""
    return [_speed(), *_stages(), *_memory(MEMORY_AT_FULL if full else MEMORY_AT)]


def _command(folder: Path, count: int) -> list[str]:
    options = ["--count", str(count), "--seed", str(SEED), "--workers", str(WORKERS)]
    return python("-m", "orchestration.cli.main", "cohort", "--out", str(folder), *options)


def _speed() -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        rate = 60 * PATIENTS / run_command(_command(Path(folder), PATIENTS))[0]
    how = f"{PATIENTS} patients, two views of 512 x 256, {WORKERS} workers, whole command, files written"
    return Figure("virtual patients on a CPU", rate, "patients/min", ">= 400", how)


def _stages() -> list[Figure]:
    """Milliseconds of each stage of one patient on one thread; the last row is all stages with the files."""
    config = CohortConfig(count=1, seed=SEED)
    clock = _Clock()
    with one_thread(), torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        write_case(Path(folder), config, 0)  # fills the caches
        for index in range(1, STAGED + 1):
            _time_stages(clock, config, config.case_seed(index))
            with clock("all stages, files written"):
                write_case(Path(folder), config, index)
    how = f"one thread, mean of {STAGED} patients, both views"
    return [Figure(f"one patient: {n}", 1000 * s / STAGED, "ms", "", how) for n, s in clock.seconds.items()]


class _Clock:
    """Name -> total seconds in ``with`` statements of this name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started


def _time_stages(clock: _Clock, config: CohortConfig, seed: int) -> None:
    with clock("sample and pose"):
        patient = build_patient(sample_patient(seed), seed)
        batch = collate([patient.arrays])
    geometry = scan_geometry(patient, config.shape, config.spacing_mm)
    with clock("bones as surfaces"):
        build_bones(batch)
    with clock("surfaces and their mass points"):
        mass = sample_patient_mass(batch, geometry["frontal"].spacing_mm[0])
    for view in VIEWS:
        _time_view(clock, patient.seed, mass, batch, plan_acquisition(geometry[view], seed))


def _time_view(clock: _Clock, seed: int, mass: PatientMass, batch: PatientBatch, acquisition: Acquisition) -> None:
    rays, seeds = rays_of([acquisition.geometry]), [seed]
    exposure, appearance = exposure_batch([acquisition.exposure]), appearance_batch([acquisition.appearance])
    with clock("splat of the bones"):
        splat(mass.bones, rays)
    with clock("path lengths of bones and soft tissue"):
        paths = path_lengths(batch, mass.bones, mass.vessels, mass.metal, rays)
    with clock("attenuation and texture"):
        integrals = line_integrals(paths, batch, rays, exposure, seeds)
    with clock("scatter, noise, blur"):
        measured = detect(integrals, rays, exposure, seeds)
    with clock("display and overlay"):
        greys = apply_display(measured, paths, rays, appearance).to(torch.float32) / MAXIMUM
        marks = overlay_table([acquisition.overlay], acquisition.geometry.shape)
        collimated = collimate(greys, torch.from_numpy(marks.edges), appearance.background)
        draw_marks(collimated, torch.from_numpy(marks.index), torch.from_numpy(marks.greys))


def _memory(counts: Sequence[int]) -> list[Figure]:
    """Peak memory up to each number of patients; the curve is drawn as an image."""
    with tempfile.TemporaryDirectory() as folder:
        samples = _watched(Path(folder), max(counts))
    draw_memory(samples, IMAGE)
    how = f"peak so far, sum of RSS of parent and {WORKERS} workers in one run of {max(counts)} patients"
    return [Figure(f"memory at {n} patients", peak_until(samples, n), "MiB", "flat", how) for n in counts]


def peak_until(samples: Sequence[Sample], patients: int) -> float:
    """Peak memory of all processes in MiB until more than this number of patients was begun."""
    return max(s.total for s in samples if s.patients <= patients)


def _watched(folder: Path, count: int) -> list[Sample]:
    """Samples of the memory of a process tree that writes a cohort, two each second."""
    process = subprocess.Popen(_command(folder, count), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    parent, samples = psutil.Process(process.pid), []
    while process.poll() is None:
        time.sleep(_EVERY_SECONDS)
        try:
            workers = [p.memory_info().rss / _MIB for p in parent.children(recursive=True)]
            own = parent.memory_info().rss / _MIB
        except psutil.NoSuchProcess:
            continue
        begun = sum(entry.name.startswith("case-") for entry in folder.iterdir()) if folder.exists() else 0
        samples.append(Sample(begun, own + sum(workers), max(workers, default=0.0), own))
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return samples


def draw_memory(samples: Sequence[Sample], path: Path) -> None:
    """Draw memory against patients as a PNG."""
    shown = [s for s in samples if s.patients > 0 and s.worker > 0]
    figure, axis = new_chart(8, 4.5)
    begun = [s.patients for s in shown]
    for name, values in (
        (f"parent and {WORKERS} workers", [s.total for s in shown]),
        ("largest worker", [s.worker for s in shown]),
        ("parent", [s.parent for s in shown]),
    ):
        axis.plot(begun, values, label=name, linewidth=1.2)
    axis.set_xlabel("patients written")
    axis.set_ylabel("resident memory (MiB)")
    axis.set_ylim(0, 1.15 * max(s.total for s in shown))
    axis.set_title(f"plumbline cohort, two views of 512 x 256: memory while {begun[-1]:,} patients are written")
    axis.grid(alpha=0.3)
    axis.legend(loc="lower right", bbox_to_anchor=(1.0, 0.12))
    save_chart(figure, path)

"""How time and memory of intake, landmarks, dataset and validation grow with the number of studies.

    python -m benchmarks.scale --studies 100,1000     one workspace for each number, in a temporary folder

A study has two images of 190 x 90 and 190 x 110 pixels and the 175 landmarks of an analytic spine; one patient in ten
has two studies. No study is rendered. Each step runs in a process of its own, which has imported the step's libraries
before the measurement begins. The table has CPU and wall time a study, the peak memory of the process above the
imports, and the seconds of one tick of the sensor ``enough_new_studies``. The CPU time includes the step's workers; the
memory is that of the one process. The last lines compare the largest workspace with the smallest.

``python -m benchmarks.scale step NAME WORKSPACE`` runs one step and prints its figures as JSON.
"""

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import print_table, python
from orchestration.pipeline.params import FORMAT
from spine.landmarks import ViewName
from spine.radiograph.write import write_radiograph
from spine.reconstruction.plumbline_json import write_reconstruction
from spine.reconstruction.reconstruction import Reconstruction
from spine.scanner import ViewGeometry
from spine.types import Floats
from tests.validation.dataset.constructed_datasets import geometry, image, spine_points

STEPS = ("studies", "landmarks", "dataset", "validation")
TICK = "sensor tick"
VIEWS: tuple[ViewName, ViewName] = ("frontal", "lateral")
SEVERAL_STUDIES = 10
"""One in so many studies is another one of the patient before."""
LIBRARIES = ("great_expectations", "pandas", "pydicom", "scipy.ndimage", "scipy.stats", "matplotlib.pyplot", "dagster")
"""Libraries that the steps import when they first need them."""


@dataclass(frozen=True)
class Cost:
    """What a step cost.

    Attributes:
        cpu_s: seconds of CPU, those of the workers included.
        wall_s: seconds on the clock.
        peak_mib: peak memory of the step's process above the imports.
        whole_mib: peak memory of the step's process, the imports included.
        worker_mib: peak memory of the largest worker, its imports included; 0 without workers.
    """

    cpu_s: float
    wall_s: float
    peak_mib: float
    whole_mib: float
    worker_mib: float


def main(arguments: list[str]) -> int:
    """Print the table, or with ``step NAME WORKSPACE`` the figures of one step."""
    if arguments[:1] == ["step"]:
        sys.stdout.write(json.dumps(asdict(run_step(arguments[1], Path(arguments[2])))))
        return 0
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", default="100,1000", help="numbers of studies, separated by commas")
    parser.add_argument("--folder", type=Path, help="where the temporary workspaces lie")
    chosen = parser.parse_args(arguments)
    counts = sorted(int(count) for count in chosen.studies.split(","))
    costs = {}
    for count in counts:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
            costs[count] = measured(Path(folder), count)
        print_costs(count, costs[count])
    print_growth(counts[0], counts[-1], costs[counts[0]], costs[counts[-1]])
    return 0


def measured(folder: Path, count: int) -> dict[str, Cost]:
    """Step -> cost, in a new workspace with ``count`` studies in ``folder``."""
    started = time.perf_counter()
    write_workspace(folder, count)
    sys.stdout.write(f"\n{count} studies, written in {time.perf_counter() - started:.0f} s\n\n")
    sys.stdout.flush()
    costs = {}
    for step in (*STEPS, TICK):
        call = python("-m", "benchmarks.scale", "step", step, str(folder))
        done = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True)
        costs[step] = Cost(**json.loads(done.stdout.splitlines()[-1]))
    return costs


def print_costs(count: int, costs: dict[str, Cost]) -> None:
    """Print the table of one workspace."""
    rows = [
        (
            step,
            f"{1000 * cost.cpu_s / count:.1f}",
            f"{1000 * cost.wall_s / count:.1f}",
            f"{cost.wall_s:.1f}",
            f"{cost.peak_mib:.0f}",
            f"{cost.whole_mib:.0f}",
            f"{cost.worker_mib:.0f}",
        )
        for step, cost in costs.items()
    ]
    memory = ("peak MiB above imports", "peak MiB", "largest worker MiB")
    print_table(("step", "CPU ms a study", "wall ms a study", "wall s", *memory), rows)
    sys.stdout.flush()


def print_growth(few: int, many: int, before: dict[str, Cost], after: dict[str, Cost]) -> None:
    """Print how many times the memory and the CPU time a study of one workspace are those of a smaller one."""
    sys.stdout.write(f"\n{many} against {few} studies\n\n")
    rows = [
        (
            step,
            f"{after[step].peak_mib / max(before[step].peak_mib, 1.0):.2f}",
            f"{after[step].cpu_s / many / (before[step].cpu_s / few):.2f}",
        )
        for step in STEPS
    ]
    print_table(("step", "peak memory, times", "CPU a study, times"), rows)


def write_workspace(root: Path, count: int) -> None:
    """Write a workspace whose source is a folder with ``count`` analytic studies."""
    for number in range(count):
        write_study(root / "data" / "drop" / f"study-{number:06d}", number)
    params = {
        "format": FORMAT,
        "source": {"kind": "folder", "location": "data/drop"},
        "validation": {"second_reader": "none"},
    }
    (root / "params.yaml").write_text(json.dumps(params))  # JSON is YAML


def write_study(folder: Path, number: int) -> None:
    """Write the radiographs and the reconstruction of one study; equal numbers give equal studies."""
    patient = number - 1 if number % SEVERAL_STUDIES == SEVERAL_STUDIES - 1 else number
    random = np.random.default_rng(patient)
    points = spine_points(curve_mm=float(random.uniform(-30, 30)), scale=float(random.uniform(0.9, 1.05)))
    places: dict[str, ViewGeometry] = {view: geometry(view, None) for view in VIEWS}
    for position, (view, place) in enumerate(places.items()):
        write_radiograph(
            folder / f"{view}.dcm",
            picture(place, points, 2 * number + position),
            place,
            patient_id=f"patient-{patient}",
            study_uid=f"2.25.{number + 1}1",
            series_uid=f"2.25.{number + 1}2",
            sop_uid=f"2.25.{number + 1}{position + 3}",
            simulated=True,
            kvp=90.0,
        )
    record = Reconstruction(f"patient-{patient}", points, "plumbline-json", places, facts={"condition": "normal"})
    write_reconstruction(record, folder / "reconstruction.json")
    (folder / "COMPLETE").write_text("")


def picture(place: ViewGeometry, points: dict[str, Floats], seed: int) -> NDArray[np.uint16]:
    """(H, W) uint16: a bright band along the spine, on a smooth random image."""
    plates = np.array([point for name, point in points.items() if name.endswith(("_sup", "_inf"))])
    column, row = place.project(plates[np.argsort(-plates[:, 2])]).T
    rows, columns = np.arange(place.shape[0]), np.arange(place.shape[1])
    band = 1500 * np.exp(-(((columns - np.interp(rows, row, column)[:, None]) / 6) ** 2))
    return np.minimum(image(seed, place.shape) // 2 + band, 4095).astype(np.uint16)


def run_step(name: str, root: Path) -> Cost:
    """Run one step of the pipeline, or one tick of the sensor, and return its cost."""
    for library in LIBRARIES:
        importlib.import_module(library)
    from orchestration.pipeline.steps import compute_step
    from orchestration.pipeline.workspace import Workspace

    workspace = Workspace(root)
    return cost_of(_tick(workspace.root) if name == TICK else lambda: compute_step(name, workspace))


def _tick(root: Path) -> Callable[[], object]:
    import dagster as dg

    from orchestration.dagster.resources import WorkspacePaths
    from orchestration.dagster.sensors import enough_new_studies

    context, paths = dg.build_sensor_context(instance=dg.DagsterInstance.ephemeral()), WorkspacePaths(root=str(root))
    return lambda: enough_new_studies(context, paths=paths)


def cost_of(call: Callable[[], object]) -> Cost:
    """The cost of a call in this process and the processes that it starts."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak of the resident memory starts anew
    memory, cpu, wall = _status_mib("VmRSS"), _cpu_s(), time.perf_counter()
    call()
    seconds = _cpu_s() - cpu, time.perf_counter() - wall
    whole, worker = _status_mib("VmHWM"), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Cost(*seconds, whole - memory, whole, worker)


def _cpu_s() -> float:
    usages: Sequence[resource.struct_rusage] = [
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _status_mib(name: str) -> float:
    lines = Path(f"/proc/{os.getpid()}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

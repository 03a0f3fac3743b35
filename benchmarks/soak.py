"""Batches of many kinds under ``make up``, with processes killed at random: nothing is lost, and retraining goes on.

    python -m benchmarks.soak --batches 60 --minutes 30                a soak with two restarts: counts and memory
    python -m benchmarks.soak --batches 40 --minutes 25 --kills 100    with 100 processes killed at random moments

A small virtual cohort is the source. Each batch brings something else: good studies, a lateral image that comes later,
studies that came before, a damaged image, noise, nothing, a zip archive, a name that is not UTF-8, links. A kill takes
a random process below ``make up``, a run or the supervisor itself, which is then started again.

At the end the command waits until nothing runs, delivers a last batch that starts a retraining, and prints each check
with what it found. It ends with 1 if a check fails.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import pydicom

from orchestration.cli.pipeline import prepare_workspace
from orchestration.dagster.instance import open_instance
from orchestration.pipeline.intake import finished_batches, is_taken_in
from orchestration.pipeline.workspace import Workspace
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.intake.complete_marker import COMPLETE
from spine.scanner import NATIVE_SPACING_MM
from spine.study import iterate_study_folders, read_study
from spine.work import LocalWork

PORTS = ("3977", "5977")
FIRST, LAST = 24, 10
"""Studies of the source, and of the batch that must start a retraining at the end."""

SETTINGS = (
    *("dataset.test_patients=5", "validation.on_bad_study=exclude", "training.epochs=1", "training.batch_size=4"),
    *("training.heatmap_stride=8", "training.minutes=0.3", "training.input_shape=[128,64]", "training.init_from=null"),
    *("retrain.minimum_new_studies=8", "dataset.validation_fraction=0.2"),
)
_FINAL = ("SUCCESS", "FAILURE", "CANCELED")


@dataclass
class Soak:
    """The state of one run: what was delivered, and what was seen."""

    workspace: Workspace
    cases: list[Path]
    random: random.Random
    delivered: Counter[str] = field(default_factory=Counter)
    patients: set[str] = field(default_factory=set)
    taken: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    later: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    def next_case(self) -> Path:
        """The next virtual study that has not been delivered."""
        self.taken += 1
        return self.cases[self.taken - 1]

    def start(self) -> None:
        """Start ``make up`` for the workspace."""
        command = [sys.executable, "-m", "orchestration.services.up", "--workspace", str(self.workspace.root)]
        command += ["--dagster-port", PORTS[0], "--mlflow-port", PORTS[1]]
        log = (self.workspace.root.parent / "up.log").open("ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.starts += 1

    def stop(self) -> float:
        """Stop the services with SIGTERM; return the seconds that this took."""
        began = time.monotonic()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(120)
        return time.monotonic() - began


def deliver(soak: Soak, kind: str, number: int) -> None:
    """Put one batch of this kind into the inbox; its ``COMPLETE`` is written last."""
    name = f"batch-{number:03d}-{kind.replace(' ', '-')}"
    folder = soak.workspace.inbox / (os.fsdecode(b"M\xfcller " + name.encode()) if kind == "odd name" else name)
    folder.mkdir(parents=True)
    if kind in ("good", "odd name", "later", "noise", "damaged", "zip"):
        case = shutil.copytree(soak.next_case(), folder / "case")
        if kind != "damaged":
            soak.patients.add(case_patient(case))
        if kind == "later":
            lateral = (case / "lateral.dcm").rename(soak.workspace.root.parent / f"{name}.dcm")
            soak.later.append((time.monotonic() + 60, lambda: lateral.rename(case / "lateral.dcm")))
        if kind == "damaged":
            film = case / "frontal.dcm"
            film.write_bytes(film.read_bytes()[:-5000])
        if kind == "noise":
            dataset = pydicom.dcmread(case / "frontal.dcm")
            noise = np.random.default_rng(number).integers(0, 4096, dataset.pixel_array.shape)
            dataset.PixelData = noise.astype(np.uint16).tobytes()
            dataset.save_as(case / "frontal.dcm")
        if kind == "zip":
            with zipfile.ZipFile(folder / "case.zip", "w") as archive:
                for file in sorted(case.iterdir()):
                    archive.write(file, file.name)
            shutil.rmtree(case)
    if kind == "again":
        shutil.copytree(soak.random.choice(soak.cases[: max(1, soak.taken)]), folder / "case")
    if kind == "links":
        (folder / "case").mkdir()
        (folder / "case" / "frontal.dcm").symlink_to(soak.cases[0] / "frontal.dcm")
    (folder / COMPLETE).touch()
    soak.delivered[kind] += 1


KINDS = ("good", "good", "later", "good", "again", "damaged", "good", "zip", "odd name", "noise", "links", "empty")


def case_patient(case: Path) -> str:
    """The PatientID of a study."""
    return str(pydicom.dcmread(case / "frontal.dcm", stop_before_pixels=True).PatientID)


def kill_one(soak: Soak) -> None:
    """Kill a random process below the supervisor, or the supervisor itself."""
    if soak.process is None or soak.process.poll() is not None:
        return
    below = psutil.Process(soak.process.pid).children(recursive=True)
    runs = [p for p in below if "execute_run" in " ".join(_command(p)) or "grpc" not in " ".join(_command(p))]
    chosen = soak.random.choices(
        [psutil.Process(soak.process.pid), soak.random.choice(below or [psutil.Process(soak.process.pid)])]
        + ([soak.random.choice(runs)] if runs else []),
        weights=[1, 6] + ([3] if runs else []),
    )[0]
    soak.kills[_name(chosen)] += 1
    try:
        chosen.kill()
    except psutil.NoSuchProcess:
        soak.kills[_name(chosen)] -= 1


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _name(process: psutil.Process) -> str:
    command = " ".join(_command(process))
    for part, name in (
        ("services.up", "supervisor"),
        ("daemon", "daemon"),
        ("web_server", "web server"),
        ("execute_run", "run"),
        ("dagster api", "code server"),
        ("grpc", "code server"),
        ("mlflow", "MLflow"),
    ):
        if part in command:
            return name
    return "other"


def watch_memory(soak: Soak, began: float) -> None:
    """Record the resident memory of the services, MiB, by name."""
    if soak.process is None or soak.process.poll() is not None:
        return
    total: Counter[str] = Counter()
    for process in [psutil.Process(soak.process.pid), *psutil.Process(soak.process.pid).children(recursive=True)]:
        try:
            total[_name(process)] += process.memory_info().rss / 2**20
        except psutil.Error:
            continue
    for name, size in total.items():
        if name != "run":
            soak.memory[name].append((time.monotonic() - began, float(size)))


def open_runs(workspace: Workspace) -> list[str]:
    """Job and status of every run that has not ended."""
    with open_instance(workspace) as instance:
        records = instance.get_run_records()
    open_ones = [r.dagster_run for r in records if r.dagster_run.status.value not in _FINAL]
    return [f"{run.job_name} {run.status.value}" for run in open_ones]


def retrainings(workspace: Workspace, since: float) -> list[str]:
    """Statuses of the retrainings that were started since this time."""
    with open_instance(workspace) as instance:
        records = instance.get_run_records()
    return [
        r.dagster_run.status.value
        for r in records
        if r.dagster_run.job_name == "retrain" and r.create_timestamp.timestamp() >= since
    ]


def untaken(workspace: Workspace) -> list[str]:
    """Names of finished batches without a record."""
    return [repr(batch.folder.name) for batch in finished_batches(workspace) if not is_taken_in(workspace, batch)]


def wait_until(condition: Callable[[], bool], minutes: float, soak: Soak) -> bool:
    """Wait for a condition; start the services again if they have ended."""
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        if soak.process is None or soak.process.poll() is not None:
            soak.start()
        if condition():
            return True
        time.sleep(5)
    return False


def checks(soak: Soak) -> list[tuple[str, bool, str]]:
    """(check, whether it holds, what was found) at the end."""
    workspace = soak.workspace
    studies = [read_study(folder) for folder in iterate_study_folders(workspace.studies)]
    replaced = {former for study in studies for former in study.revises}
    latest = [study for study in studies if study.study_id not in replaced]
    partial = [p.name for p in workspace.root.rglob("*.partial") if time.time() - p.stat().st_mtime > 120]
    databases = [*workspace.root.rglob("mlflow.db"), *workspace.dagster_home.rglob("*.db")]
    broken = [p.name for p in databases if _integrity(p) != "ok"]
    json_files = [*workspace.state.glob("batches/*.json"), *workspace.studies.glob("*/study.json")]
    torn = [p.name for p in json_files if not _parses(p)]
    with open_instance(workspace) as instance:
        records = instance.get_run_records()
    taken = Counter(
        str(r.dagster_run.tags.get("plumbline/batch"))
        for r in records
        if r.dagster_run.job_name == "ingest_batch" and r.dagster_run.status.value == "SUCCESS"
    )
    twice = [key for key, count in taken.items() if count > 1]
    whole = sum(len(study.views) == 2 for study in latest)
    expected = FIRST + len(soak.patients)
    return [
        (
            "every batch was taken in",
            not untaken(workspace),
            f"{sum(soak.delivered.values())} batches, left: {untaken(workspace)}",
        ),
        ("no batch was taken in twice", not twice, f"{len(taken)} keys with a successful run, twice: {twice}"),
        ("no patient is lost or twice", len(latest) == expected, f"{len(latest)} studies, expected {expected}"),
        ("late images completed their studies", whole == len(latest), f"{whole} of {len(latest)} with both views"),
        ("no run is left open", not open_runs(workspace), str(open_runs(workspace))),
        ("no file is half-written", not partial and not torn, f"partial {partial}, torn {torn}"),
        ("every database is sound", not broken, f"{len(databases)} databases, broken: {broken}"),
    ]


def _integrity(path: Path) -> str:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        return str(database.execute("pragma integrity_check").fetchone()[0])


def _parses(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except ValueError:
        return False
    return True


def memory_growth(soak: Soak) -> list[str]:
    """For each service: median memory in the second and in the last fifth of the soak."""
    lines = []
    for name, samples in sorted(soak.memory.items()):
        end = samples[-1][0]
        early = [size for at, size in samples if 0.2 * end <= at < 0.4 * end]
        late = [size for at, size in samples if at >= 0.8 * end]
        if early and late:
            lines.append(f"    {name:<12} {median(early):7.0f} MiB early, {median(late):7.0f} MiB late")
    return lines


def main(arguments: list[str]) -> int:
    """Run the soak and print the checks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder of the workspace; by default a temporary one")
    chosen = parser.parse_args(arguments)
    root = chosen.keep or Path(tempfile.mkdtemp(prefix="plumbline-soak-"))
    count = FIRST + LAST + chosen.batches
    config = CohortConfig(count=count, seed=33, shape=(352, 176), spacing_mm=NATIVE_SPACING_MM * 12)
    write_cohort(root / "cohort", config, work=LocalWork(2))
    cases = sorted(path for path in (root / "cohort").iterdir() if path.is_dir())
    for case in cases[:FIRST]:
        shutil.copytree(case, root / "source" / case.name)
    workspace = Workspace(root / "ws")
    prepare_workspace(workspace, "folder", root / "source", SETTINGS)
    subprocess.run([sys.executable, "-m", "orchestration.cli.main", "run", "-w", str(workspace.root)], check=False)
    soak = Soak(workspace, cases[FIRST:-LAST], random.Random(chosen.seed))
    soak.start()
    _run(soak, chosen.batches, chosen.minutes, chosen.kills)
    quiet = wait_until(lambda: not soak.later and not untaken(workspace) and not open_runs(workspace), 15, soak)
    last = time.time()
    for case in cases[-LAST:]:
        shutil.copytree(case, workspace.inbox / "last" / case.name)
        soak.patients.add(case_patient(case))
    (workspace.inbox / "last" / COMPLETE).touch()
    soak.delivered["last"] += 1
    retrained = wait_until(lambda: "SUCCESS" in retrainings(workspace, last), 10, soak)
    wait_until(lambda: not open_runs(workspace), 5, soak)
    seconds = soak.stop()
    found = [
        ("everything came to rest", quiet, "within 15 minutes" if quiet else "not within 15 minutes"),
        ("retraining goes on", retrained, f"retrainings after the last batch: {retrainings(workspace, last)}"),
        *checks(soak),
        ("SIGTERM ends the services within 10 s", seconds < 10, f"{seconds:.1f} s"),
    ]
    print(f"batches: {dict(soak.delivered)}; starts of the services: {soak.starts}; kills: {dict(soak.kills)}")
    print("memory of the services:", *memory_growth(soak), sep="\n")
    for name, holds, what in found:
        print(f"{'PASS' if holds else 'FAIL'}  {name}: {what}")
    return 0 if all(holds for _, holds, _ in found) else 1


def _run(soak: Soak, batches: int, minutes: float, kills: int) -> None:
    """Deliver the batches evenly over the time, with kills or two restarts."""
    began, end = time.monotonic(), time.monotonic() + 60 * minutes
    moments = sorted(soak.random.uniform(began + 20, end) for _ in range(kills))
    restarts = [] if kills else [began + (end - began) / 3, began + 2 * (end - began) / 3]
    delivered = 0
    while time.monotonic() < end or delivered < batches or soak.later:
        now = time.monotonic()
        if soak.process is None or soak.process.poll() is not None:
            soak.start()
        if delivered < batches and now >= began + delivered * (end - began) / batches:
            deliver(soak, KINDS[delivered % len(KINDS)], delivered)
            delivered += 1
        for due in [entry for entry in soak.later if entry[0] <= now]:
            due[1]()
            soak.later.remove(due)
        if moments and now >= moments[0]:
            moments.pop(0)
            kill_one(soak)
        if restarts and now >= restarts[0]:
            restarts.pop(0)
            soak.stop()
        watch_memory(soak, began)
        time.sleep(2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

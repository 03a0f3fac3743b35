"""Rendering and intake on two Ray nodes beside two local processes, and what a node's death leaves.

    python -m benchmarks.ray_cluster [--patients 40] [--studies 200] [--skip-run]

The nodes have one core each and are on this machine. CPU seconds are those of the caller and of the workers. Start-up
is counted apart, on both sides: what it takes until each worker has loaded the code. What Ray's services use is printed
too.
The second node is killed (SIGKILL, all processes) in the middle of an intake, and in the middle of a whole run.
"""

import argparse
import importlib
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from benchmarks.figures import Figure, print_figures
from benchmarks.intake_cores import write_copies
from orchestration.cluster.ray_work import RayWork
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.intake.ingest import ingest
from spine.intake.intake_report import IntakeReport
from spine.intake.sources import open_source
from spine.storage import sha256_of_tree
from spine.work import LocalWork, Work
from tests.ray_nodes import TwoNodes, two_nodes

LIMIT, QUEUE_LIMIT_S, SEED = 1.3, 180, 21


@dataclass(frozen=True)
class Cost:
    """CPU seconds of the caller and its workers, and of Ray's services."""

    cpu: float
    services: float


def main(arguments: list[str]) -> int:
    """Measure and print the figures; the exit code is 1 if the bytes differ or a study is lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--skip-run", action="store_true")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name, two_nodes() as nodes:
        os.environ.update(nodes.variables)
        folder = Path(name)
        places = Places(nodes, folder, LocalWork(2), RayWork(nodes.address, folder / "shared"))
        drop = write_copies(folder, chosen.studies)
        rendering = partial(_render, patients=chosen.patients)
        figures, same_images = places.compared("rendering", "simulation.cohort.patient_writer", rendering)
        intake, same_store = places.compared("intake", "spine.intake.ingest", partial(_take_in, drop))
        killed, whole = _killed(nodes, places.there, drop, folder)
        if not chosen.skip_run:
            nodes.start_second()
            killed.append(_killed_run(nodes, folder / "run"))
    print_figures("two Ray nodes against two local processes", [*figures, *intake, *killed])
    return 0 if same_images and same_store and whole else 1


@dataclass(frozen=True)
class Places:
    """The two places of work that are compared, and the folder in which they write."""

    nodes: TwoNodes
    folder: Path
    here: Work
    there: Work

    def compared(self, what: str, module: str, task: Callable[[Work, Path], object]) -> tuple[list[Figure], bool]:
        """The figures of a task in both places, and whether it wrote the same bytes; its workers load ``module``."""
        outs = self.folder / f"{what}-here", self.folder / f"{what}-there"
        start = [_cost(self.nodes, partial(_start, work, module)) for work in (self.here, self.there)]
        local, cluster = (
            _cost(self.nodes, partial(task, work, out)) for work, out in zip((self.here, self.there), outs, strict=True)
        )
        same = sha256_of_tree(outs[0]) == sha256_of_tree(outs[1])
        alone = local.cpu - start[0].cpu  # the local processes start anew; Ray's are up
        how = f"{cluster.cpu:.1f} s against {alone:.1f} s; Ray's services {cluster.services:.1f} s"
        return [
            Figure(f"{what}: start-up", start[1].cpu, "s CPU", how=f"{start[0].cpu:.1f} s of local processes"),
            Figure(f"{what}: CPU ratio", cluster.cpu / alone, "", f"<= {LIMIT}", how),
            Figure(f"{what}: same bytes", int(same), "", "1"),
        ], same


def _killed(nodes: TwoNodes, there: Work, drop: Path, folder: Path) -> tuple[list[Figure], bool]:
    def kill_in_the_middle(done: int, total: int) -> None:
        if done == total // 3:
            nodes.kill_second()

    report = _take_in(drop, there, folder / "killed", kill_in_the_middle)
    complete = report.received == report.used + len(report.quarantined)
    doubled = len(report.study_ids) - len(set(report.study_ids))
    same = sha256_of_tree(folder / "killed") == sha256_of_tree(folder / "intake-here")
    how = f"received {report.received}, used {report.used}, quarantined {len(report.quarantined)}, twice {doubled}"
    return [Figure("node killed: same bytes", int(same), "", "1", how)], same and complete and not doubled


def _killed_run(nodes: TwoNodes, folder: Path) -> Figure:
    # Imported here, because each local worker loads this module again.
    from orchestration.dagster.instance import RUN_MONITORING
    from tests.orchestration.cluster.killed_run import kill_the_node_of_a_run

    found = kill_the_node_of_a_run(nodes, folder, RUN_MONITORING)
    how = f"the run whose node died: {found.status}"
    return Figure("next run starts after", found.seconds, "s", f"<= {QUEUE_LIMIT_S}", how)


def _cost(nodes: TwoNodes, task: Callable[[], object]) -> Cost:
    before, (workers, services) = _own_cpu(), _cluster_cpu(nodes)
    task()
    now_workers, now_services = _cluster_cpu(nodes)
    return Cost(_own_cpu() - before + now_workers - workers, now_services - services)


def _own_cpu() -> float:
    """CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _cluster_cpu(nodes: TwoNodes) -> tuple[float, float]:
    """CPU seconds of the cluster's workers, dead ones included, and of its services."""
    workers = services = 0.0
    for node in nodes.processes:
        for process in [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]:
            times, name = process.cpu_times(), " ".join(process.cmdline())
            own, dead = times.user + times.system, times.children_user + times.children_system
            is_worker = name.startswith("ray::") and "Agent" not in name
            workers += (own if is_worker else 0.0) + (dead if "raylet" in process.name() else 0.0)
            services += 0.0 if is_worker else own
    return workers, services


def _start(work: Work, module: str) -> None:
    list(work.run(_load, [module] * 12))


def _load(module: str) -> None:
    importlib.import_module(module)
    time.sleep(0.2)  # so that each worker gets one


def _render(work: Work, out: Path, *, patients: int) -> None:
    write_cohort(out, CohortConfig(patients, SEED), work=work)


def _take_in(drop: Path, work: Work, out: Path, progress: Callable[[int, int], None] | None = None) -> IntakeReport:
    source, key = open_source("virtual", drop), b"k" * 32
    return ingest(source, out / "s", out / "q", pseudonym_key=key, work=work, progress=progress)


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))

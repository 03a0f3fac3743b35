"""The demo: wall time, peak memory and the overhead of the pipeline.

Overhead is the time beyond rendering, ingest, projection, splitting, training and evaluation, which a script without
orchestrator, tracker, validation suite and data versioning would need too.
"""

import json
import subprocess
from pathlib import Path

from benchmarks.figures import Figure, python
from orchestration.pipeline.workspace import Workspace

WORKSPACE = "workspace/demo"
WORK = ("cohort", "studies", "landmarks", "dataset", "candidate", "evaluation")


def demo_workspace() -> Workspace:
    """The workspace of the demo; runs the demo first if there is no finished run."""
    workspace = Workspace(Path(WORKSPACE))
    if not (workspace.state / "run.json").exists():
        subprocess.run(python("-m", "orchestration.cli.main", "demo", "-w", WORKSPACE), check=True)
    return workspace


def figures() -> list[Figure]:
    """Figures of the last full run of the demo, as it recorded them."""
    run = json.loads((demo_workspace().state / "run.json").read_text())
    wall = run["seconds"]
    work = sum(step["seconds"] for step in run["steps"] if step["step"] in WORK and not step["skipped"])
    how = f"last full run of `make demo`, {run['finished_at']}"
    rows = [Figure(f"demo: {step['step']}", step["seconds"], "s", "", how) for step in run["steps"]]
    return [
        *rows,
        Figure("demo, wall time", wall / 60, "min", "<= 10", how),
        Figure("demo, peak memory", run["peak_mib"] / 1024, "GiB", "<= 4", "largest process tree sample"),
        Figure("pipeline overhead (Dagster, MLflow, GX, DVC)", 100 * (wall - work) / wall, "%", "<= 15", how),
    ]

"""The demo: wall time and peak memory."""

import json
import subprocess
from pathlib import Path

from benchmarks.figures import Figure, python
from orchestration.pipeline.workspace import Workspace

WORKSPACE = "workspace/demo"


def demo_workspace() -> Workspace:
    """The workspace of the demo. The demo runs first if there is no finished run."""
    workspace = Workspace(Path(WORKSPACE))
    if not (workspace.state / "run.json").exists():
        subprocess.run(python("-m", "orchestration.cli.main", "demo", "-w", WORKSPACE), check=True)
    return workspace


def figures() -> list[Figure]:
    """Figures of the last full run of the demo, as recorded in its workspace."""
    run = json.loads((demo_workspace().state / "run.json").read_text())
    how = f"last full run of `make demo`, {run['finished_at']}"
    return [
        Figure("demo, wall time", run["seconds"] / 60, "min", "<= 10", how),
        Figure("demo, peak memory", run["peak_mib"] / 1024, "GiB", "<= 4", "all processes together"),
    ]

"""Time and memory of ``plumbline measure`` as a process, and load time of Dagster's definitions."""

import statistics
import tempfile
from pathlib import Path

from benchmarks.demo import demo_workspace
from benchmarks.figures import Figure, python, run_command
from orchestration.pipeline.workspace import Workspace

RUNS = 5


def figures() -> list[Figure]:
    """Time and peak memory from process start to result for a pair, and load time of the definitions."""
    workspace = demo_workspace()
    return [*_measure(workspace), _definitions()]


def _measure(workspace: Workspace) -> list[Figure]:
    case = sorted(marker.parent for marker in workspace.drop.glob("*/COMPLETE"))[0]
    model = [] if (workspace.champion / "champion.json").exists() else ["--model", str(workspace.candidate)]
    with tempfile.TemporaryDirectory() as folder:
        out = ["--overlay", str(Path(folder) / "o.png"), "--json", str(Path(folder) / "m.json")]
        radiographs = [str(case / "frontal.dcm"), str(case / "lateral.dcm")]
        call = ["-m", "orchestration.cli.main", "measure", *radiographs, *out, "-w", str(workspace.root), *model]
        runs = [run_command(python(*call)) for _ in range(RUNS)]
    how = f"median of {RUNS}, process start to files written"
    return [
        Figure("plumbline measure on a pair", statistics.median(t for t, _ in runs), "s", "<= 3", how),
        Figure("plumbline measure, peak memory", max(m for _, m in runs), "MiB", "", "largest of the runs"),
    ]


def _definitions() -> Figure:
    times = [run_command(python("-c", "import orchestration.dagster.definitions"))[0] for _ in range(RUNS)]
    return Figure("Dagster definitions load", statistics.median(times), "s", "< 5", f"median of {RUNS}, no services")

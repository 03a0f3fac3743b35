"""The whole pipeline on the servers of a deployment: PostgreSQL, an object store, MLflow's server, Dagster's history.

``python -m benchmarks.server_set`` runs ``plumbline run`` on 40 small virtual patients, under a policy that every model
keeps, up to a promoted model. Then it looks where everything is: runs, files, the champion by its digest, and the data
in the DVC remote. Each figure with a target must have that value. ``--store rclone`` takes an object store that checks
keys.
"""

import argparse
import filecmp
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, print_figures

if TYPE_CHECKING:
    from orchestration.pipeline.workspace import Workspace
    from tests.throwaway_servers import Servers, Store

STUDIES = 40
POLICY = "loose.yaml"
_FETCH = """
from pathlib import Path
from mlflow import MlflowClient
client = MlflowClient()
(version,) = client.search_model_versions("name = 'plumbline-candidates'")
client.download_artifacts(version.run_id, "evaluation", str(Path.cwd()))
"""


def settings(studies: int, epochs: int) -> list[str]:
    """The options of ``plumbline run`` for a small run on virtual patients."""
    values = {
        "cohort.count": studies, "cohort.rows": 256, "cohort.columns": 128, "cohort.downsample": 15,
        "dataset.landmark_set": "galbusera39", "dataset.test_patients": 8, "dataset.validation_fraction": 0.2,
        "training.epochs": epochs, "training.batch_size": 4, "training.heatmap_stride": 4,
        "training.learning_rate": 0.002, "training.minutes": 4.0, "training.input_shape": "[128, 64]",
        "gate.policy": POLICY,
    }  # fmt: skip
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


def main(arguments: list[str] | None = None) -> int:
    """Start the servers, run everything, print the figures; 1 if a figure is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server_set", description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--store", choices=("moto", "rclone"), default="moto")
    chosen = parser.parse_args(arguments)
    found = figures(chosen.studies, chosen.epochs, chosen.store)
    print_figures("server-set", found)
    wrong = [figure.name for figure in found if figure.target and f"{figure.value:g}" != figure.target]
    sys.stdout.write(f"not as they must be: {', '.join(wrong)}\n" if wrong else "every figure is as it must be\n")
    return bool(wrong)


def figures(studies: int = STUDIES, epochs: int = 30, store: "Store" = "moto") -> list[Figure]:
    """What a run on the servers left where; empty if the servers cannot be started here."""
    from tests import throwaway_servers

    if (reason := throwaway_servers.why_not(store)) is not None:
        sys.stdout.write(f"skipped: {reason}\n")
        return []
    with (
        tempfile.TemporaryDirectory(prefix="plumbline-servers-") as name,
        throwaway_servers.servers(Path(name), store) as servers,
    ):
        return checked(Path(name) / "ws", servers, settings(studies, epochs))


def checked(root: Path, servers: "Servers", options: list[str]) -> list[Figure]:
    """Run the pipeline once in the workspace ``root``, and look where everything is."""
    from orchestration.pipeline.workspace import Workspace

    workspace = Workspace(root, tracking=servers.tracking)
    code, seconds = run(workspace, servers, options)
    return [
        Figure("exit code of `plumbline run`", code, "", "0", f"{seconds:.0f} s"),
        *_history(workspace, servers),
        *_files(workspace, servers),
        *_champion(workspace, servers),
        *_data(workspace, servers),
    ]


def run(workspace: "Workspace", servers: "Servers", options: list[str]) -> tuple[int, float]:
    """``plumbline run`` in a process of its own; its exit code and seconds."""
    from tests.pipeline.conftest import loosened_policy

    workspace.root.mkdir(exist_ok=True)
    loosened_policy(workspace.root / POLICY)
    started = time.perf_counter()
    done = _plumbline(servers, workspace.root, "run", "-w", str(workspace.root), "--source", "virtual", *options)
    if done.returncode:
        sys.stdout.write(f"{done.stdout[-2000:]}{done.stderr[-2000:]}\n")
    return done.returncode, time.perf_counter() - started


def _plumbline(servers: "Servers", cwd: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return _python(servers, cwd, "-m", "orchestration.cli.main", *arguments)


def _python(servers: "Servers", cwd: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | servers.environment | {"PYTHONPATH": str(Path(__file__).parents[1])}
    environment |= {"MLFLOW_TRACKING_URI": servers.tracking}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


def _history(workspace: "Workspace", servers: "Servers") -> Iterator[Figure]:
    """The runs that the deployed Dagster shows, opened as its own programs open it."""
    script = "import dagster as dg, json; i = dg.DagsterInstance.from_config('.'); "
    script += "print(json.dumps([r.status.value for r in i.get_runs()]))"
    shown = json.loads(_python(servers, workspace.dagster_home, "-W", "ignore", "-c", script).stdout or "[]")
    yield Figure("successful runs in Dagster's PostgreSQL", shown.count("SUCCESS"), "", "1", f"runs: {shown}")
    local = len(list(workspace.dagster_home.rglob("*.db")))
    yield Figure("run databases in the workspace", local, "", "0")


def _files(workspace: "Workspace", servers: "Servers") -> Iterator[Figure]:
    """Where MLflow's files are, and whether a process in another folder sees the pictures."""
    from tests import throwaway_servers

    objects = throwaway_servers.stored(servers.objects)
    how = f"{len(objects)} objects, {sum(objects.values()) / 1e6:.1f} MB"
    yield Figure("files in the bucket", float(bool(objects)), "", "1", how)
    local = sum(path.is_file() for path in (workspace.state / "mlflow").rglob("*"))
    yield Figure("MLflow's files in the workspace", local, "", "0")
    ours = [path.relative_to(workspace.evaluation) for path in workspace.evaluation.rglob("*") if path.is_file()]
    with tempfile.TemporaryDirectory() as elsewhere:
        done = _python(servers, Path(elsewhere), "-W", "ignore", "-c", _FETCH)
        differ = [p for p in ours if not _same(Path(elsewhere) / "evaluation" / p, workspace.evaluation / p)]
    pictures = sum(path.suffix == ".png" for path in ours)
    how = f"{len(ours)} files over HTTP in another folder, {pictures} pictures; {done.stderr[-200:]}"
    yield Figure("files of the evaluation that differ elsewhere", len(differ) if pictures else -1, "", "0", how)


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def _champion(workspace: "Workspace", servers: "Servers") -> Iterator[Figure]:
    """The champion from the object store by its digest, in a folder without the workspace, and its verified history."""
    script = (
        "import sys; from pathlib import Path; from validation.registry.client import fetch_version; "
        "fetch_version(sys.argv[1], 'plumbline', sys.argv[2], sys.argv[3], into=Path('model').absolute())"
    )
    champion = json.loads(workspace.champion_record.read_text()) if workspace.champion_record.exists() else {}
    with tempfile.TemporaryDirectory() as elsewhere:
        version, digest = str(champion.get("version", "")), str(champion.get("digest", ""))
        done = _python(servers, Path(elsewhere), "-W", "ignore", "-c", script, servers.tracking, version, digest)
    yield Figure("exit code of the champion's download by digest", done.returncode, "", "0", done.stderr[-300:])
    for words in (("history", "--verify"), ("champion",), ("status",)):
        done = _plumbline(servers, workspace.root, *words, "-w", str(workspace.root))
        yield Figure(f"exit code of `plumbline {' '.join(words)}`", done.returncode, "", "0", done.stderr[-300:])


def _data(workspace: "Workspace", servers: "Servers") -> Iterator[Figure]:
    """``dvc push`` into the object store, and ``dvc pull`` into an empty clone."""
    from tests.throwaway_servers import BUCKET

    root, dvc, remote = workspace.root, ("-m", "dvc"), f"s3://{BUCKET}/dvc"
    made = _plumbline(servers, root, "init", "-w", str(root), "--remote", remote, "--remote-endpoint", servers.objects)
    yield Figure("exit code of `plumbline init --remote`", made.returncode, "", "0", made.stderr[-300:])
    pushed = _python(servers, root, *dvc, "push", "-q")
    yield Figure("exit code of `dvc push`", pushed.returncode, "", "0", pushed.stderr[-300:])
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name)
        for file in ("dvc.yaml", "dvc.lock", "params.yaml", ".dvc/config"):
            (clone / file).parent.mkdir(exist_ok=True)
            (clone / file).write_bytes((root / file).read_bytes())
        pulled = _python(servers, clone, *dvc, "pull", "-q")
        yield Figure("exit code of `dvc pull`", pulled.returncode, "", "0", pulled.stderr[-300:])
        ours = {p.relative_to(clone) for p in (clone / "data").rglob("*") if p.is_file()}
        differ = sum(not _same(clone / p, root / p) for p in ours)
    yield Figure("files that were pulled", float(bool(ours)), "", "1", f"{len(ours)} files")
    yield Figure("pulled files that differ", differ, "", "0")


if __name__ == "__main__":
    sys.exit(main())

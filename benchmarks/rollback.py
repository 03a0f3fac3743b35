"""Seconds from the command ``plumbline rollback`` until it has replaced the champion, with and without a registry.

Both models are copies of the bundled model with another note each. The command runs as a process. It fetches and
verifies the model from the registry, runs the smoke test and replaces the local copy of the champion.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Figure
from orchestration.lifecycle.promotion import promote_champion
from orchestration.pipeline.params import Params, write_params
from orchestration.pipeline.workspace import Workspace
from spine.model_digest import model_digest
from tests.served_workspace import register_candidate
from validation.evaluation.record import read_record
from validation.gates.policy import DEFAULT_POLICY, read_policy
from validation.gates.verdict import judge, write_verdict


def figures() -> list[Figure]:
    """Two rollbacks of one workspace: a local rollback, then an ordinary one, which also updates the registry."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "ws")
        first = _serving(workspace)
        with registry_down(workspace):
            local = _timed(workspace, first, "--local")
        ordinary = _timed(workspace, first)
    how = "one command as a process, with smoke test"
    return [
        Figure("plumbline rollback", round(ordinary, 1), "s", "< 60", how),
        Figure("plumbline rollback --local, without MLflow", round(local, 1), "s", "< 60", how),
    ]


def _serving(workspace: Workspace) -> str:
    """Promote two models; return the digest of the first model."""
    workspace.prepare()
    write_params(Params(), workspace.params_file)
    first = promoted(workspace, "a", None)
    promoted(workspace, "bb", first)
    return first


def promoted(workspace: Workspace, note: str, champion: str | None) -> str:
    """Promote a model whose note has another length than those of all other models; return its digest."""
    digest = judged(workspace, note, champion)
    promote_champion(workspace, Params(), "bench")
    return digest


def judged(workspace: Workspace, note: str, champion: str | None) -> str:
    """Register such a model and judge it against the champion; return its digest."""
    from validation.gates.evidence import Evidence

    digest = register_candidate(workspace, note, champion=champion, noise=0.5)
    folders = [workspace.evaluation] + ([workspace.champion_evaluation] if champion else [])
    records = [read_record(folder / "record.json") for folder in folders]
    rival = records[1] if champion else None
    verdict = judge(read_policy(DEFAULT_POLICY), Evidence(records[0], rival), judged_at=datetime.now(UTC))
    write_verdict(verdict, workspace.verdict_file)
    return digest


def _timed(workspace: Workspace, wanted: str, *words: str) -> float:
    command = [sys.executable, "-m", "orchestration.cli.main", "rollback", "--reason", "bench", *words]
    started = time.perf_counter()
    subprocess.run([*command, "-w", str(workspace.root)], check=True, capture_output=True)
    seconds = time.perf_counter() - started
    recorded = json.loads(workspace.champion_record.read_text())["digest"]
    assert wanted == recorded == model_digest(workspace.champion), "the rollback did not restore the first model"
    return seconds


@contextmanager
def registry_down(workspace: Workspace) -> Iterator[None]:
    """The block runs without MLflow's database."""
    database = workspace.state / "mlflow" / "mlflow.db"
    away = database.rename(workspace.state / "away.db")
    database.mkdir()
    yield
    database.rmdir()
    away.rename(database)

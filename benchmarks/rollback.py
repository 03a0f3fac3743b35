"""Seconds from the typed command to the other model serving: ``plumbline rollback``, and without a registry.

The bundled model twice, told apart by a byte; the command as a process of its own, with imports, bytes fetched from
the registry and verified, the bundled study asked, the local copy exchanged.
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


def figures() -> list[Figure]:
    """Both rollbacks of one workspace: first the local one, which the ordinary one then tells the registry."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "ws")
        first = _serving(workspace)
        with _registry_down(workspace):
            local = _timed(workspace, first, "--local")
        ordinary = _timed(workspace, first)
    how = "one command, a process of its own, smoke test included"
    return [
        Figure("rollback: until the other model serves", round(ordinary, 1), "s", "< 60", how),
        Figure("rollback --local, MLflow down: until the other model serves", round(local, 1), "s", "< 60", how),
    ]


def _serving(workspace: Workspace) -> str:
    """Promote two models; digest of the first one, to be returned to."""
    workspace.prepare()
    write_params(Params(), workspace.params_file)
    first = _promoted(workspace, "a", None)
    _promoted(workspace, "bb", first)
    return first


def _promoted(workspace: Workspace, note: str, champion: str | None) -> str:
    from validation.evaluation.record import read_record
    from validation.gates.policy import DEFAULT_POLICY, read_policy
    from validation.gates.verdict import judge, write_verdict

    digest = register_candidate(workspace, note, champion=champion, noise=0.5)
    folders = [workspace.evaluation] + ([workspace.champion_evaluation] if champion else [])
    records = [read_record(folder / "record.json") for folder in folders]
    rival = records[1] if champion else None
    verdict = judge(read_policy(DEFAULT_POLICY), records[0], rival, judged_at=datetime.now(UTC))
    write_verdict(verdict, workspace.verdict_file)
    promote_champion(workspace, Params(), "bench")
    return digest


def _timed(workspace: Workspace, wanted: str, *words: str) -> float:
    command = [sys.executable, "-m", "orchestration.cli.main", "rollback", "--reason", "bench", *words]
    started = time.perf_counter()
    subprocess.run([*command, "-w", str(workspace.root)], check=True, capture_output=True)
    seconds = time.perf_counter() - started
    told = json.loads(workspace.champion_record.read_text())["digest"]
    assert wanted == told == model_digest(workspace.champion), "another model serves than the one to return to"
    return seconds


@contextmanager
def _registry_down(workspace: Workspace) -> Iterator[None]:
    database = workspace.state / "mlflow" / "mlflow.db"
    away = database.rename(workspace.state / "away.db")
    database.mkdir()
    yield
    database.rmdir()
    away.rename(database)

"""Candidates of known quality in a workspace: the bundled model with another note each, and constructed evidence."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient

from inference.bundled import BUNDLED
from orchestration.cli.main import plumbline
from orchestration.environment import quiet_environment
from orchestration.lifecycle.judging import judge_candidate
from orchestration.pipeline.names import CANDIDATES_MODEL
from orchestration.pipeline.params import Params, read_params, write_params
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.registry import history_state
from spine.errors import PlumblineError
from spine.landmarks import VIEWS
from spine.mlmodel import mlflow_files
from spine.model_digest import model_digest
from tests.validation.gates.records import build_record
from validation.evaluation.record import write_record
from validation.gates.verdict import read_verdict
from validation.promotion.smoke_test import STUDY
from validation.registry.local_artifacts import experiment_location

GRAPH = BUNDLED / "model.onnx"
"""The graph of the next candidate."""


def register_candidate(workspace: Workspace, note: str, *, champion: str | None = None, noise: float = 1.0) -> str:
    """Export, score and register a candidate, compared with the model of digest ``champion``; its own digest."""
    folder = workspace.candidate
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(GRAPH, folder / "model.onnx")
    (folder / "contract.json").write_text((BUNDLED / "contract.json").read_text() + "\n" * len(note))
    digest = model_digest(folder)
    example = {view: (STUDY / f"{view}.png").read_bytes() for view in VIEWS}
    for name, text in mlflow_files(digest, example).items():
        (folder / name).write_text(text)
    write_record(build_record("challenger", digest, noise=noise, seed=3), workspace.evaluation / "record.json")
    shutil.rmtree(workspace.champion_evaluation, ignore_errors=True)
    if champion is not None:
        rival = build_record("champion", champion, noise=2.0, seed=2)
        write_record(rival, workspace.champion_evaluation / "record.json")
    client = MlflowClient(tracking_uri=workspace.tracking_uri, registry_uri=workspace.tracking_uri)
    known = client.get_experiment_by_name("training")
    where = experiment_location(workspace.tracking_uri, "training")
    experiment = known.experiment_id if known else client.create_experiment("training", artifact_location=where)
    if known is None:
        client.create_registered_model(CANDIDATES_MODEL)
    run = client.create_run(experiment, tags={"plumbline.author": "A. Trainer"})
    client.log_artifacts(run.info.run_id, str(folder), "model")
    client.set_terminated(run.info.run_id)
    tags = {"plumbline.model_digest": digest}
    client.create_model_version(CANDIDATES_MODEL, f"{run.info.artifact_uri}/model", run_id=run.info.run_id, tags=tags)
    return digest


def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment, and leave out the report: the records here are constructed, without a dataset to show."""
    for name, value in quiet_environment().items():
        monkeypatch.setenv(name, value)
    for module in ("orchestration.tracking.describe", "orchestration.lifecycle.judging"):
        monkeypatch.setattr(f"{module}.review_candidate", lambda ws, *_: (ws.root / "report.html", {}))


def new_workspace(root: Path, mlflow_database: Path) -> Workspace:
    """A workspace without a model, with MLflow in its own database."""
    made = Workspace(root)
    made.prepare()
    shutil.copy(mlflow_database, made.state / "mlflow" / "mlflow.db")
    write_params(Params(), made.params_file)
    return made


def served_workspace(root: Path, monkeypatch: pytest.MonkeyPatch, mlflow_database: Path) -> Workspace:
    """A workspace with a champion, a previous champion and their history, with MLflow in its own database."""
    without_report(monkeypatch)
    made = new_workspace(root, mlflow_database)
    for note, noise in (("a", 1.0), ("bb", 0.5)):
        candidate(made, note, noise=noise)
        done(made, "promote", "--by", "R. Viewer")
    return made


def candidate(workspace: Workspace, note: str, *, noise: float = 1.0) -> str:
    """Register the bundled model with another note in its contract, and judge it; the verdict's digest."""
    champion = history_state(workspace).champion
    register_candidate(workspace, note, champion=champion.digest if champion else None, noise=noise)
    judge_candidate(workspace, read_params(workspace.params_file))
    verdict = read_verdict(workspace.verdict_file)
    assert verdict.decision == "PROMOTE"
    return verdict.digest


def typed(workspace: Workspace, *command: str) -> Result:
    """The result of a command, as a person types it."""
    return CliRunner().invoke(plumbline, [*command, "-w", str(workspace.root)])


def done(workspace: Workspace, *command: str) -> str:
    """The output of a command that must succeed, on one line: the terminal's width decides where lines are folded."""
    result = typed(workspace, *command)
    assert result.exit_code == 0, (command, result.output, result.exception)
    return " ".join(result.output.split())


def refused(workspace: Workspace, code: str, *command: str) -> str:
    """The message of a command that must be refused with ``code``; of a verification, with its table."""
    result = typed(workspace, *command)
    assert isinstance(result.exception, PlumblineError), (command, result.output, result.exception)
    assert result.exception.code == code, (command, result.exception)
    return f"{' '.join(result.output.split())} {result.exception}"


def database_of(workspace: Workspace) -> Path:
    """MLflow's own database of the workspace."""
    return workspace.state / "mlflow" / "mlflow.db"


def execute(workspace: Workspace, *statements: str) -> None:
    """Run SQL statements in the workspace's database, past every check."""
    with closing(sqlite3.connect(database_of(workspace))) as database, database:
        for statement in statements:
            database.execute(statement)

"""Candidates of known quality in a workspace: the bundled model with another note each, and constructed evidence."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient

from inference.bundled import BUNDLED
from orchestration.cli.main import plumbline
from orchestration.environment import quiet_environment
from orchestration.lifecycle.judging import judge_candidate
from orchestration.lifecycle.local_champion import local_champion
from orchestration.pipeline.names import CANDIDATES_MODEL
from orchestration.pipeline.params import Params, read_params, write_params
from orchestration.pipeline.workspace import Workspace
from spine.model_digest import model_digest
from tests.validation.gates.records import build_record
from validation.evaluation.record import write_record
from validation.gates.verdict import read_verdict
from validation.promotion.local_artifacts import experiment_location


def register_candidate(workspace: Workspace, note: str, *, champion: str | None = None, noise: float = 1.0) -> str:
    """Export, score and register a candidate, compared with the model of digest ``champion``; its own digest."""
    folder = workspace.candidate
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(BUNDLED / "model.onnx", folder)
    (folder / "contract.json").write_text((BUNDLED / "contract.json").read_text() + "\n" * len(note))
    digest = model_digest(folder)
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


def served_workspace(root: Path, monkeypatch: pytest.MonkeyPatch, mlflow_database: Path) -> Workspace:
    """A workspace with a champion, a previous champion and their history, with MLflow in its own database."""
    for name, value in quiet_environment().items():
        monkeypatch.setenv(name, value)
    made = Workspace(root)
    # The records here are constructed, without a dataset whose images a report could show.
    for module in ("orchestration.tracking.describe", "orchestration.lifecycle.judging"):
        monkeypatch.setattr(f"{module}.review_candidate", lambda *_: (made.root / "report.html", {}))
    made.prepare()
    shutil.copy(mlflow_database, made.state / "mlflow" / "mlflow.db")
    write_params(Params(), made.params_file)
    _promote(made, "a", None, 1.0)
    champion = local_champion(made)
    assert champion is not None
    _promote(made, "bb", champion.digest, 0.5)
    return made


def _promote(workspace: Workspace, note: str, champion: str | None, noise: float) -> None:
    register_candidate(workspace, note, champion=champion, noise=noise)
    judge_candidate(workspace, read_params(workspace.params_file))
    assert read_verdict(workspace.verdict_file).decision == "PROMOTE"
    done(workspace, "promote", "--by", "R. Viewer")


def typed(workspace: Workspace, *command: str) -> Result:
    """The result of a command, as a person types it."""
    return CliRunner().invoke(plumbline, [*command, "-w", str(workspace.root)])


def done(workspace: Workspace, *command: str) -> str:
    """The output of a command that must succeed."""
    result = typed(workspace, *command)
    assert result.exit_code == 0, (command, result.output, result.exception)
    return result.output

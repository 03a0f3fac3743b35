"""Registers a candidate: writes its training and evaluation into one MLflow run and one model version."""

import getpass
import os
from collections.abc import Mapping
from datetime import UTC, datetime

from orchestration.pipeline import versioning
from orchestration.pipeline.evaluate import code_version
from orchestration.pipeline.names import CANDIDATES_MODEL, EXPERIMENT
from orchestration.pipeline.params import Params
from orchestration.pipeline.step_report import Figure, StepReport, write_step_report
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.metrics import metrics_of_test
from orchestration.tracking.run_facts import log_data
from orchestration.tracking.run_table import run_name, save_view
from spine.dataset import read_manifest
from spine.measurement.registry import PAPER_PARAMETERS, PARAMETERS
from training.export.candidate import read_summary
from training.journal import read_journal
from training.tracking import DatasetReference, log_evidence, replay_journal
from validation.evaluation.record import EvaluationRecord, read_record
from validation.registry.client import open_registry
from validation.registry.errors import errors_as_refusals

AUTHOR_VARIABLE = "PLUMBLINE_AUTHOR"
"""The variable that names a candidate's author, who may not approve it; by default the account of the pipeline."""


def register_candidate(workspace: Workspace, params: Params, tags: Mapping[str, str] | None = None) -> StepReport:
    """Write the candidate's journal to MLflow, register the model, and attach its evaluation.

    A second call adds nothing.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE, ARTIFACTS_UNAVAILABLE, ARTIFACTS_ON_ONE_MACHINE, NOT_PERMITTED.
    """
    with errors_as_refusals():
        return _registered(workspace, params, tags or {})


def _registered(workspace: Workspace, params: Params, tags: Mapping[str, str]) -> StepReport:
    record = read_record(workspace.evaluation / "record.json")
    tracked = replay_journal(
        workspace.candidate,
        tracking_uri=workspace.tracking_uri,
        experiment=EXPERIMENT,
        registered_model=CANDIDATES_MODEL,
        tags={**_tags(params, record), **tags},
        dataset=_dataset_reference(workspace, params),
        run_name=_run_name(workspace),
    )
    log_evidence(
        tracked.run_id,
        workspace.tracking_uri,
        metrics=metrics_of_test(record.statistics),
        artifacts=workspace.evaluation,
        tags={"plumbline.evidence": record.digest},
    )
    client = open_registry(workspace.tracking_uri)
    log_data(client, tracked.run_id, read_manifest(workspace.dataset))
    save_view(client, tracked.experiment_id)
    figures: dict[str, Figure] = {
        "registered model": CANDIDATES_MODEL,
        "version": str(tracked.model_version),
        "model": record.model_digest[:12],
        "mlflow experiment id": tracked.experiment_id,
        "mlflow run id": tracked.run_id,
    }
    return write_step_report(StepReport("registered_candidate", figures), workspace)


def _run_name(workspace: Workspace) -> str:
    finished = read_journal(workspace.candidate).facts.get("finished_s")
    at = datetime.fromtimestamp(float(finished), UTC) if finished else datetime.now(UTC)
    data = versioning.data_version(workspace) or read_manifest(workspace.dataset).digest
    return run_name(at, data, read_summary(workspace.candidate).config)


def _tags(params: Params, record: EvaluationRecord) -> dict[str, str]:
    commit, dirty = code_version()
    return {
        "plumbline.author": os.environ.get(AUTHOR_VARIABLE) or getpass.getuser(),
        "plumbline.patients": record.patients_are,
        "plumbline.policy": params.gate.policy,
        "git.commit": commit or "unknown",
        "git.dirty": str(dirty).lower(),
        "mlflow.note.content": _description(params, record),
    }


def _description(params: Params, record: EvaluationRecord) -> str:
    """Description of the run on MLflow's page: the data of training and evaluation, and the candidate's errors."""
    rows = []
    for name in PAPER_PARAMETERS:
        figures = record.statistics[name].figures
        error, bias = figures["standard_error_of_estimate"].value, figures["bias"].value
        if error is not None and bias is not None:
            rows.append(f"| {PARAMETERS[name].label} | {error:.2f} | {bias:+.2f} | {record.statistics[name].n} |")
    head = (
        f"Preset `{params.training.preset}`, landmark set `{record.landmark_set}`, evaluated on {record.n_patients} "
        f"**{record.patients_are}** of frozen test set `{record.test_digest[:12]}`, policy `{params.gate.policy}`.\n\n"
        "| parameter | standard error, deg | bias, deg | n |\n|---|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n\nAfter the verdict, the report is the artifact `report/report.html`.\n"


def _dataset_reference(workspace: Workspace, params: Params) -> DatasetReference:
    manifest = read_manifest(workspace.dataset)
    return DatasetReference(
        name=f"{params.source.kind}-{params.dataset.landmark_set}",
        digest=manifest.digest,
        test_digest=manifest.test_digest,
        dvc_version=versioning.data_version(workspace),
        folder=workspace.dataset,
    )

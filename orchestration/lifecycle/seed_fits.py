"""Fits, evaluates and tracks several seeds of a workspace's recipe, to measure the spread between seeds.

Contract: a seed with a finished run is not fitted again. It is evaluated again if its record is of another test
set, code or library. An interrupted fit continues from its checkpoint. Each seed has its own folder, and its model
is registered as a candidate. The workspace's own candidate, verdict and champion do not change.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.contract import PREPROCESSING_VERSION
from orchestration.lifecycle.registration import register_candidate
from orchestration.lifecycle.seed_evidence import record_of
from orchestration.pipeline import evaluate
from orchestration.pipeline.names import EXPERIMENT
from orchestration.pipeline.params import Params
from orchestration.pipeline.steps import STEPS
from orchestration.pipeline.workspace import Below, Workspace
from orchestration.tracking.metrics import metrics_of_test
from orchestration.tracking.run_facts import DIGEST_TAG, candidate_of
from orchestration.tracking.seed_groups import KIND_TAG, SEEDS, group_seeds
from spine.dataset import read_manifest
from spine.errors import EvidenceRejected, ParametersRejected
from spine.model_digest import find_model_folder, model_digest
from spine.types import Progress
from training.config import config_to_json
from training.journal import flattened
from training.tracking import log_evidence
from validation.evaluation.code_environment import evaluating_environment
from validation.evaluation.record import EvaluationRecord, read_record
from validation.registry.client import download, model_altered, open_registry

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class SeedWorkspace(Workspace):
    """The same workspace, but with candidate, evaluation and step reports of one seed in a separate folder."""

    seed: int

    candidate = Below("state/seeds/{seed}/candidate")
    evaluation = Below("state/seeds/{seed}/evaluation")
    reports = Below("state/seeds/{seed}/reports")


@dataclass(frozen=True)
class SeedFits:
    """One record for each seed, in the given order. ``parent`` is the id of their parent run in MLflow."""

    seeds: tuple[int, ...]
    records: tuple[EvaluationRecord, ...]
    parent: str | None


def measure_seeds(
    workspace: Workspace,
    params: Params,
    seeds: Sequence[int],
    report: Callable[[int, str], None],
    progress: Progress | None = None,
) -> SeedFits:
    """Fit, evaluate and track every seed that was not fitted yet; report what was done for each seed.

    Raises:
        ParametersRejected: a seed is listed twice, there are fewer than two seeds, or there is no dataset.
        ContractViolation: the dataset is not validated.
    """
    from training.fit_context import require_data_set  # imports torch

    if len(set(seeds)) != len(seeds) or len(seeds) < 2:
        raise ParametersRejected(
            "SEEDS_INVALID",
            found=f"seeds {', '.join(map(str, seeds)) or 'none'}",
            expected="two or more different seeds",
            remedy="correct --seeds or --count",
        )
    require_data_set(workspace.dataset)
    client, records, parent = open_registry(workspace.tracking_uri, make=True), [], None
    for seed in seeds:
        with_seed = params.model_copy(update={"training": replace(params.training, seed=seed)})
        record, run, done = _fit_seed(client, SeedWorkspace(workspace.root, seed), with_seed, progress)
        report(seed, done)
        parent = group_seeds(client, run)
        records.append(record)
    return SeedFits(tuple(seeds), tuple(records), parent)


def _fit_seed(
    client: "MlflowClient", own: SeedWorkspace, params: Params, progress: Progress | None
) -> tuple[EvaluationRecord, Any, str]:
    """The seed's record and run, existing or new, and what was done."""
    run = _finished_run(client, own, params)
    if run is not None:
        record = _present_record(client, own, run)
        if record is not None:
            return record, run, "exists already"
        record = _evaluate_again(client, own, run)
        return record, client.get_run(run.info.run_id), "was fitted before; evaluated again by the present code"
    own.reports.mkdir(parents=True, exist_ok=True)
    STEPS["candidate"](own, params, progress)
    STEPS["evaluation"](own, params, progress)
    register_candidate(own, params)
    record = read_record(own.evaluation / "record.json")
    version = candidate_of(client, record.model_digest)
    return record, client.get_run(version.run_id if version is not None else ""), "fitted and evaluated"


def _finished_run(client: "MlflowClient", own: SeedWorkspace, params: Params) -> Any | None:
    """The latest finished run with exactly these parameters on this dataset, or None."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return None
    parameters = {n: v[:5000] for n, v in flattened(config_to_json(params.training_config)).items()}
    wanted = f"attributes.status = 'FINISHED' and params.seed = '{parameters['seed']}'"
    wanted += f" and tags.`plumbline.dataset` = '{read_manifest(own.dataset).digest}'"
    found = client.search_runs([experiment.experiment_id], filter_string=wanted, order_by=["attributes.end_time DESC"])
    return next((r for r in found if r.data.tags.get(KIND_TAG) != SEEDS and r.data.params == parameters), None)


def _present_record(client: "MlflowClient", own: SeedWorkspace, run: Any) -> EvaluationRecord | None:
    """The run's record; None if it is invalid, or of another test set, code or library."""
    try:
        record = record_of(client, run)
    except EvidenceRejected:
        return None
    known = (record.test_digest, (record.code.commit, record.code.dirty), dict(record.environment))
    test_digest, environment = read_manifest(own.dataset).test_digest, evaluating_environment(PREPROCESSING_VERSION)
    return record if known == (test_digest, evaluate.code_version(), environment) else None


def _evaluate_again(client: "MlflowClient", own: SeedWorkspace, run: Any) -> EvaluationRecord:
    """Score the run's model from the registry again, and replace its evidence in MLflow."""
    digest = run.data.tags.get(DIGEST_TAG, "")
    version = candidate_of(client, digest)
    address = f"models:/{version.name}/{version.version}" if version is not None else f"runs:/{run.info.run_id}/model"
    with tempfile.TemporaryDirectory() as scratch:
        folder = find_model_folder(download(own.tracking_uri, address, Path(scratch)))
        if model_digest(folder) != digest:
            raise model_altered(model_digest(folder), digest, f"run {run.info.run_id[:8]}")
        evaluate.evaluate_model(own, folder, own.evaluation, role="challenger", step="evaluation")
    record = read_record(own.evaluation / "record.json")
    metrics, tags = metrics_of_test(record.statistics), {"plumbline.evidence": record.digest}
    log_evidence(run.info.run_id, own.tracking_uri, metrics=metrics, artifacts=own.evaluation, tags=tags)
    return record

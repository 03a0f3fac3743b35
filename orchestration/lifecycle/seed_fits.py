"""The spread between seeds of a workspace's recipe: each seed fitted, evaluated and tracked, none promoted.

Contract: a seed with a finished run and a record under today's conditions (test set, code, libraries) is not fitted
again; one whose record has other conditions is evaluated again and not fitted; an interrupted fit goes on from its
checkpoint. Fits go into folders of their own and are registered as candidates; the workspace's own candidate, verdict
and champion stay as they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.lifecycle.seed_evidence import record_of
from orchestration.pipeline.params import Params
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.run_facts import DIGEST_TAG, candidate_of
from orchestration.tracking.seed_groups import KIND_TAG, SEEDS, group_seeds
from spine.dataset import read_manifest
from spine.errors import EvidenceRejected, ParametersRejected
from spine.types import Progress
from training.config import config_to_json
from training.journal import flattened

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from validation.evaluation.record import EvaluationRecord

Told = Callable[[int, str], None]


class SeedWorkspace(Workspace):
    """The same workspace, with candidate, evaluation and reports of one seed apart from the chain's own."""

    def __init__(self, root: Path, seed: int) -> None:
        super().__init__(root)
        object.__setattr__(self, "seed", seed)

    @property
    def _own(self) -> Path:
        return self.state / "seeds" / str(vars(self)["seed"])

    @property
    def candidate(self) -> Path:
        """The fit of this seed."""
        return self._own / "candidate"

    @property
    def evaluation(self) -> Path:
        """Its evaluation."""
        return self._own / "evaluation"

    @property
    def reports(self) -> Path:
        """What the steps said of it."""
        return self._own / "reports"


@dataclass(frozen=True)
class SeedFits:
    """One record a seed, in the order asked; ``parent`` is the run they stand under in MLflow, None with one seed."""

    seeds: tuple[int, ...]
    records: tuple["EvaluationRecord", ...]
    parent: str | None


def measure_seeds(
    workspace: Workspace, params: Params, seeds: Sequence[int], told: Told, progress: Progress | None = None
) -> SeedFits:
    """Fit, evaluate and track every seed that is not there yet.

    Args:
        told: called with each seed and what was done for it.

    Raises:
        ParametersRejected: a seed stands twice, fewer than two, or there is no data set.
        ContractViolation: the data set is not validated.
    """
    from training.fit_context import require_data_set
    from validation.promotion.champion import open_registry

    if len(set(seeds)) != len(seeds) or len(seeds) < 2:
        listed = ", ".join(map(str, seeds)) or "none"
        remedy = "correct --seeds or --count"
        raise ParametersRejected(
            "SEEDS_INVALID", found=f"seeds {listed}", expected="two or more, each once", remedy=remedy
        )
    require_data_set(workspace.dataset)
    client, records, parent = open_registry(workspace.tracking_uri, make=True), [], None
    for seed in seeds:
        asked = params.model_copy(update={"training": replace(params.training, seed=seed)})
        record, run, done = _of_seed(client, SeedWorkspace(workspace.root, seed), asked, progress)
        told(seed, done)
        parent = group_seeds(client, run)
        records.append(record)
    return SeedFits(tuple(seeds), tuple(records), parent)


def _of_seed(
    client: "MlflowClient", own: SeedWorkspace, params: Params, progress: Progress | None
) -> tuple["EvaluationRecord", Any, str]:
    """The seed's record and run, those that are there or new ones; and what was done, in words."""
    from orchestration.lifecycle.registration import register_candidate
    from orchestration.pipeline.steps import STEPS
    from validation.evaluation.record import read_record

    run = _finished_run(client, own, params)
    if run is not None:
        record = _record_today(client, own, run)
        if record is not None:
            return record, run, "is there already"
        record = _evaluated_again(client, own, run)
        return record, client.get_run(run.info.run_id), "was fitted before, evaluated again by today's code"
    own.reports.mkdir(parents=True, exist_ok=True)
    STEPS["candidate"](own, params, progress)
    STEPS["evaluation"](own, params, progress)
    register_candidate(own, params)
    record = read_record(own.evaluation / "record.json")
    version = candidate_of(client, record.model_digest)
    return record, client.get_run(version.run_id if version is not None else ""), "fitted and evaluated"


def _finished_run(client: "MlflowClient", own: SeedWorkspace, params: Params) -> Any | None:
    """The latest finished run that was asked for exactly this, on this data set; None where there is none."""
    from orchestration.pipeline.names import EXPERIMENT

    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return None
    asked = {n: v[:5000] for n, v in flattened(config_to_json(params.training_config)).items()}
    wanted = f"attributes.status = 'FINISHED' and params.seed = '{asked['seed']}'"
    wanted += f" and tags.`plumbline.dataset` = '{read_manifest(own.dataset).digest}'"
    found = client.search_runs([experiment.experiment_id], filter_string=wanted, order_by=["attributes.end_time DESC"])
    return next((r for r in found if r.data.tags.get(KIND_TAG) != SEEDS and r.data.params == asked), None)


def _record_today(client: "MlflowClient", own: SeedWorkspace, run: Any) -> "EvaluationRecord | None":
    """The run's record where it is sound and on today's terms."""
    from inference.contract import PREPROCESSING_VERSION
    from orchestration.pipeline.evaluate import code_version
    from validation.evaluation.code_environment import evaluating_environment

    try:
        record = record_of(client, run)
    except EvidenceRejected:
        return None
    known = (record.test_digest, (record.code.commit, record.code.dirty), dict(record.environment))
    today = (read_manifest(own.dataset).test_digest, code_version(), evaluating_environment(PREPROCESSING_VERSION))
    return record if known == today else None


def _evaluated_again(client: "MlflowClient", own: SeedWorkspace, run: Any) -> "EvaluationRecord":
    """The run's model, taken from the registry and scored again; its evidence in MLflow is replaced."""
    import tempfile

    from orchestration.pipeline.evaluate import evaluate_model
    from orchestration.tracking.metrics import metrics_of_test
    from spine.model_digest import find_model_folder, model_digest
    from training.tracking import log_evidence
    from validation.evaluation.record import read_record
    from validation.promotion.champion import altered, download

    digest = run.data.tags.get(DIGEST_TAG, "")
    version = candidate_of(client, digest)
    address = f"models:/{version.name}/{version.version}" if version is not None else f"runs:/{run.info.run_id}/model"
    with tempfile.TemporaryDirectory() as scratch:
        folder = find_model_folder(download(own.tracking_uri, address, Path(scratch)))
        if model_digest(folder) != digest:
            raise altered(model_digest(folder), digest, f"run {run.info.run_id[:8]}")
        evaluate_model(own, folder, own.evaluation, role="challenger", step="evaluation")
    record = read_record(own.evaluation / "record.json")
    log_evidence(
        run.info.run_id, own.tracking_uri, metrics=metrics_of_test(record.statistics), artifacts=own.evaluation,
        tags={"plumbline.evidence": record.digest},
    )  # fmt: skip
    return record

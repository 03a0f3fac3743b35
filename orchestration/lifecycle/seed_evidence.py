"""Evaluation records of the challenger's recipe with other seeds: found in MLflow, verified, kept as evidence.

Contract: MLflow is asked where they are and never what they say: each record is read, verified and held against the
challenger like any evidence, and one that is missing, altered, or of another test set, code or library is left out
with a word. A registry that does not answer is a word too; nothing here stops a verdict. Of several runs with one seed
the latest that counts is taken.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.run_facts import DIGEST_TAG, candidate_of
from orchestration.tracking.seed_groups import KIND_TAG, SEEDS, recipe_of
from spine.errors import EvidenceRejected, GateRefused

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from validation.evaluation.record import EvaluationRecord
    from validation.gates.policy import Policy

RECORD_ARTIFACT = "evaluation/record.json"


@dataclass(frozen=True)
class Siblings:
    """Records by seed, in the order of the seeds; ``left_out`` says of every other fit why it does not count."""

    records: Mapping[str, "EvaluationRecord"]
    left_out: tuple[str, ...] = ()


def seed_evidence_folder(workspace: Workspace) -> Path:
    """The records that the latest verdict was given beside its challenger's, one file a seed."""
    return workspace.state / "seed_evaluations"


def gather_siblings(workspace: Workspace, policy: "Policy", challenger: "EvaluationRecord") -> Siblings:
    """Find, verify and keep the records of fits that differ from the challenger in nothing but their seed."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    from validation.promotion.champion import open_registry

    folder = seed_evidence_folder(workspace)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        found = find_siblings(open_registry(workspace.tracking_uri), policy, challenger)
    except (MlflowException, SQLAlchemyError, OSError, GateRefused) as error:
        return Siblings({}, (f"the registry does not say which fits there are: {str(error)[:120]}",))
    for seed, record in found.records.items():
        _keep(record, folder / f"seed_{seed}.json")
    return found


def find_siblings(client: "MlflowClient", policy: "Policy", challenger: "EvaluationRecord") -> Siblings:
    """Records of other seeds that may be held beside the challenger's, and why others may not.

    Raises:
        MlflowException, SQLAlchemyError: the registry does not answer.
    """
    version = candidate_of(client, challenger.model_digest)
    if version is None or not version.run_id:
        return Siblings({}, ("the challenger is not registered, so its recipe is not known",))
    own = client.get_run(version.run_id)
    records: dict[str, EvaluationRecord] = {}
    left_out: list[str] = []
    for run in runs_of_recipe(client, own):
        seed = str(run.data.params.get("seed"))
        if seed in records or seed == str(own.data.params.get("seed")):
            continue
        record, why = _verified(client, run, policy, challenger)
        if record is None:
            left_out.append(f"seed {seed}, run {run.info.run_id[:8]}: {why}")
        else:
            records[seed] = record
    return Siblings({seed: records[seed] for seed in sorted(records)}, tuple(left_out))


def runs_of_recipe(client: "MlflowClient", own: Any) -> Iterator[Any]:
    """Finished runs of the same recipe, the latest first, ``own`` among them."""
    recipe, dataset = recipe_of(own), own.data.tags.get("plumbline.dataset", "")
    wanted, token = f"attributes.status = 'FINISHED' and tags.`plumbline.dataset` = '{dataset}'", None
    while True:
        page = client.search_runs(
            [own.info.experiment_id], filter_string=wanted, order_by=["attributes.end_time DESC"], page_token=token
        )
        yield from (r for r in page if r.data.tags.get(KIND_TAG) != SEEDS and recipe_of(r) == recipe)
        token = page.token
        if not token:
            return


def record_of(client: "MlflowClient", run: Any) -> "EvaluationRecord":
    """The run's evaluation record, verified.

    Raises:
        EvidenceRejected: it is missing, altered, or of another model than the run's.
    """
    from mlflow.exceptions import MlflowException

    from validation.evaluation.record import read_record

    with tempfile.TemporaryDirectory() as scratch:
        try:
            path = Path(client.download_artifacts(run.info.run_id, RECORD_ARTIFACT, scratch))
        except (MlflowException, OSError) as error:
            raise _rejected("EVIDENCE_MISSING", f"run {run.info.run_id[:8]} has no {RECORD_ARTIFACT}") from error
        record = read_record(path)
    if record.model_digest != run.data.tags.get(DIGEST_TAG):
        raise _rejected("EVIDENCE_ALTERED", f"a record of model {record.model_digest[:12]}, which is not the run's")
    return record


def _verified(
    client: "MlflowClient", run: Any, policy: "Policy", challenger: "EvaluationRecord"
) -> tuple["EvaluationRecord | None", str]:
    """The record, or None and the reason."""
    try:
        record = record_of(client, run)
    except EvidenceRejected as rejected:
        return None, f"{rejected.code}, {rejected.found}"
    if record.model_digest == challenger.model_digest:
        return None, "it is the challenger's own model"
    differing = other_terms(policy, challenger, record)
    return (None, differing) if differing else (record, "")


def other_terms(policy: "Policy", challenger: "EvaluationRecord", record: "EvaluationRecord") -> str:
    """Why the record may not be held beside the challenger's; empty where it may."""
    from validation.gates.evidence import evidence_digest
    from validation.gates.preconditions import check_comparable

    checked = check_comparable(policy, challenger, "challenger", record, evidence_digest(record))
    return ", ".join(dict.fromkeys(r.code for r in checked if r.outcome != "PASS"))


def _keep(record: "EvaluationRecord", path: Path) -> None:
    from validation.evaluation.record import write_record

    write_record(record, path)


def _rejected(code: str, found: str) -> EvidenceRejected:
    remedy = "fit and evaluate that seed again (`plumbline seeds`), or leave it out"
    return EvidenceRejected(code, found=found, expected="the record of that run's evaluation", remedy=remedy)

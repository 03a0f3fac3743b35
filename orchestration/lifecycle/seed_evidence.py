"""Seed evidence: evaluation records of the challenger's recipe with other seeds, found in MLflow and verified.

Contract: MLflow only tells where a record is. Each record is read, verified and compared with the challenger like
all evidence. A record that is missing, altered, or of another test set, code or library is left out with the reason.
If the registry does not respond, all records are left out. No error here prevents a verdict. If several runs have the
same seed, the latest valid record is used.
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
from validation.evaluation.record import EvaluationRecord, read_record, write_record
from validation.gates.evidence import evidence_digest
from validation.gates.policy import Policy
from validation.gates.preconditions import check_comparable
from validation.registry.client import open_registry

if TYPE_CHECKING:
    from mlflow import MlflowClient

RECORD_ARTIFACT = "evaluation/record.json"


@dataclass(frozen=True)
class SeedEvidence:
    """Records by seed, in the order of the seeds. ``left_out`` lists every other fit with the reason."""

    records: Mapping[str, EvaluationRecord]
    left_out: tuple[str, ...] = ()


def seed_evidence_folder(workspace: Workspace) -> Path:
    """The folder of the other seeds' records that the latest verdict used, one file per seed."""
    return workspace.state / "seed_evaluations"


def gather_seed_evidence(workspace: Workspace, policy: Policy, challenger: EvaluationRecord) -> SeedEvidence:
    """Find, verify and keep the records of fits that differ from the challenger only in their seed."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    folder = seed_evidence_folder(workspace)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        found = find_seed_evidence(open_registry(workspace.tracking_uri), policy, challenger)
    except (MlflowException, SQLAlchemyError, OSError, GateRefused) as error:
        return SeedEvidence({}, (f"the registry does not list the fits: {str(error)[:120]}",))
    for seed, record in found.records.items():
        write_record(record, folder / f"seed_{seed}.json")
    return found


def find_seed_evidence(client: "MlflowClient", policy: Policy, challenger: EvaluationRecord) -> SeedEvidence:
    """Records of other seeds that are comparable with the challenger's record, and the reasons why others are not.

    Raises:
        MlflowException, SQLAlchemyError: the registry does not respond.
    """
    version = candidate_of(client, challenger.model_digest)
    if version is None or not version.run_id:
        return SeedEvidence({}, ("the challenger is not registered, so its recipe is unknown",))
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
    return SeedEvidence({seed: records[seed] for seed in sorted(records)}, tuple(left_out))


def runs_of_recipe(client: "MlflowClient", own: Any) -> Iterator[Any]:
    """Finished runs with the recipe of ``own``, the latest first, including ``own`` itself."""
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


def record_of(client: "MlflowClient", run: Any) -> EvaluationRecord:
    """The run's evaluation record, verified.

    Raises:
        EvidenceRejected: the record is missing, altered, or of another model than the run's model.
    """
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as scratch:
        try:
            path = Path(client.download_artifacts(run.info.run_id, RECORD_ARTIFACT, scratch))
        except (MlflowException, OSError) as error:
            raise _rejected("EVIDENCE_MISSING", f"run {run.info.run_id[:8]} without {RECORD_ARTIFACT}") from error
        record = read_record(path)
    if record.model_digest != run.data.tags.get(DIGEST_TAG):
        raise _rejected("EVIDENCE_ALTERED", f"a record of another model, {record.model_digest[:12]}")
    return record


def _verified(
    client: "MlflowClient", run: Any, policy: Policy, challenger: EvaluationRecord
) -> tuple[EvaluationRecord | None, str]:
    """(record, "") if the record is valid and comparable, else (None, reason)."""
    try:
        record = record_of(client, run)
    except EvidenceRejected as rejected:
        return None, f"{rejected.code}, {rejected.found}"
    if record.model_digest == challenger.model_digest:
        return None, "it is the challenger's own model"
    checks = check_comparable(policy, challenger, "challenger", record, evidence_digest(record))
    differing = ", ".join(dict.fromkeys(r.code for r in checks if r.outcome != "PASS"))
    return (None, differing) if differing else (record, "")


def _rejected(code: str, found: str) -> EvidenceRejected:
    remedy = "train and evaluate again with the seed of this run (`plumbline seeds`), or leave this seed out"
    return EvidenceRejected(code, found=found, expected="the evaluation record of the run's own model", remedy=remedy)

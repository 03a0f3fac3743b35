"""The approved baseline: the last model that a person approved, scored in the same way as challenger and champion.

Contract: the baseline is scored on the same frozen test set, by the same code as challenger and champion. If the
baseline is the champion, the champion's record is used, so that no model is scored twice.
"""

import shutil
import tempfile
from pathlib import Path

from orchestration.pipeline.evaluate import evaluate_model, is_evaluated
from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.workspace import Workspace
from spine.model_digest import find_model_folder, model_digest
from spine.types import Progress
from validation.evaluation.record import EvaluationRecord, read_record
from validation.promotion.approved_baseline import last_approved
from validation.promotion.champion import download, model_altered
from validation.promotion.champion_record import champion_record_or_none
from validation.promotion.history import HistoryEntry, read_history


def score_baseline(workspace: Workspace, champion: str | None, progress: Progress | None = None) -> str:
    """Score the last approved model if it is not the ``champion`` (a digest); return what was done, for a report.

    Raises:
        GateRefused: ``MODEL_ALTERED``: the registry's bytes are not the approved bytes.
    """
    approved = _last_approved(workspace)
    digest = approved.model_digest if approved else ""
    if is_evaluated(workspace, digest, workspace.baseline_evaluation / "record.json") and digest != champion:
        return digest[:12]
    shutil.rmtree(workspace.baseline_evaluation, ignore_errors=True)
    if approved is None:
        return "none approved yet"
    if approved.model_digest == champion:
        return "the champion"
    with tempfile.TemporaryDirectory() as scratch:
        address = f"models:/{PRODUCTION_MODEL}/{approved.version}"
        folder = find_model_folder(download(workspace.tracking_uri, address, Path(scratch)))
        actual = model_digest(folder)
        if actual != approved.model_digest:
            raise model_altered(actual, approved.model_digest, f"version {approved.version} in the registry")
        out, step = workspace.baseline_evaluation, "baseline_evaluation"
        evaluate_model(workspace, folder, out, role="baseline", step=step, progress=progress)
    return approved.model_digest[:12]


def baseline_record(workspace: Workspace, champion: EvaluationRecord | None) -> EvaluationRecord | None:
    """The evaluation record of the last approved model, which may be the champion; None if there is no such model."""
    path = workspace.baseline_evaluation / "record.json"
    if path.exists():
        return read_record(path)
    approved = _last_approved(workspace)
    same = champion is not None and approved is not None and approved.model_digest == champion.model_digest
    return champion if same else None


def _last_approved(workspace: Workspace) -> HistoryEntry | None:
    """The history entry of the last approved model's promotion, or None. A missing champion record denies no model."""
    record = champion_record_or_none(workspace.tracking_uri, PRODUCTION_MODEL)
    denied = record.denials() if record is not None else {}
    return last_approved(read_history(workspace.promotion_ledger), PRODUCTION_MODEL, denied)

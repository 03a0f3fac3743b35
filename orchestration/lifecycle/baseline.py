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
from orchestration.tracking.registry import history_state
from spine.types import Progress
from validation.evaluation.record import EvaluationRecord, read_record
from validation.registry.client import fetch_version


def score_baseline(workspace: Workspace, champion: str | None, progress: Progress | None = None) -> str:
    """Score the last approved model if it is not the ``champion`` (a digest); return what was done, for a report.

    Raises:
        GateRefused: ``MODEL_ALTERED``: the registry's bytes are not the approved bytes.
    """
    approved = history_state(workspace).baseline
    digest = approved.digest if approved else ""
    if is_evaluated(workspace, digest, workspace.baseline_evaluation / "record.json") and digest != champion:
        return digest[:12]
    shutil.rmtree(workspace.baseline_evaluation, ignore_errors=True)
    if approved is None:
        return "none approved yet"
    if digest == champion:
        return "the champion"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        fetch_version(workspace.tracking_uri, PRODUCTION_MODEL, approved.version, digest, into=folder)
        out, step = workspace.baseline_evaluation, "baseline_evaluation"
        evaluate_model(workspace, folder, out, role="baseline", step=step, progress=progress)
    return digest[:12]


def baseline_record(workspace: Workspace, champion: EvaluationRecord | None) -> EvaluationRecord | None:
    """The evaluation record of the last approved model, which may be the champion; None if there is no such model."""
    path = workspace.baseline_evaluation / "record.json"
    if path.exists():
        return read_record(path)
    approved = history_state(workspace).baseline
    same = champion is not None and approved is not None and approved.digest == champion.model_digest
    return champion if same else None

"""Promotion of the judged candidate: gathers the evidence, which the gate then verifies again.

Contract: ``promote_champion`` verifies everything itself, so it also refuses a bad candidate when it is launched alone.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from orchestration.lifecycle.changes import changing_history
from orchestration.lifecycle.seed_evidence import seed_evidence_folder
from orchestration.lifecycle.virtual_study import measure_virtual_study
from orchestration.pipeline.lock import require_lock
from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.params import Params
from orchestration.pipeline.policies import policy_path
from orchestration.pipeline.step_report import Figure, StepReport, write_step_report
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.describe import describe_served, describe_status
from orchestration.tracking.metrics import require_unaltered_metrics
from orchestration.tracking.registry import candidate_with, no_judged_candidate
from spine.errors import GateRefused
from validation.gates.verdict import REFUSING_DECISIONS, read_verdict
from validation.promotion.promote import promote
from validation.promotion.promotion_request import PromotionRequest
from validation.registry.errors import errors_as_refusals

_ORDINARY = {"APPROVAL_MISSING", "APPROVAL_EXPIRED", "APPROVAL_REJECTED", "MODEL_DENIED"}


def is_ordinary_refusal(error: BaseException | None) -> bool:
    """Whether a promotion was refused by a verdict that permits none, or by a person, rather than by a fault."""
    if not isinstance(error, GateRefused):
        return False
    return error.code in _ORDINARY or error.code.removeprefix("VERDICT_") in REFUSING_DECISIONS


def promote_champion(workspace: Workspace, params: Params, promoter: str, approval: str = "") -> StepReport:
    """Promote the judged candidate, or refuse.

    Args:
        approval: the beginning of an approval's digest; "" for the latest usable approval of this verdict.

    Raises:
        GateRefused: verdict, evidence, policy, bytes or the present champion do not permit the promotion.
        WorkspaceBusy: LOCK_LOST.
    """
    candidate = _judged_candidate(workspace)
    with errors_as_refusals():
        require_unaltered_metrics(workspace, candidate)
    require_lock(workspace)
    with changing_history(workspace) as change, _gathered_evidence(workspace) as evidence:
        event = promote(
            change,
            PromotionRequest(
                verdict_path=workspace.verdict_file,
                policy_path=policy_path(params, workspace),
                evidence_folder=evidence,
                candidate_uri=candidate,
                promoter=promoter,
                at=datetime.now(UTC),
                measure_virtual_study=measure_virtual_study,
                approval=approval,
            ),
        )
    describe_served(workspace, event.version)
    describe_status(workspace, params)
    figures: dict[str, Figure] = {
        "champion": f"{PRODUCTION_MODEL} version {event.version}",
        "model": event.digest[:12],
        "previous model": event.previous[:12] or "none",
        "verdict": event.verdict[:12],
        "by": promoter,
    }
    return write_step_report(StepReport("champion", figures), workspace)


def _judged_candidate(workspace: Workspace) -> str:
    """Address of the registered version that the latest verdict judged. It is found by digest, not by alias."""
    if not workspace.verdict_file.exists():
        raise no_judged_candidate("no verdict")
    return candidate_with(workspace, read_verdict(workspace.verdict_file).challenger_model)


@contextmanager
def _gathered_evidence(workspace: Workspace) -> Iterator[Path]:
    """A folder with copies of all evaluation records by role. It is deleted when the context closes.

    Nothing would verify these copies later. The promotion's MLflow run keeps the judged records.
    """
    folder = workspace.gathered_evidence
    shutil.rmtree(folder, ignore_errors=True)
    if seed_evidence_folder(workspace).is_dir():
        shutil.copytree(seed_evidence_folder(workspace), folder / "seeds")
    if workspace.shadow_evidence.is_file():
        (folder / "shadow").mkdir(parents=True)
        shutil.copy2(workspace.shadow_evidence, folder / "shadow" / "record.json")
    sources = {"challenger": workspace.evaluation, "champion": workspace.champion_evaluation}
    for role, source in {**sources, "baseline": workspace.baseline_evaluation}.items():
        if (source / "record.json").exists():
            (folder / role).mkdir(parents=True)
            shutil.copy2(source / "record.json", folder / role / "record.json")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

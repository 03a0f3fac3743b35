"""Promotion of the judged candidate: gathers the evidence, which the gate then verifies again.

Contract: ``promote_champion`` verifies everything itself, so it also refuses a bad candidate when it is launched alone.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from orchestration.lifecycle.approvals import find_approval
from orchestration.lifecycle.local_champion import refresh_local_champion
from orchestration.lifecycle.seed_evidence import seed_evidence_folder
from orchestration.lifecycle.virtual_study import measure_virtual_study
from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.params import Params
from orchestration.pipeline.policies import policy_path
from orchestration.pipeline.step_report import Figure, StepReport, write_step_report
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.describe import describe_served, describe_status
from orchestration.tracking.metrics import require_unaltered_metrics
from orchestration.tracking.registry import candidate_with, no_judged_candidate
from spine.errors import GateRefused, PlumblineError
from validation.gates.verdict import REFUSING_DECISIONS, read_verdict
from validation.promotion.approval import sealed_refusals
from validation.promotion.history import read_history
from validation.promotion.promote import promote
from validation.promotion.promotion_request import PromotionRequest
from validation.promotion.refusals import require_no_refusal
from validation.promotion.registry_errors import errors_as_refusals

_ORDINARY = {"APPROVAL_MISSING", "APPROVAL_EXPIRED", "APPROVAL_REJECTED", "MODEL_DENIED"}


def is_ordinary_refusal(error: BaseException | None) -> bool:
    """Whether a promotion was refused by a verdict that permits none, or by a person, rather than by a fault."""
    if not isinstance(error, GateRefused):
        return False
    return error.code in _ORDINARY or error.code.removeprefix("VERDICT_") in REFUSING_DECISIONS


def promote_champion(workspace: Workspace, params: Params, promoter: str, approval: str = "") -> StepReport:
    """Promote the judged candidate, or refuse.

    Args:
        approval: path or digest of an approval; "" for the latest usable approval of this verdict.

    Raises:
        GateRefused: verdict, evidence, policy, bytes or the present champion do not permit the promotion.
    """
    candidate = _judged_candidate(workspace)
    with errors_as_refusals():
        require_unaltered_metrics(workspace, candidate)
        judged, history = read_verdict(workspace.verdict_file), read_history(workspace.promotion_ledger)
        require_no_refusal(judged.challenger_model, history, sealed_refusals(workspace.approvals))
    with _gathered_evidence(workspace) as evidence:
        promotion = promote(
            PromotionRequest(
                verdict_path=workspace.verdict_file,
                policy_path=policy_path(params, workspace),
                evidence_folder=evidence,
                tracking_uri=workspace.tracking_uri,
                candidate_uri=candidate,
                production_model=PRODUCTION_MODEL,
                ledger_path=workspace.promotion_ledger,
                promoter=promoter,
                at=datetime.now(UTC),
                measure_virtual_study=measure_virtual_study,
                approval=find_approval(workspace, approval),
            )
        )
    champion = promotion.champion
    _update_local_copy(workspace, champion.version)
    describe_served(workspace, champion.version)
    describe_status(workspace, params)
    figures: dict[str, Figure] = {
        "champion": f"{PRODUCTION_MODEL} version {champion.version}",
        "model": champion.model_digest[:12],
        "previous model": (promotion.previous_digest or "none")[:12],
        "verdict": promotion.verdict[:12],
        "by": promoter,
    }
    return write_step_report(StepReport("champion", figures), workspace)


def _update_local_copy(workspace: Workspace, version: str) -> None:
    """Update the local copy of the champion. If the update fails, the promotion is still valid."""
    try:
        refresh_local_champion(workspace)
    except (OSError, PlumblineError) as error:
        raise GateRefused(
            "LOCAL_COPY_BEHIND",
            found=f"version {version} was promoted, but its local copy was not written: {error}",
            expected="the champion's bytes in state/champion",
            remedy="remove the cause and run `plumbline champion --fetch`; until then `plumbline measure` uses the "
            "earlier copy",
        ) from error


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
    folder = workspace.state / "evidence"
    shutil.rmtree(folder, ignore_errors=True)
    if seed_evidence_folder(workspace).is_dir():
        shutil.copytree(seed_evidence_folder(workspace), folder / "seeds")
    sources = {"challenger": workspace.evaluation, "champion": workspace.champion_evaluation}
    for role, source in {**sources, "baseline": workspace.baseline_evaluation}.items():
        if (source / "record.json").exists():
            (folder / role).mkdir(parents=True)
            shutil.copy2(source / "record.json", folder / role / "record.json")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

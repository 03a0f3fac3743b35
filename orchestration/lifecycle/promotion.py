"""Promoting the judged candidate: the evidence is gathered, verified again and handed to the gate.

Contract: ``promote_champion`` verifies everything itself and refuses what does not hold, so it may be launched alone.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from orchestration.lifecycle.local_champion import refresh_local_champion
from orchestration.lifecycle.seed_evidence import seed_evidence_folder
from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.params import Params
from orchestration.pipeline.policies import policy_path
from orchestration.pipeline.step_report import Figure, StepReport, write_step_report
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.metrics import require_metrics_as_sealed
from orchestration.tracking.registry import candidate_with, nothing_judged
from spine.errors import GateRefused, PlumblineError


def promote_champion(workspace: Workspace, params: Params, promoter: str, approval: str = "") -> StepReport:
    """Promote the judged candidate, or refuse.

    Args:
        approval: path or digest of a human's grant; "": the latest of this verdict that is good now, if any is.

    Raises:
        GateRefused: verdict, evidence, policy, bytes or the present champion do not permit it.
    """
    from orchestration.lifecycle.approvals import find_approval
    from orchestration.lifecycle.smoke_answer import ask_phantom
    from orchestration.tracking.describe import describe_served, describe_status
    from validation.gates.verdict import read_verdict
    from validation.promotion.approval import sealed_refusals
    from validation.promotion.history import read_history
    from validation.promotion.promote import promote, refusing
    from validation.promotion.refusals import require_no_refusal

    uri = _judged_candidate(workspace)
    with refusing():
        require_metrics_as_sealed(workspace, uri)
        judged, history = read_verdict(workspace.verdict_file), read_history(workspace.promotion_ledger)
        require_no_refusal(judged.challenger_model, history, sealed_refusals(workspace.approvals))
    with _gathered_evidence(workspace) as evidence:
        promotion = promote(
            workspace.verdict_file,
            tracking_uri=workspace.tracking_uri,
            candidate_uri=uri,
            evidence_folder=evidence,
            policy_path=policy_path(params, workspace),
            production_model=PRODUCTION_MODEL,
            promoter=promoter,
            at=datetime.now(UTC),
            ask_phantom=ask_phantom,
            approval=find_approval(workspace, approval),
            ledger_path=workspace.promotion_ledger,
        )
    _serve(workspace, promotion.champion.version)
    describe_served(workspace, promotion.champion.version)
    describe_status(workspace, params)
    figures: dict[str, Figure] = {
        "champion": f"{PRODUCTION_MODEL} version {promotion.champion.version}",
        "model": promotion.champion.model_digest[:12],
        "before": (promotion.previous_digest or "none")[:12],
        "verdict": promotion.verdict[:12],
        "by": promoter,
    }
    return write_step_report(StepReport("champion", figures), workspace)


def _serve(workspace: Workspace, version: str) -> None:
    """Renew the local copy that serves; where that fails the promotion stands, and this says so."""
    try:
        refresh_local_champion(workspace)
    except (OSError, PlumblineError) as error:
        raise GateRefused(
            "LOCAL_COPY_BEHIND",
            found=f"version {version}, promoted, and a local copy that could not be renewed: {error}",
            expected="the champion's bytes in state/champion",
            remedy="see to the cause and run `plumbline champion --fetch`; until then the earlier copy measures here",
        ) from error


def _judged_candidate(workspace: Workspace) -> str:
    """The registered version whose bytes the latest verdict speaks of, found by digest and not by alias."""
    from validation.gates.verdict import read_verdict

    if not workspace.verdict_file.exists():
        raise nothing_judged("no verdict")
    return candidate_with(workspace, read_verdict(workspace.verdict_file).challenger_model)


@contextmanager
def _gathered_evidence(workspace: Workspace) -> Iterator[Path]:
    """One folder with all evaluation records, under their roles, for as long as they are needed.

    A copy that stays would be one that nobody verifies; what was judged lies with the served model's run.
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

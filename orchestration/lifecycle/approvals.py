"""Records a person's approval or rejection of a verdict, and finds the approval that a promotion needs.

Contract: the verdict is named by its file or by the beginning of its digest, so that the person decides on the verdict
that they read. The author of the candidate is read from the registry.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.params import Params
from orchestration.pipeline.policies import workspace_policy
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.registry import author_of_model
from spine.errors import EvidenceRejected
from validation.gates.verdict import Verdict, read_verdict
from validation.promotion.approval import Approval, ApprovalRequest, SignOff, grant, read_approval, reject
from validation.promotion.approval_check import usable_approval
from validation.promotion.champion_record import champion_record_or_none
from validation.promotion.database import database_exists
from validation.promotion.history import read_history
from validation.promotion.registry_errors import errors_as_refusals

SHORTEST_DIGEST = 8
"""Number of characters. A shorter beginning of a digest could match a second record later."""


def approve_verdict(workspace: Workspace, params: Params, verdict: str, sign_off: SignOff) -> Approval:
    """Approve the verdict that ``find_verdict`` finds; raises the errors of ``validation.promotion.approval.grant``."""
    return _decide(grant, workspace, params, verdict, sign_off)


def reject_verdict(workspace: Workspace, params: Params, verdict: str, sign_off: SignOff) -> Approval:
    """Reject the model of the verdict that ``find_verdict`` finds."""
    return _decide(reject, workspace, params, verdict, sign_off)


def _decide(
    decide: Callable[[ApprovalRequest], Path], workspace: Workspace, params: Params, verdict: str, sign_off: SignOff
) -> Approval:
    database_exists(workspace.tracking_uri)  # refuses a damaged file before anything else
    judged = find_verdict(workspace, verdict)
    with errors_as_refusals():
        request = ApprovalRequest(
            verdict=judged,
            policy=workspace_policy(params, workspace),
            sign_off=sign_off,
            at=datetime.now(UTC),
            author=author_of_model(workspace, judged.challenger_model),
            production_model=PRODUCTION_MODEL,
            folder=workspace.approvals,
            ledger_path=workspace.promotion_ledger,
            record=champion_record_or_none(workspace.tracking_uri, PRODUCTION_MODEL),
        )
        return read_approval(decide(request))


def find_verdict(workspace: Workspace, named: str) -> Verdict:
    """The verdict in the file ``named``, or the workspace's verdict whose digest begins with ``named``.

    Raises:
        EvidenceRejected: EVIDENCE_MISSING if no verdict or several verdicts match; any error of ``read_verdict``.
    """
    path = Path(named)
    return read_verdict(path if path.is_file() else _by_digest(workspace.verdict_file.parent, named, "verdict"))


def find_approval(workspace: Workspace, named: str) -> Path | None:
    """The file of the approval that ``named`` names by file or digest; None if there is no approval.

    With "", the latest usable approval of the latest verdict is returned. If no approval is usable, the latest approval
    is returned, and the gate reports why it is not usable.

    Raises:
        EvidenceRejected: EVIDENCE_MISSING if the named approval is missing.
    """
    if named:
        return Path(named) if Path(named).is_file() else _by_digest(workspace.approvals, named, "approval")
    if not workspace.verdict_file.exists():
        return None
    return usable_approval(
        {path: read_approval(path) for path in workspace.approvals.glob("*.json")},
        read_verdict(workspace.verdict_file),
        production_model=PRODUCTION_MODEL,
        entries=read_history(workspace.promotion_ledger),
        at=datetime.now(UTC),
    )


def _by_digest(folder: Path, digest: str, what: str) -> Path:
    found = [p for p in sorted(folder.glob("*.json")) if p.stem.startswith(digest)]
    long_enough = len(digest) >= SHORTEST_DIGEST
    if long_enough and len(found) == 1:
        return found[0]
    raise EvidenceRejected(
        "EVIDENCE_MISSING",
        found=f"{len(found)} {what}s with a digest that begins with {digest!r}"
        if long_enough
        else f"{digest!r}, which is not a file and has too few characters to identify a digest",
        expected=f"one {what}" if long_enough else f"a file, or at least {SHORTEST_DIGEST} characters of a digest",
        remedy=f"name the {what}'s file, or at least {SHORTEST_DIGEST} characters of its digest",
    )

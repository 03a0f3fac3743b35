"""The check of whether an approval permits a promotion.

The approval must name the same verdict and model, be valid now, be in the history, and be unused.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from spine.errors import GateRefused
from validation.gates.policy import Policy
from validation.gates.verdict import Verdict
from validation.gates.verdict_text import decision_sentence
from validation.promotion.approval import Approval, needs_approval, read_approval, require_other_person
from validation.promotion.history import HistoryEntry
from validation.promotion.refusals import require_no_refusal


def require_approval(
    path: Path | None,
    policy: Policy,
    verdict: Verdict,
    *,
    production_model: str,
    author: str | None,
    entries: Sequence[HistoryEntry],
    at: datetime,
) -> str | None:
    """The digest of the approval that this promotion uses; None if ``path`` is None and no approval is needed.

    Raises:
        GateRefused: APPROVAL_REJECTED, APPROVAL_MISSING, APPROVAL_OTHER (another verdict or model), APPROVAL_EXPIRED,
            APPROVAL_NOT_YET (a wrong clock gave a time in the future), APPROVAL_UNKNOWN (the history lacks the
            approval), APPROVAL_USED, AUTHOR_UNKNOWN, SAME_PERSON.
    """
    require_no_refusal(verdict.challenger_model, entries)
    if path is None:
        if needs_approval(policy, verdict):
            wanted = f"an approval of verdict {verdict.digest[:12]}: {policy.approval.reason}"
            found = decision_sentence(verdict).rstrip(".") if verdict.waits_for_approval else "no approval"
            raise _refusal("APPROVAL_MISSING", found, wanted)
        return None
    approval = read_approval(path)
    for fault in _faults(approval, verdict, production_model, entries, at):
        raise fault
    require_other_person(approval.approver, author)
    return approval.digest


def usable_approval(
    approvals: Mapping[Path, Approval],
    verdict: Verdict,
    *,
    production_model: str,
    entries: Sequence[HistoryEntry],
    at: datetime,
) -> Path | None:
    """The path of the latest approval of ``verdict`` that a promotion would accept now.

    If no approval is acceptable, the function returns the path of the latest approval. It returns None without any
    approval. An approval that was granted under a fast clock must not hide a valid approval.
    """
    ours = [p for p, a in approvals.items() if a.verdict == verdict.digest and a.decision == "granted"]
    valid = [p for p in ours if not [*_faults(approvals[p], verdict, production_model, entries, at)]]
    return max(valid or ours, key=lambda path: datetime.fromisoformat(approvals[path].granted_at), default=None)


def _faults(
    approval: Approval, verdict: Verdict, production_model: str, entries: Sequence[HistoryEntry], at: datetime
) -> Iterator[GateRefused]:
    pairs = (
        (approval.verdict, verdict.digest, "verdict"),
        (approval.challenger_model, verdict.challenger_model, "model"),
        (approval.production_model, production_model, "registered model"),
    )
    for found, wanted, what in pairs:
        if found != wanted:
            yield _refusal("APPROVAL_OTHER", f"approval of {what} {found[:12]}", f"approval of {what} {wanted[:12]}")
    if approval.decision != "granted":
        yield _refusal("APPROVAL_REJECTED", f"{approval.approver} refused the model", "an approval")
    now = at.isoformat(timespec="seconds")
    if at < datetime.fromisoformat(approval.granted_at):
        granted = f"an approval that was granted at {approval.granted_at[:19]}"
        yield _refusal("APPROVAL_NOT_YET", granted, f"an approval that was granted before now ({now})")
    elif not at < datetime.fromisoformat(approval.expires_at):
        expired = f"an approval that expired at {approval.expires_at[:19]}"
        yield _refusal("APPROVAL_EXPIRED", expired, f"an approval that is valid now ({now})")
    name = f"approval {approval.digest[:12]}"
    events = [e.event for e in entries if e.approval == approval.digest]
    if "approved" not in events:
        yield _refusal("APPROVAL_UNKNOWN", f"{name} is not in the history", "an approval in the history")
    elif "promoted" in events:
        yield _refusal("APPROVAL_USED", f"{name} was already used", "an unused approval")


def _refusal(code: str, found: str, expected: str) -> GateRefused:
    remedy = "ask a person other than the author to approve with `plumbline approve`"
    return GateRefused(code, found=found, expected=expected, remedy=remedy)

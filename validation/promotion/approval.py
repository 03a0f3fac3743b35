"""The approval or refusal of one verdict by a person. An approval expires and can be used once.

Contract: an approval contains the digests of the verdict and of the model, and the name of the registered model. The
approver is not the candidate's author. An approval is valid only if the history has its digest, so nobody can forge an
approval file. A refusal applies to the model's files until the model is reinstated (``refusals``). The program cannot
verify a name, so it also records the account that ran the command.
"""

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from spine.errors import EvidenceRejected, GateRefused
from validation.evaluation.sealing import canonical_json, digest_of, read_sealed, write_sealed
from validation.gates.policy import Policy
from validation.gates.verdict import Verdict
from validation.promotion.champion_record import ChampionRecord
from validation.promotion.history import HistoryEntry, append_entry, read_history, require_clock_not_behind
from validation.promotion.history_length import open_for_append
from validation.promotion.refusals import Refusal, require_no_refusal

SCHEMA = "plumbline.approval/1"
Decision = Literal["granted", "rejected"]


@dataclass(frozen=True)
class Approval:
    """One person's decision on one verdict.

    Attributes:
        verdict: digest of the verdict.
        challenger_model: digest of the judged model.
        production_model: the registered model to which the judged model may be promoted.
        author: the author of the candidate.
        approver: the person who decided.
        account: the account that ran the command on its machine.
        comment: the reason for the decision.
        granted_at, expires_at: the times of the decision and of its expiry (ISO 8601).
        nonce: a random value, so that two equal decisions have different digests.
    """

    decision: Decision
    verdict: str
    challenger_model: str
    production_model: str
    author: str
    approver: str
    account: str
    comment: str
    granted_at: str
    expires_at: str
    nonce: str

    @property
    def digest(self) -> str:
        """SHA-256 of the record's content."""
        return digest_of(SCHEMA, _adapter().dump_python(self, mode="json"))


@dataclass(frozen=True)
class SignOff:
    """The person who decides, the reason, and the validity in hours. None means the policy's ``ttl_hours``."""

    approver: str
    comment: str
    ttl_hours: float | None = None


@dataclass(frozen=True)
class ApprovalRequest:
    """The input of ``grant`` and ``reject``.

    Attributes:
        verdict: the verdict to approve or refuse.
        policy: the policy of the verdict.
        sign_off: the person who decides, and the reason.
        at: the time of the decision.
        author: the author of the candidate; None if the candidate's run names no author.
        production_model: the registered model to which the candidate may be promoted.
        folder: the folder into which the sealed record is written.
        ledger_path: the file of the history.
        record: the champion record; None if the registry is a server and no database is configured.
    """

    verdict: Verdict
    policy: Policy
    sign_off: SignOff
    at: datetime
    author: str | None
    production_model: str
    folder: Path
    ledger_path: Path
    record: ChampionRecord | None


def needs_approval(policy: Policy, verdict: Verdict) -> bool:
    """Whether the policy requires a person's approval for a promotion by this verdict."""
    required = policy.approval.required
    first = required == "first_champion" and verdict.champion_model is None
    return verdict.waits_for_approval or required == "always" or first


def may_be_promoted(verdict: Verdict) -> bool:
    """Whether the verdict is PROMOTE, or is HOLD and only waits for an approval."""
    return verdict.decision == "PROMOTE" or verdict.waits_for_approval


def grant(request: ApprovalRequest) -> Path:
    """Approve the verdict: write the sealed record, and add its digest to the history. Return the record's path.

    Raises:
        GateRefused: APPROVAL_EMPTY, APPROVAL_TTL, AUTHOR_UNKNOWN, SAME_PERSON, APPROVAL_POINTLESS (the verdict permits
            no promotion, or its model was already promoted), APPROVAL_REJECTED (a person refused the model),
            CLOCK_WENT_BACK, HISTORY_CUT, REGISTRY_UNAVAILABLE.
        EvidenceRejected: HISTORY_BROKEN.
    """
    verdict, policy, sign_off = request.verdict, request.policy, request.sign_off
    require_signed(sign_off)
    _require_allowed_hours(sign_off, policy)
    require_other_person(sign_off.approver, request.author)
    if not may_be_promoted(verdict) or verdict.policy_hash != policy.hash:
        raise GateRefused(
            "APPROVAL_POINTLESS",
            found=f"a {verdict.decision} verdict",
            expected="a PROMOTE verdict, or a HOLD verdict for reasons that an approval satisfies",
            remedy="read the reasons with `plumbline explain`; train a better model or provide more evidence",
        )
    return _record(request, "granted")


def reject(request: ApprovalRequest) -> Path:
    """Refuse the verdict's model under any policy. Return the path of the sealed record.

    The author may refuse their own model.
    """
    require_signed(request.sign_off)
    return _record(request, "rejected")


def _record(request: ApprovalRequest, decision: Decision) -> Path:
    approval, at = _approval(request, decision), request.at
    with open_for_append(request.record, request.ledger_path):
        entries = read_history(request.ledger_path)
        require_clock_not_behind(entries, at)
        if decision == "granted":
            require_no_refusal(approval.challenger_model, entries, sealed_refusals(request.folder))
            _require_not_promoted(entries, request.verdict)
        path = request.folder / f"{approval.digest}.json"
        write_sealed(SCHEMA, _adapter().dump_python(approval, mode="json"), path)
        append_entry(request.ledger_path, _entry(approval, request.verdict))
    return path


def _approval(request: ApprovalRequest, decision: Decision) -> Approval:
    sign_off, at = request.sign_off, request.at
    hours = sign_off.ttl_hours if sign_off.ttl_hours is not None else request.policy.approval.ttl_hours
    return Approval(
        decision=decision,
        verdict=request.verdict.digest,
        challenger_model=request.verdict.challenger_model,
        production_model=request.production_model,
        author=request.author or "",
        approver=sign_off.approver.strip(),
        account=getpass.getuser(),
        comment=sign_off.comment.strip(),
        granted_at=at.isoformat(),
        expires_at=(at + timedelta(hours=hours)).isoformat(),
        nonce=uuid4().hex,
    )


def _entry(approval: Approval, verdict: Verdict) -> HistoryEntry:
    return HistoryEntry(
        event="approved" if approval.decision == "granted" else "rejected",
        at=approval.granted_at,
        promoter=approval.approver,
        production_model=approval.production_model,
        model_digest=verdict.challenger_model,
        previous_digest=verdict.champion_model,
        verdict=verdict.digest,
        policy_hash=verdict.policy_hash,
        test_digest=verdict.test_digest,
        approval=approval.digest,
        reason=approval.comment,
    )


def read_approval(path: Path) -> Approval:
    """Read a sealed approval or refusal, and verify its digest.

    Raises:
        EvidenceRejected: EVIDENCE_MISSING, EVIDENCE_UNREADABLE, EVIDENCE_SCHEMA, EVIDENCE_ALTERED.
    """
    content = read_sealed(SCHEMA, path)
    try:
        return _adapter().validate_json(canonical_json(content), strict=True)
    except ValidationError as error:
        raise EvidenceRejected(
            "EVIDENCE_UNREADABLE",
            found=f"{error.error_count()} invalid field(s) in {path.name}",
            expected=SCHEMA,
            remedy="approve again with this version",
        ) from error


def sealed_refusals(folder: Path) -> list[Refusal]:
    """The refusals with a sealed record in ``folder``, including refusals whose entry the history has lost.

    Raises:
        EvidenceRejected: a record is unreadable or altered.
    """
    return refusals_of([read_approval(path) for path in sorted(folder.glob("*.json"))])


def refusals_of(approvals: Sequence[Approval]) -> list[Refusal]:
    """The refusals among ``approvals``."""
    return [
        Refusal(a.challenger_model, a.verdict, a.production_model, a.approver, a.granted_at, a.comment, a.digest)
        for a in approvals
        if a.decision == "rejected"
    ]


def require_signed(sign_off: SignOff) -> None:
    """Refuse a sign-off without a name or a reason.

    Raises:
        GateRefused: APPROVAL_EMPTY.
    """
    if not _normalised(sign_off.approver) or not sign_off.comment.strip():
        raise GateRefused(
            "APPROVAL_EMPTY",
            found="no name or no comment",
            expected="the name of the person who decides, and the reason for the decision",
            remedy="add --as and --comment",
        )


def require_other_person(approver: str, author: str | None) -> None:
    """Refuse a sign-off by the candidate's author.

    Raises:
        GateRefused: AUTHOR_UNKNOWN, SAME_PERSON.
    """
    if not author or not _normalised(author):
        raise GateRefused(
            "AUTHOR_UNKNOWN",
            found="no author in the candidate's run",
            expected="an author who is not the approver",
            remedy="set PLUMBLINE_AUTHOR to the author's name, and register the candidate again",
        )
    if _normalised(approver) == _normalised(author):
        raise GateRefused(
            "SAME_PERSON",
            found=f"{approver!r} is both approver and author",
            expected="two different persons",
            remedy="ask a colleague to decide",
        )


def _require_allowed_hours(sign_off: SignOff, policy: Policy) -> None:
    longest = policy.approval.ttl_hours
    if sign_off.ttl_hours is not None and not 0 < sign_off.ttl_hours <= longest:
        raise GateRefused(
            "APPROVAL_TTL",
            found=f"a validity of {sign_off.ttl_hours:g} hours",
            expected=f"more than 0 and at most {longest:g} hours",
            remedy="choose fewer hours, or change the policy",
        )


def _require_not_promoted(entries: Sequence[HistoryEntry], verdict: Verdict) -> None:
    """Refuse to approve a verdict whose model was already promoted, because a verdict permits one promotion."""
    done = next((e for e in entries if e.event == "promoted" and e.verdict == verdict.digest), None)
    if done is not None:
        raise GateRefused(
            "APPROVAL_POINTLESS",
            found=f"the model of verdict {verdict.digest[:12]} was already promoted on {done.at[:10]} "
            f"as version {done.version} by {done.promoter}",
            expected="a verdict whose model has not been promoted yet",
            remedy="no approval is needed; `plumbline champion` shows the champion, and `plumbline rollback` "
            "returns to the previous model",
        )


def _normalised(name: str) -> str:
    """The name in lower case, without spaces and punctuation, so that different spellings are equal."""
    return "".join(c for c in name.casefold() if c.isalnum())


@cache
def _adapter() -> TypeAdapter[Approval]:
    return TypeAdapter(Approval)

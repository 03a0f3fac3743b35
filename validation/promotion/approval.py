"""A signed approval of one verdict. It expires and can be used once.

Contract: an approval names the digest of the verdict, the model and the registered model, and comes from a person other
than the candidate's author. The history holds its digest, so a record that nobody granted is invalid. A refusal binds
to the model's bytes until the model is reinstated (``refusals``). A name is as trustworthy as the account under which
the command runs; the account is recorded beside the name.
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
NEEDED = "APPROVAL_NEEDED"
"""Code of the one rule that an approval satisfies."""

Decision = Literal["granted", "rejected"]


@dataclass(frozen=True)
class Approval:
    """One person's decision on one verdict.

    Attributes:
        decision: granted or rejected; comment: why.
        verdict: digest; challenger_model: digest of the judged model; production_model: where it may serve.
        author: of the candidate; approver: who decided; account: of the machine, under which the command ran.
        granted_at, expires_at: ISO 8601.
        nonce: makes two decisions with the same content two records.
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
        """SHA-256 over the whole record."""
        return digest_of(SCHEMA, _adapter().dump_python(self, mode="json"))


@dataclass(frozen=True)
class SignOff:
    """Who decides, why, and for how many hours (None: as long as the policy allows)."""

    approver: str
    comment: str
    ttl_hours: float | None = None


@dataclass(frozen=True)
class ApprovalRequest:
    """What ``grant`` and ``reject`` need.

    Attributes:
        verdict, policy: what is decided on, and the policy that it was judged by.
        sign_off: who decides and why; at: when.
        author: of the candidate, None where its run names none.
        production_model: where the model may serve.
        folder: where the sealed record is written; ledger_path: the history.
        record: the champion record; None where the registry is a server and no database is named.
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
    """Whether this verdict promotes nothing without a person's approval."""
    required = policy.approval.required
    first = required == "first_champion" and verdict.champion_model is None
    return _held_for_approval(verdict) or required == "always" or first


def may_be_promoted(verdict: Verdict) -> bool:
    """Whether the verdict is PROMOTE, or HOLD for nothing but the missing approval."""
    return verdict.decision == "PROMOTE" or _held_for_approval(verdict)


def grant(request: ApprovalRequest) -> Path:
    """Approve the verdict: write the record, and its digest into the history; the record's path.

    Raises:
        GateRefused: APPROVAL_EMPTY, APPROVAL_TTL, AUTHOR_UNKNOWN, SAME_PERSON, APPROVAL_POINTLESS (the verdict permits
            no promotion, or was promoted already), APPROVAL_REJECTED (a person refused the model), CLOCK_WENT_BACK,
            HISTORY_CUT, REGISTRY_UNAVAILABLE.
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
            expected="a verdict that can be promoted with an approval",
            remedy="read the reasons with `plumbline explain`; a better model or more evidence is needed",
        )
    return _record(request, "granted")


def reject(request: ApprovalRequest) -> Path:
    """Refuse the model of the verdict under any policy; the record's path. The author may do so too."""
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
        version="",
        model_digest=verdict.challenger_model,
        previous_digest=verdict.champion_model,
        verdict=verdict.digest,
        policy_hash=verdict.policy_hash,
        test_digest=verdict.test_digest,
        approval=approval.digest,
        reason=approval.comment,
    )


def read_approval(path: Path) -> Approval:
    """Read a record and verify its digest.

    Raises:
        EvidenceRejected: EVIDENCE_MISSING, EVIDENCE_UNREADABLE, EVIDENCE_SCHEMA, EVIDENCE_ALTERED.
    """
    content = read_sealed(SCHEMA, path)
    try:
        return _adapter().validate_json(canonical_json(content), strict=True)
    except ValidationError as error:
        raise EvidenceRejected(
            "EVIDENCE_UNREADABLE",
            found=f"{path.name}: {error.error_count()} invalid field(s)",
            expected=SCHEMA,
            remedy="approve again with this version",
        ) from error


def sealed_refusals(folder: Path) -> list[Refusal]:
    """Every refusal with a record in ``folder``, also where the history has lost its entry.

    Raises:
        EvidenceRejected: a record is unreadable or altered.
    """
    return refusals_of([read_approval(path) for path in sorted(folder.glob("*.json"))])


def refusals_of(approvals: Sequence[Approval]) -> list[Refusal]:
    """The refusals among the sealed records."""
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
            expected="who decides, and why",
            remedy="give --as and --comment",
        )


def require_other_person(approver: str, author: str | None) -> None:
    """Refuse the author's own sign-off on their candidate.

    Raises:
        GateRefused: AUTHOR_UNKNOWN, SAME_PERSON.
    """
    if not author or not _normalised(author):
        raise GateRefused(
            "AUTHOR_UNKNOWN",
            found="a candidate whose run names no author",
            expected="an author, so that the approver can be compared with them",
            remedy="register the candidate again (PLUMBLINE_AUTHOR names its author)",
        )
    if _normalised(approver) == _normalised(author):
        raise GateRefused(
            "SAME_PERSON",
            found=f"{approver!r} as approver and as author",
            expected="two persons",
            remedy="ask a colleague to approve",
        )


def _held_for_approval(verdict: Verdict) -> bool:
    return verdict.decision == "HOLD" and all(r.code == NEEDED for r in verdict.refusals)


def _require_allowed_hours(sign_off: SignOff, policy: Policy) -> None:
    longest = policy.approval.ttl_hours
    if sign_off.ttl_hours is not None and not 0 < sign_off.ttl_hours <= longest:
        raise GateRefused(
            "APPROVAL_TTL",
            found=f"a validity of {sign_off.ttl_hours:g} hours",
            expected=f"more than 0, at most {longest:g}",
            remedy="ask for fewer hours, or change the policy",
        )


def _require_not_promoted(entries: Sequence[HistoryEntry], verdict: Verdict) -> None:
    """A verdict promotes once, so the gate would refuse what a second approval offers."""
    done = next((e for e in entries if e.event == "promoted" and e.verdict == verdict.digest), None)
    if done is not None:
        raise GateRefused(
            "APPROVAL_POINTLESS",
            found=f"verdict {verdict.digest[:12]}, promoted on {done.at[:10]} as version {done.version} "
            f"by {done.promoter}",
            expected="a verdict that was not promoted yet",
            remedy="there is nothing left to approve; `plumbline champion` shows what serves, `plumbline rollback` "
            "goes back",
        )


def _normalised(name: str) -> str:
    """Lower-case letters and digits alone, so that another spelling of a name is the same person."""
    return "".join(c for c in name.casefold() if c.isalnum())


@cache
def _adapter() -> TypeAdapter[Approval]:
    return TypeAdapter(Approval)

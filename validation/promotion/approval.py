"""Approvals: who may decide, and which approval permits a promotion. All functions are pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from spine.errors import GateRefused
from validation.gates.policy import Policy
from validation.gates.verdict import Verdict
from validation.promotion.events import Event, State

SHORTEST_DIGEST = 8
"""Number of characters. A shorter beginning of a digest could match a second record later."""


@dataclass(frozen=True)
class SignOff:
    """The person who decides, the reason, and the validity in hours. None means the policy's ``ttl_hours``."""

    person: str
    comment: str
    ttl_hours: float | None = None


def needs_approval(policy: Policy, verdict: Verdict) -> bool:
    """Whether the policy requires a person's approval for a promotion by this verdict."""
    required = policy.approval.required
    first = required == "first_champion" and verdict.champion_model is None
    return verdict.waits_for_approval or required == "always" or first


def may_be_promoted(verdict: Verdict) -> bool:
    """Whether the verdict is PROMOTE, or is HOLD and only waits for an approval."""
    return verdict.decision == "PROMOTE" or verdict.waits_for_approval


def usable_approval(state: State, verdict: Verdict, named: str, at: datetime, *, needed: bool) -> Event | None:
    """The approval that a promotion by ``verdict`` uses at the time ``at``; None if none was given.

    Args:
        named: the beginning of the approval's digest. With "", the latest valid approval of the verdict is chosen.
        needed: whether the promotion needs an approval. If none is valid, the error is about the latest one.

    Raises:
        GateRefused: APPROVAL_UNKNOWN, APPROVAL_USED, APPROVAL_OTHER, APPROVAL_NOT_YET, APPROVAL_EXPIRED.
    """
    given = [e for e in state.events if e.kind == "approved"]
    ours = [e for e in given if e.sha256.startswith(named) and (named or e.verdict == verdict.digest)]
    if named and (len(ours) != 1 or len(named) < SHORTEST_DIGEST):
        found = f"{len(ours)} approvals in the history with a digest that begins with {named!r}"
        raise approval_refused("APPROVAL_UNKNOWN", found, f"one of {listed(e.sha256 for e in given)}")
    faults = [_fault_of(state, approval, verdict, at) for approval in ours]
    valid = [approval for approval, fault in zip(ours, faults, strict=True) if fault is None]
    if (needed or named) and faults and faults[-1] is not None and not valid:
        raise faults[-1]
    return valid[-1] if valid else None


def _fault_of(state: State, approval: Event, verdict: Verdict, at: datetime) -> GateRefused | None:
    name = f"approval {approval.sha256[:12]}"
    now = f"an approval that is valid now ({at.isoformat(timespec='seconds')})"
    if (approval.verdict, approval.digest) != (verdict.digest, verdict.challenger_model):
        found = f"{name}, of verdict {approval.verdict[:12]} and model {approval.digest[:12]}"
        wanted = f"an approval of verdict {verdict.digest[:12]} and model {verdict.challenger_model[:12]}"
        return approval_refused("APPROVAL_OTHER", found, wanted)
    if approval.sha256 not in state.approvals:
        return approval_refused("APPROVAL_USED", f"{name}, which was already used", "an unused approval")
    if at < datetime.fromisoformat(approval.at):
        return approval_refused("APPROVAL_NOT_YET", f"{name}, given at {approval.at[:19]}", now)
    if not at < datetime.fromisoformat(approval.expires):
        return approval_refused("APPROVAL_EXPIRED", f"{name}, which expired at {approval.expires[:19]}", now)
    return None


def require_signed(sign_off: SignOff) -> None:
    """Refuse a sign-off without a name or a reason.

    Raises:
        GateRefused: APPROVAL_EMPTY.
    """
    if not _normalised(sign_off.person) or not sign_off.comment.strip():
        raise GateRefused(
            "APPROVAL_EMPTY",
            found="no name or no reason",
            expected="the name of the person who decides, and the reason for the decision",
            remedy="add --as and --comment (of `plumbline history --restore`: --as and --reason; of `plumbline "
            "rollback`: --by and --reason)",
        )


def require_other_person(person: str, author: str | None) -> None:
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
    if _normalised(person) == _normalised(author):
        raise GateRefused(
            "SAME_PERSON",
            found=f"{person!r}, who is the author of the model",
            expected="a decision by another person",
            remedy="ask a colleague to decide",
        )


def approval_refused(code: str, found: str, expected: str) -> GateRefused:
    """The error for a promotion that lacks a valid approval."""
    remedy = "ask a person other than the author to approve with `plumbline approve`"
    return GateRefused(code, found=found, expected=expected, remedy=remedy)


def listed(digests: Iterable[str]) -> str:
    """The digests as text, each shortened to twelve characters."""
    return ", ".join(digest[:12] for digest in digests) or "none"


def _normalised(name: str) -> str:
    """The name in lower case, without spaces and punctuation, so that different spellings are equal."""
    return "".join(c for c in name.casefold() if c.isalnum())

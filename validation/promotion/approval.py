"""Approval: a human's word on one verdict, sealed, expiring, good for one promotion.

Contract: a grant names the digest of the verdict, the model and the registered model, and is given by somebody else
than the candidate's author; the history holds its digest, so a record that nobody granted is none; a refusal binds to
the model's bytes until it is lifted (``refusals``). Names are as good as the accounts under which the command runs;
the account is recorded beside the name.
"""

import getpass
from collections.abc import Mapping, Sequence
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
from validation.promotion.history import HistoryEntry, append_entry, read_history, require_time_goes_on
from validation.promotion.history_length import open_for_append
from validation.promotion.refusals import Refusal, require_no_refusal

SCHEMA = "plumbline.approval/1"
NEEDED = "APPROVAL_NEEDED"
"""Code of the one rule that a human's approval stands in for."""


@dataclass(frozen=True)
class Approval:
    """One human's word on one verdict.

    Attributes:
        decision: granted or rejected; comment: why.
        verdict: digest; challenger_model: digest of the judged model; production_model: where it may serve.
        author: of the candidate; approver: who says so; account: under which account of the machine.
        granted_at, expires_at: ISO 8601.
        nonce: two grants of the same words are two grants.
    """

    decision: Literal["granted", "rejected"]
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
    """What a human says: who, why, and for how many hours (None: as long as the policy says)."""

    approver: str
    comment: str
    ttl_hours: float | None = None


def needs_approval(policy: Policy, verdict: Verdict) -> bool:
    """Whether this verdict moves nothing without a human."""
    held = verdict.decision == "HOLD" and all(r.code == NEEDED for r in verdict.refusals)
    required = policy.approval.required
    return held or required == "always" or (required == "first_champion" and verdict.champion_model is None)


def may_be_promoted(verdict: Verdict) -> bool:
    """PROMOTE, or held back by nothing but the approval that is still missing."""
    return verdict.decision == "PROMOTE" or (
        verdict.decision == "HOLD" and all(r.code == NEEDED for r in verdict.refusals)
    )


def grant(
    verdict: Verdict, policy: Policy, word: SignOff, *, author: str | None, production_model: str,
    folder: Path, ledger_path: Path, at: datetime, seat: ChampionRecord | None,
) -> Path:  # fmt: skip
    """Approve ``verdict``: write the record below ``folder`` and its digest into the history; the record's path.

    Args:
        seat: where the history is open_for_append; None where the registry is a server and no database is named.

    Raises:
        GateRefused: APPROVAL_POINTLESS (the verdict permits nothing, or was promoted already), APPROVAL_REJECTED (a
            human refused the model), and what ``_require_word``, ``require_time_goes_on`` and ``open_for_append`` raise.
        EvidenceRejected: HISTORY_BROKEN.
    """
    _require_word(word, author, policy)
    if not may_be_promoted(verdict) or verdict.policy_hash != policy.hash:
        remedy = "read the reasons with `plumbline explain`; a better model or more evidence is needed"
        raise _refused("APPROVAL_POINTLESS", f"a verdict {verdict.decision}", "one that an approval can help", remedy)
    return _say("granted", verdict, policy, word, author or "", production_model, folder, ledger_path, at, seat)


def reject(
    verdict: Verdict, policy: Policy, word: SignOff, *, author: str | None, production_model: str,
    folder: Path, ledger_path: Path, at: datetime, seat: ChampionRecord | None,
) -> Path:  # fmt: skip
    """Refuse the model of ``verdict``, whatever the policy demands; the record's path. The author may do so too."""
    require_signed(word)
    return _say("rejected", verdict, policy, word, author or "", production_model, folder, ledger_path, at, seat)


def _say(
    decision: Literal["granted", "rejected"], verdict: Verdict, policy: Policy, word: SignOff, author: str,
    production_model: str, folder: Path, ledger_path: Path, at: datetime, seat: ChampionRecord | None,
) -> Path:  # fmt: skip
    hours = word.ttl_hours if word.ttl_hours is not None else policy.approval.ttl_hours
    expires = (at + timedelta(hours=hours)).isoformat()
    approval = Approval(
        decision, verdict.digest, verdict.challenger_model, production_model, author, word.approver.strip(),
        getpass.getuser(), word.comment.strip(), at.isoformat(), expires, uuid4().hex,
    )  # fmt: skip
    with open_for_append(seat, ledger_path):
        entries = read_history(ledger_path)
        require_time_goes_on(entries, at)
        if decision == "granted":
            require_no_refusal(verdict.challenger_model, entries, sealed_refusals(folder))
            _require_not_promoted(entries, verdict)
        path = folder / f"{approval.digest}.json"
        write_sealed(SCHEMA, _adapter().dump_python(approval, mode="json"), path)
        entry = HistoryEntry(
            "approved" if decision == "granted" else "rejected", at.isoformat(), approval.approver, production_model,
            "", verdict.challenger_model, verdict.champion_model, verdict.digest, verdict.policy_hash,
            verdict.test_digest, approval.digest, approval.comment,
        )  # fmt: skip
        append_entry(ledger_path, entry)
    return path


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
            found=f"{path.name}: {error.error_count()} field(s) not as they must be",
            expected=SCHEMA,
            remedy="approve again with this version",
        ) from error


def require_approval(
    path: Path | None, policy: Policy, verdict: Verdict, *, production_model: str, author: str | None,
    entries: Sequence[HistoryEntry], at: datetime,
) -> str | None:  # fmt: skip
    """Digest of the approval that this promotion spends; None where none is needed and none was given.

    Raises:
        GateRefused: APPROVAL_REJECTED, APPROVAL_MISSING, APPROVAL_OTHER (verdict or model), APPROVAL_EXPIRED,
            APPROVAL_NOT_YET (given later than now: a clock jumped), APPROVAL_UNKNOWN (not in the history),
            APPROVAL_USED, AUTHOR_UNKNOWN, SAME_PERSON.
    """
    require_no_refusal(verdict.challenger_model, entries)
    if path is None:
        if needs_approval(policy, verdict):
            raise _refused(
                "APPROVAL_MISSING",
                "no approval",
                f"one of verdict {verdict.digest[:12]}: {policy.approval.reason}",
                _ASK,
            )
        return None
    approval = read_approval(path)
    for code, found, expected in _faults(approval, verdict, production_model, entries, at):
        raise _refused(code, found, expected, _ASK)
    require_other_person(approval.approver, author)
    return approval.digest


_ASK = "somebody other than the author grants one with `plumbline approve`"


def usable_approval(
    grants: Mapping[Path, Approval], verdict: Verdict, *, production_model: str, entries: Sequence[HistoryEntry],
    at: datetime,
) -> Path | None:  # fmt: skip
    """The latest of the grants of ``verdict`` that would be accepted now; where none would, the latest at all.

    A grant of a clock that ran ahead must not hide one that is good; None where there is no grant.
    """
    ours = [p for p, a in grants.items() if a.verdict == verdict.digest and a.decision == "granted"]
    good = [p for p in ours if not _faults(grants[p], verdict, production_model, entries, at)]
    return max(good or ours, key=lambda path: datetime.fromisoformat(grants[path].granted_at), default=None)


def _faults(
    approval: Approval, verdict: Verdict, production_model: str, entries: Sequence[HistoryEntry], at: datetime
) -> list[tuple[str, str, str]]:
    return [*_other(approval, verdict, production_model), *_out_of_time(approval, at), *_spent(approval, entries)]


def _other(approval: Approval, verdict: Verdict, production_model: str) -> list[tuple[str, str, str]]:
    pairs = (
        (approval.verdict, verdict.digest, "verdict"),
        (approval.challenger_model, verdict.challenger_model, "model"),
        (approval.production_model, production_model, "registered model"),
    )
    wrong = [
        ("APPROVAL_OTHER", f"an approval of {what} {found[:12]}", f"{what} {wanted[:12]}")
        for found, wanted, what in pairs
        if found != wanted
    ]
    if approval.decision != "granted":
        wrong.append(("APPROVAL_REJECTED", f"a refusal by {approval.approver}", "a grant"))
    return wrong


def _out_of_time(approval: Approval, at: datetime) -> list[tuple[str, str, str]]:
    now = at.isoformat(timespec="seconds")
    if at < datetime.fromisoformat(approval.granted_at):
        return [("APPROVAL_NOT_YET", f"an approval of {approval.granted_at[:19]}", f"one from before now, {now}")]
    if not at < datetime.fromisoformat(approval.expires_at):
        return [("APPROVAL_EXPIRED", f"an approval good until {approval.expires_at[:19]}", f"one good now, {now}")]
    return []


def _spent(approval: Approval, entries: Sequence[HistoryEntry]) -> list[tuple[str, str, str]]:
    about = [e.event for e in entries if e.approval == approval.digest]
    if "approved" not in about:
        return [("APPROVAL_UNKNOWN", f"approval {approval.digest[:12]}, which is not in the history", "a grant in it")]
    if "promoted" in about:
        return [("APPROVAL_USED", f"approval {approval.digest[:12]}, used before", "an unused one")]
    return []


def _require_not_promoted(entries: Sequence[HistoryEntry], verdict: Verdict) -> None:
    """A verdict promotes once: a grant after that would offer what the gate then refuses."""
    done = next((e for e in entries if e.event == "promoted" and e.verdict == verdict.digest), None)
    if done is not None:
        raise _refused(
            "APPROVAL_POINTLESS",
            f"verdict {verdict.digest[:12]}, promoted on {done.at[:10]} as version {done.version} by {done.promoter}",
            "a verdict that was not acted on yet",
            "nothing is left to approve; `plumbline champion` shows what serves, `plumbline rollback` goes back",
        )


def sealed_refusals(folder: Path) -> list[Refusal]:
    """Every refusal of which a record lies in ``folder``, also where the history has lost that line.

    Raises:
        EvidenceRejected: a record there is unreadable or altered.
    """
    return refusals_of([read_approval(path) for path in sorted(folder.glob("*.json"))])


def refusals_of(words: Sequence[Approval]) -> list[Refusal]:
    """The refusals among humans' sealed words."""
    return [
        Refusal(a.challenger_model, a.verdict, a.production_model, a.approver, a.granted_at, a.comment, a.digest)
        for a in words
        if a.decision == "rejected"
    ]


def _require_word(word: SignOff, author: str | None, policy: Policy) -> None:
    require_signed(word)
    longest = policy.approval.ttl_hours
    if word.ttl_hours is not None and not 0 < word.ttl_hours <= longest:
        remedy = "ask for less, or change the policy"
        raise _refused("APPROVAL_TTL", f"{word.ttl_hours:g} hours", f"more than 0, at most {longest:g}", remedy)
    require_other_person(word.approver, author)


def require_signed(word: SignOff) -> None:
    """Refuse a word without a name or a reason.

    Raises:
        GateRefused: APPROVAL_EMPTY.
    """
    if not _plain(word.approver) or not word.comment.strip():
        raise _refused("APPROVAL_EMPTY", "no name or no comment", "who says so, and why", "give --as and --comment")


def require_other_person(approver: str, author: str | None) -> None:
    """Refuse the author's own word on their candidate.

    Raises:
        GateRefused: AUTHOR_UNKNOWN, SAME_PERSON.
    """
    if not author or not _plain(author):
        raise _refused(
            "AUTHOR_UNKNOWN",
            "a candidate whose run names no author",
            "somebody from whom the approver can be told",
            "register the candidate again (PLUMBLINE_AUTHOR names its author)",
        )
    if _plain(approver) == _plain(author):
        raise _refused(
            "SAME_PERSON", f"{approver!r} as approver and as author", "two persons", "ask a colleague to say it"
        )


def _plain(name: str) -> str:
    """Small letters and digits alone: spelling one's own name otherwise makes nobody another person."""
    return "".join(c for c in name.casefold() if c.isalnum())


@cache
def _adapter() -> TypeAdapter[Approval]:
    return TypeAdapter(Approval)


def _refused(code: str, found: str, expected: str, remedy: str) -> GateRefused:
    return GateRefused(code, found=found, expected=expected, remedy=remedy)

"""The status of a verdict: the approvals, refusals, promotions and rollbacks, with person, time and reason.

The status comes from the history and from the sealed approvals. Each action has a line, and the oldest is first. A
sealed refusal counts even if the history has lost its entry. A refusal of the same model under another verdict counts,
too. The promotion counts refusals in the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from spine.times import to_the_minute
from validation.gates.verdict import Verdict
from validation.promotion.approval import Approval, refusals_of
from validation.promotion.history import OUTCOME_OF, SERVING_EVENTS, HistoryEntry
from validation.promotion.refusals import standing_refusals

NOTHING = "no action yet"


@dataclass(frozen=True)
class VerdictStatus:
    """The actions on a verdict.

    Attributes:
        actions: one line for each action. The oldest action is first.
        decided: whether the model was promoted or refused, so that the verdict needs no further decision.
        serving: whether this verdict put the judged model into service and the model is still in service.
        no_rollback_target: whether a rollback has no model to which it could return.
        approved: whether an approval exists that can still be used.
        unknown: the reason why the status cannot be read; "" if the status is known.
    """

    actions: tuple[str, ...] = ()
    decided: bool = False
    serving: bool = False
    no_rollback_target: bool = False
    approved: bool = False
    unknown: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines to show: the actions. If there is no action, or if the actions are unknown, one line says so."""
        if self.unknown:
            return (f"the actions on this verdict are not known: {self.unknown}",)
        return self.actions or (NOTHING,)

    @property
    def text(self) -> str:
        """All lines as one text."""
        return "; ".join(self.lines)


def status_of(
    verdict: Verdict, entries: Sequence[HistoryEntry], approvals: Sequence[Approval], at: datetime
) -> VerdictStatus:
    """The status of ``verdict`` at the time ``at``.

    Args:
        entries: the history.
        approvals: the sealed approvals and refusals.
    """
    about = [e for e in entries if e.verdict == verdict.digest]
    actions = [(e.at, _described(e, approvals, entries, at)) for e in about if e.event in ("approved", "rejected")]
    known = {e.approval for e in about}
    lost = [w for w in approvals if w.verdict == verdict.digest and w.decision == "rejected" and w.digest not in known]
    actions += [(w.granted_at, _refusal_text(w.approver, w.granted_at, w.comment) + _LOST) for w in lost]
    standing = [r for r in standing_refusals(entries, refusals_of(approvals)) if r.model == verdict.challenger_model]
    others = [r for r in standing if r.verdict != verdict.digest]
    actions += [
        (r.at, f"{_refusal_text(r.by, r.at, r.comment)} (same model, verdict {r.verdict[:12]})") for r in others
    ]
    if lost or any(e.event == "rejected" for e in about):
        actions += [
            (e.at, f"model reinstated by {e.promoter} on {to_the_minute(e.at)}: {e.reason or 'no comment'}")
            for e in entries
            if e.event == "reinstated" and e.model_digest == verdict.challenger_model
        ]
    promoted = [e for e in about if e.event == "promoted"]
    for entry in promoted:
        actions.append(
            (entry.at, f"promoted on {to_the_minute(entry.at)} as version {entry.version} by {entry.promoter}")
        )
        actions += _after(entry, entries)
    last = about[-1] if about else None
    if last is not None and last.event in OUTCOME_OF and not promoted:
        actions.append(
            (
                last.at,
                f"a promotion began on {to_the_minute(last.at)} and was interrupted; run `plumbline history --repair`",
            )
        )
    grants = {e.approval for e in about if e.event == "approved"} - {e.approval for e in promoted}
    actions.sort(key=lambda action: datetime.fromisoformat(action[0]))
    return VerdictStatus(
        actions=tuple(text for _, text in actions),
        decided=bool(promoted or standing),
        serving=bool(promoted) and _is_serving(promoted[-1], entries),
        no_rollback_target=bool(promoted) and not _others(promoted[-1], entries),
        approved=any(w.digest in grants and at < datetime.fromisoformat(w.expires_at) for w in approvals),
    )


_LOST = " (from the sealed record; the history has lost the entry)"


def _described(
    entry: HistoryEntry, approvals: Sequence[Approval], entries: Sequence[HistoryEntry], at: datetime
) -> str:
    if entry.event == "rejected":
        return _refusal_text(entry.promoter, entry.at, entry.reason or "")
    text = f"approved by {entry.promoter} on {to_the_minute(entry.at)}: {entry.reason or 'no comment'}"
    if any(e.event == "promoted" and e.approval == entry.approval for e in entries):
        return f"{text}; used"
    record = next((w for w in approvals if w.digest == entry.approval), None)
    if record is None:
        return f"{text}; its sealed record is missing"
    expired = not at < datetime.fromisoformat(record.expires_at)
    return f"{text}; {'expired' if expired else 'expires'} {to_the_minute(record.expires_at)}"


def _refusal_text(who: str, when: str, why: str) -> str:
    return f"rejected by {who} on {to_the_minute(when)}: {why}"


def _after(promoted: HistoryEntry, entries: Sequence[HistoryEntry]) -> list[tuple[str, str]]:
    """(time, line) for each later event that took the promoted model out of service or put it back into service."""
    actions, serving = [], True
    for entry in _moves(promoted, entries):
        ours = entry.model_digest == promoted.model_digest
        if serving and not ours and entry.event == "rolled_back":
            text = f"rolled back on {to_the_minute(entry.at)} by {entry.promoter}: {entry.reason or 'no reason'}"
            actions.append((entry.at, f"{text}; version {entry.version} is in service instead"))
        elif serving and not ours:
            actions.append((entry.at, f"replaced by version {entry.version} on {to_the_minute(entry.at)}"))
        elif ours and not serving:
            actions.append(
                (
                    entry.at,
                    f"back in service on {to_the_minute(entry.at)} by {entry.promoter}: {entry.reason or entry.event}",
                )
            )
        serving = ours
    return actions


def _is_serving(promoted: HistoryEntry, entries: Sequence[HistoryEntry]) -> bool:
    after = _moves(promoted, entries)
    return not after or after[-1].model_digest == promoted.model_digest


def _others(promoted: HistoryEntry, entries: Sequence[HistoryEntry]) -> set[str]:
    """The digests of the other models that were in service as versions of this registered model and are not denied."""
    served: set[str] = set()
    denied: set[str | None] = set()
    for entry in (e for e in entries if e.production_model == promoted.production_model):
        served |= {entry.model_digest} if entry.event in SERVING_EVENTS else set()
        denied |= {entry.previous_digest} if entry.event == "rolled_back" else set()
        denied -= {entry.model_digest} if entry.event == "reinstated" else set()
    return {digest for digest in served - {promoted.model_digest} if digest not in denied}


def _moves(promoted: HistoryEntry, entries: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """The later entries after which a version of this registered model is in service. The oldest entry is first."""
    return [
        e
        for e in entries
        if e.sequence > promoted.sequence
        and e.production_model == promoted.production_model
        and e.event in SERVING_EVENTS
    ]

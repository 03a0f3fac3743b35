"""The status of a verdict: approved, refused, promoted, rolled back, or nothing yet, with who, when and why.

It is read from the history and the sealed approvals; nothing is done here. There is a line for every action, oldest
first. A history that cannot be read gives ``unknown``. A refusal counts although the history has lost its line, and so
does a refusal of the same model under another verdict, as they do at the gate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from validation.gates.verdict import Verdict
from validation.promotion.approval import Approval, refusals_of
from validation.promotion.history import OUTCOME_OF, SERVING_EVENTS, HistoryEntry
from validation.promotion.refusals import standing_refusals

NOTHING = "nothing was done yet"


@dataclass(frozen=True)
class VerdictStatus:
    """What has been done about a verdict.

    Attributes:
        actions: one line each, oldest first; empty where nothing was done.
        over: the model was promoted or refused, so nothing is left to decide.
        serves: the judged model serves now because of this verdict.
        alone: no other model could serve again, so a rollback has no target.
        granted: an approval exists that can still be used.
        unknown: why the status cannot be read, where it cannot.
    """

    actions: tuple[str, ...] = ()
    over: bool = False
    serves: bool = False
    alone: bool = False
    granted: bool = False
    unknown: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """What to show: the actions, or that there are none, or that they are not known."""
        if self.unknown:
            return (f"what was done is not known: {self.unknown}",)
        return self.actions or (NOTHING,)

    @property
    def text(self) -> str:
        """All lines in one."""
        return "; ".join(self.lines)


def status_of(
    verdict: Verdict, entries: Sequence[HistoryEntry], approvals: Sequence[Approval], at: datetime
) -> VerdictStatus:
    """What was done about ``verdict`` until ``at``, by the history and the sealed approvals and refusals."""
    about = [e for e in entries if e.verdict == verdict.digest]
    actions = [(e.at, _described(e, approvals, entries, at)) for e in about if e.event in ("approved", "rejected")]
    known = {e.approval for e in about}
    lost = [w for w in approvals if w.verdict == verdict.digest and w.decision == "rejected" and w.digest not in known]
    actions += [(w.granted_at, _refused(w.approver, w.granted_at, w.comment) + _LOST) for w in lost]
    standing = [r for r in standing_refusals(entries, refusals_of(approvals)) if r.model == verdict.challenger_model]
    others = [r for r in standing if r.verdict != verdict.digest]
    actions += [
        (r.at, f"{_refused(r.by, r.at, r.comment)} (this model, with verdict {r.verdict[:12]})") for r in others
    ]
    rejected = [e for e in about if e.event == "rejected"]
    reinstated = [
        e
        for e in entries
        if e.event == "reinstated" and e.model_digest == verdict.challenger_model and (rejected or lost)
    ]
    actions += [
        (e.at, f"model reinstated by {e.promoter} on {day(e.at)}: {e.reason or 'no comment'}") for e in reinstated
    ]
    promoted = [e for e in about if e.event == "promoted"]
    for entry in promoted:
        actions.append((entry.at, f"promoted on {day(entry.at)} as version {entry.version} by {entry.promoter}"))
        actions += _after(entry, entries)
    last = about[-1] if about else None
    if last is not None and last.event in OUTCOME_OF and not promoted:
        actions.append(
            (last.at, f"a promotion began on {day(last.at)} and was interrupted: `plumbline history --repair`")
        )
    spent = {e.approval for e in promoted}
    grants = {e.approval for e in about if e.event == "approved"} - spent
    actions.sort(key=lambda action: datetime.fromisoformat(action[0]))
    return VerdictStatus(
        actions=tuple(text for _, text in actions),
        over=bool(promoted or standing),
        serves=bool(promoted) and _serves(promoted[-1], entries),
        alone=bool(promoted) and not _others(promoted[-1], entries),
        granted=any(w.digest in grants and at < datetime.fromisoformat(w.expires_at) for w in approvals),
    )


_LOST = " (by the sealed record; the history has lost its line)"


def day(at: str) -> str:
    """A time of the records as text: ``2026-11-23 12:00 UTC``."""
    moment = datetime.fromisoformat(at)
    return f"{moment:%Y-%m-%d %H:%M}" + (" UTC" if moment.utcoffset() is not None and not moment.utcoffset() else "")


def _described(
    entry: HistoryEntry, approvals: Sequence[Approval], entries: Sequence[HistoryEntry], at: datetime
) -> str:
    if entry.event == "rejected":
        return _refused(entry.promoter, entry.at, entry.reason or "")
    text = f"approved by {entry.promoter} on {day(entry.at)}: {entry.reason or 'no comment'}"
    if any(e.event == "promoted" and e.approval == entry.approval for e in entries):
        return f"{text}; used"
    record = next((w for w in approvals if w.digest == entry.approval), None)
    if record is None:
        return f"{text}; its sealed record is not here"
    expired = not at < datetime.fromisoformat(record.expires_at)
    return f"{text}; {'expired' if expired else 'expires'} {day(record.expires_at)}"


def _refused(who: str, when: str, why: str) -> str:
    return f"refused by {who} on {day(when)}: {why}"


def _after(promoted: HistoryEntry, entries: Sequence[HistoryEntry]) -> list[tuple[str, str]]:
    """What happened to the promoted model: each time another replaced it, or it came back."""
    actions, serving = [], True
    for entry in _moves(promoted, entries):
        ours = entry.model_digest == promoted.model_digest
        if serving and not ours and entry.event == "rolled_back":
            text = f"rolled back on {day(entry.at)} by {entry.promoter}: {entry.reason or 'no reason'}"
            actions.append((entry.at, f"{text}; version {entry.version} serves instead"))
        elif serving and not ours:
            actions.append((entry.at, f"replaced by version {entry.version} on {day(entry.at)}"))
        elif ours and not serving:
            actions.append(
                (entry.at, f"serves again since {day(entry.at)}, by {entry.promoter}: {entry.reason or entry.event}")
            )
        serving = ours
    return actions


def _serves(promoted: HistoryEntry, entries: Sequence[HistoryEntry]) -> bool:
    after = _moves(promoted, entries)
    return not after or after[-1].model_digest == promoted.model_digest


def _others(promoted: HistoryEntry, entries: Sequence[HistoryEntry]) -> set[str]:
    """Digests of the other models that served in the same place and were not rolled back from, or reinstated since."""
    served: set[str] = set()
    denied: set[str | None] = set()
    for entry in (e for e in entries if e.production_model == promoted.production_model):
        served |= {entry.model_digest} if entry.event in SERVING_EVENTS else set()
        denied |= {entry.previous_digest} if entry.event == "rolled_back" else set()
        denied -= {entry.model_digest} if entry.event == "reinstated" else set()
    return {digest for digest in served - {promoted.model_digest} if digest not in denied}


def _moves(promoted: HistoryEntry, entries: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """What served as the same registered model after this promotion, oldest first."""
    return [
        e
        for e in entries
        if e.sequence > promoted.sequence
        and e.production_model == promoted.production_model
        and e.event in SERVING_EVENTS
    ]

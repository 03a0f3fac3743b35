"""What was done about a verdict after it was judged: approved, refused, promoted, rolled back, or nothing yet.

Contract: a line for every deed, oldest first, with who, when and why; a verdict of which nothing is told says so, and
one whose history cannot be read says that it is not known. A refusal whose line the history has lost still counts, and
so does one of the same model under another verdict, as they do at the gate.
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
class Aftermath:
    """What became of a verdict.

    Attributes:
        deeds: one line each, oldest first; empty where nothing was done.
        over: it was promoted, or the model is refused, so neither can be done any more.
        serves: the judged model serves because of it, at the time of asking.
        alone: no other model is known that could serve again, so there is nothing to go back to.
        granted: a person has approved it, and that can still be used.
        unknown: why it cannot be told, where it cannot.
    """

    deeds: tuple[str, ...] = ()
    over: bool = False
    serves: bool = False
    alone: bool = False
    granted: bool = False
    unknown: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """What to show: the deeds, or that there are none, or that nobody can tell."""
        if self.unknown:
            return (f"what was done is not known: {self.unknown}",)
        return self.deeds or (NOTHING,)

    @property
    def told(self) -> str:
        """All of it in one line."""
        return "; ".join(self.lines)


def aftermath_of(
    verdict: Verdict, entries: Sequence[HistoryEntry], words: Sequence[Approval], at: datetime
) -> Aftermath:
    """What the history and humans' sealed words say was done about ``verdict`` until ``at``."""
    about = [e for e in entries if e.verdict == verdict.digest]
    deeds = [(e.at, _said(e, words, entries, at)) for e in about if e.event in ("approved", "rejected")]
    known = {e.approval for e in about}
    lost = [w for w in words if w.verdict == verdict.digest and w.decision == "rejected" and w.digest not in known]
    deeds += [(w.granted_at, _refused(w.approver, w.granted_at, w.comment) + _LOST) for w in lost]
    standing = [r for r in standing_refusals(entries, refusals_of(words)) if r.model == verdict.challenger_model]
    others = [r for r in standing if r.verdict != verdict.digest]
    deeds += [(r.at, f"{_refused(r.by, r.at, r.comment)} (this model, with verdict {r.verdict[:12]})") for r in others]
    rejected = [e for e in about if e.event == "rejected"]
    reinstated = [
        e
        for e in entries
        if e.event == "reinstated" and e.model_digest == verdict.challenger_model and (rejected or lost)
    ]
    deeds += [(e.at, f"reinstated by {e.promoter} on {day(e.at)}: {e.reason or 'no comment'}") for e in reinstated]
    promoted = [e for e in about if e.event == "promoted"]
    for entry in promoted:
        deeds.append((entry.at, f"promoted on {day(entry.at)} as version {entry.version} by {entry.promoter}"))
        deeds += _after(entry, entries)
    last = about[-1] if about else None
    if last is not None and last.event in OUTCOME_OF and not promoted:
        deeds.append((last.at, f"a promotion was begun on {day(last.at)} and cut off: `plumbline history --repair`"))
    spent = {e.approval for e in promoted}
    grants = {e.approval for e in about if e.event == "approved"} - spent
    deeds.sort(key=lambda deed: datetime.fromisoformat(deed[0]))
    return Aftermath(
        deeds=tuple(told for _, told in deeds),
        over=bool(promoted or standing),
        serves=bool(promoted) and _sits(promoted[-1], entries),
        alone=bool(promoted) and not _others(promoted[-1], entries),
        granted=any(w.digest in grants and at < datetime.fromisoformat(w.expires_at) for w in words),
    )


_LOST = " (by the sealed record; the history has lost the line)"


def day(at: str) -> str:
    """A time of the records for people: ``2026-11-23 12:00 UTC``."""
    moment = datetime.fromisoformat(at)
    return f"{moment:%Y-%m-%d %H:%M}" + (" UTC" if moment.utcoffset() is not None and not moment.utcoffset() else "")


def _said(entry: HistoryEntry, words: Sequence[Approval], entries: Sequence[HistoryEntry], at: datetime) -> str:
    if entry.event == "rejected":
        return _refused(entry.promoter, entry.at, entry.reason or "")
    told = f"approved by {entry.promoter} on {day(entry.at)}: {entry.reason or 'no comment'}"
    if any(e.event == "promoted" and e.approval == entry.approval for e in entries):
        return f"{told}; used"
    record = next((w for w in words if w.digest == entry.approval), None)
    if record is None:
        return f"{told}; its sealed record is not here"
    expired = not at < datetime.fromisoformat(record.expires_at)
    return f"{told}; {'expired' if expired else 'expires'} {day(record.expires_at)}"


def _refused(who: str, when: str, why: str) -> str:
    return f"refused by {who} on {day(when)}: {why}"


def _after(promoted: HistoryEntry, entries: Sequence[HistoryEntry]) -> list[tuple[str, str]]:
    """What became of the promoted model: each time another took its place, or it came back."""
    deeds, sits = [], True
    for entry in _moves(promoted, entries):
        ours = entry.model_digest == promoted.model_digest
        if sits and not ours and entry.event == "rolled_back":
            told = f"rolled back from on {day(entry.at)} by {entry.promoter}: {entry.reason or 'no reason'}"
            deeds.append((entry.at, f"{told}; version {entry.version} serves instead"))
        elif sits and not ours:
            deeds.append((entry.at, f"replaced by version {entry.version} on {day(entry.at)}"))
        elif ours and not sits:
            deeds.append(
                (entry.at, f"returned to on {day(entry.at)} by {entry.promoter}: {entry.reason or entry.event}")
            )
        sits = ours
    return deeds


def _sits(promoted: HistoryEntry, entries: Sequence[HistoryEntry]) -> bool:
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

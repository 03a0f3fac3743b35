"""The history of promotions: a chain of entries, each sealed over the one before.

Contract: one JSON object per line; each entry carries the digest of its predecessor, so an edited, removed or inserted
entry breaks the chain at a place that can be named. The file is replaced as a whole, so a kill leaves the old chain or
the new one. ``intended`` is written before the registry is touched and ``promoted`` after it was read back
(``rollback_intended`` and ``rolled_back`` of a rollback, ``lift_intended`` and ``lifted`` of a denial); one that
stands last is the trace of an interruption and is resolved by the next promotion, or by ``plumbline history
--repair``. Time does not run backwards: an entry that would be older than the one before is refused, so a clock that
jumped cannot revive an approval. That the end was cut off, the chain itself does not show; ``anchor`` does.
"""

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from spine.errors import EvidenceRejected, GateRefused
from spine.storage import locked, write_text_atomically
from validation.evaluation.sealing import digest_of

SCHEMA = "plumbline.promotion/1"
GENESIS = "0" * 64
Event = Literal[
    "intended", "promoted", "rollback_intended", "rolled_back", "abandoned", "observed", "restored",
    "approved", "rejected", "clock_set", "begun_anew", "lift_intended", "lifted",
]  # fmt: skip
SETTLED_AS: dict[str, Event] = {
    "intended": "promoted",
    "rollback_intended": "rolled_back",
    "lift_intended": "lifted",
}
SERVES: tuple[Event, ...] = ("promoted", "rolled_back", "observed", "restored")
"""Events after which their version serves."""

BEGIN_ANEW = "`plumbline history --begin-anew --as NAME --reason TEXT`"
"""The way out where a history is lost for good, as it has to be typed."""

CLOCK_TOLERANCE = timedelta(minutes=5)
_ADDED = ("approval", "reason")
"""Fields that entries of earlier versions do not have; absent ones do not count into the digest."""


@dataclass(frozen=True)
class HistoryEntry:
    """One event in the life of a served model.

    Attributes:
        event: ``intended``, ``promoted``, ``rollback_intended``, ``rolled_back``, ``abandoned`` (one that was
            interrupted or too late, and moved nothing), ``observed`` (moved outside this history), ``restored``;
            ``approved`` and ``rejected`` (a human, of a verdict); ``lift_intended`` and ``lifted`` (a human, of a
            denial); ``clock_set`` (time goes on from here); ``begun_anew`` (entries before this one are lost).
        at: ISO 8601; promoter: who or what asked, or the human.
        production_model, version, model_digest: what serves from then on (or was meant to).
        previous_digest: digest of the champion before, None where there was none.
        verdict, policy_hash, test_digest: what it rests on; None where the event is no promotion.
        approval: digest of the human's approval; reason: of a rollback, or the human's comment.
        sequence: 0, 1, 2 ...; before: digest of the entry before; digest: of this entry without itself.
    """

    event: Event
    at: str
    promoter: str
    production_model: str
    version: str
    model_digest: str
    previous_digest: str | None
    verdict: str | None = None
    policy_hash: str | None = None
    test_digest: str | None = None
    approval: str | None = None
    reason: str | None = None
    sequence: int = 0
    before: str = GENESIS
    digest: str = ""


def append_entry(path: Path, entry: HistoryEntry) -> HistoryEntry:
    """Chain ``entry`` to the history and write it; the caller holds ``history_lock(path)``.

    Raises:
        EvidenceRejected: ``HISTORY_BROKEN``: the chain so far does not verify.
    """
    entries = read_history(path)
    before = entries[-1].digest if entries else GENESIS
    chained = replace(entry, sequence=len(entries), before=before, digest="")
    sealed = replace(chained, digest=digest_of(SCHEMA, _content(chained)))
    lines = [json.dumps(_content(e), sort_keys=True, allow_nan=False) for e in (*entries, sealed)]
    write_text_atomically(path, "\n".join(lines) + "\n")
    return sealed


def read_history(path: Path) -> tuple[HistoryEntry, ...]:
    """All entries in order, the chain verified; an absent file is an empty history.

    Raises:
        EvidenceRejected: ``HISTORY_BROKEN``, naming the first line that does not follow.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    entries: list[HistoryEntry] = []
    before = GENESIS
    for number, line in enumerate(lines):
        try:
            entry = HistoryEntry(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise _broken(number, str(error)) from error
        if entry.digest != digest_of(SCHEMA, _content(replace(entry, digest=""))):
            raise _broken(number, "its content was edited")
        if (entry.sequence, entry.before) != (number, before):
            raise _broken(number, "it does not follow the line before it")
        entries.append(entry)
        before = entry.digest
    return tuple(entries)


def last_champion(entries: tuple[HistoryEntry, ...], production_model: str) -> HistoryEntry | None:
    """The entry that says what serves as ``production_model`` now, or None."""
    return next((e for e in reversed(entries) if e.production_model == production_model and e.event in SERVES), None)


def unsettled(entries: tuple[HistoryEntry, ...], production_model: str) -> HistoryEntry | None:
    """The intention that was interrupted before its outcome was written, or None."""
    about = (*SETTLED_AS, *SETTLED_AS.values(), "abandoned")
    moves = [e for e in entries if e.production_model == production_model and e.event in about]
    return moves[-1] if moves and moves[-1].event in SETTLED_AS else None


def require_time_goes_on(entries: tuple[HistoryEntry, ...], at: datetime) -> None:
    """Refuse a clock that stands before the last entry.

    Raises:
        GateRefused: CLOCK_WENT_BACK.
    """
    last = datetime.fromisoformat(entries[-1].at) if entries else at
    if at < last - CLOCK_TOLERANCE:
        raise GateRefused(
            "CLOCK_WENT_BACK",
            found=f"a clock at {at.isoformat(timespec='seconds')}",
            expected=f"a time after the history's last entry, {last.isoformat(timespec='seconds')}",
            remedy="set the clock; if it ran ahead when that entry was written, `plumbline history --repair` notes it",
        )


def history_lock(path: Path) -> AbstractContextManager[bool]:
    """Hold the history for this process alone; a second promoter on the same file waits here."""
    return locked(path.with_name(f".{path.name}.lock"))


def _broken(number: int, why: str) -> EvidenceRejected:
    return EvidenceRejected(
        "HISTORY_BROKEN",
        found=f"line {number + 1} of the history: {why}",
        expected="an unbroken chain",
        remedy="it was edited or damaged: restore the file from a backup; where there is none, move it aside (it is "
        f"evidence) and go on with {BEGIN_ANEW}",
    )


def _content(entry: HistoryEntry) -> dict[str, Any]:
    return {k: v for k, v in asdict(entry).items() if v is not None or k not in _ADDED}

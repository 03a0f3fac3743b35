"""The history of promotions: a file of entries, each of which carries the digest of the entry before it.

Contract: one JSON object per line. An entry that was edited, removed or inserted breaks the chain, and the broken line
is named. The file is replaced as a whole, so a killed process leaves the old chain or the new one. Entries do not go
back in time: an entry older than the last one is refused, so a wrong clock cannot revive an expired approval. A
missing end leaves the chain intact; ``history_length`` detects it.

A change is announced before the registry is touched (``intended``) and confirmed after the registry was read back
(``promoted``). Rollbacks and reinstatements have the same two entries. An announcement without a confirmation was
interrupted; the next promotion or ``plumbline history --repair`` completes it.
"""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from spine.errors import EvidenceRejected, GateRefused
from spine.storage import locked, write_text_atomically
from validation.evaluation.sealing import digest_of

SCHEMA = "plumbline.promotion/1"
GENESIS = "0" * 64
"""Stands for the digest of the entry before the first one."""

Event = Literal[
    "intended",
    "promoted",
    "rollback_intended",
    "rolled_back",
    "reinstatement_intended",
    "reinstated",
    "abandoned",
    "observed",
    "restored",
    "approved",
    "rejected",
    "clock_set",
    "loss_accepted",
]
OUTCOME_OF: dict[str, Event] = {
    "intended": "promoted",
    "rollback_intended": "rolled_back",
    "reinstatement_intended": "reinstated",
}
"""Announcement -> the event that confirms it."""

SERVING_EVENTS: tuple[Event, ...] = ("promoted", "rolled_back", "observed", "restored")
"""Events after which their version serves."""

ACCEPT_LOSS = "`plumbline history --accept-loss --as NAME --reason TEXT`"
"""The command for a history that cannot be restored."""

CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True)
class HistoryEntry:
    """One event in the life of a served model.

    Attributes:
        event: ``intended``, ``promoted``, ``rollback_intended``, ``rolled_back``; ``abandoned`` (interrupted or too
            late, and nothing changed); ``observed`` (changed by a promoter with another history); ``restored`` (the
            alias was set back); ``approved`` and ``rejected`` (by a person, of a verdict); ``reinstatement_intended``
            and ``reinstated`` (by a person, of a model); ``clock_set`` (the clock was set back before this entry);
            ``loss_accepted`` (entries before this one are lost).
        at: ISO 8601; promoter: the person or program that asked.
        production_model, version, model_digest: what serves from then on, or was meant to.
        previous_digest: digest of the champion before, None where there was none.
        verdict, policy_hash, test_digest: what a promotion rests on; None for other events.
        approval: digest of the approval; reason: of a rollback, or a person's comment.
        sequence: 0, 1, 2 ...; before: digest of the entry before; digest: of this entry without the digest itself.
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
    """Append ``entry`` to the history; the entry as written. The caller holds ``history_lock(path)``.

    Raises:
        EvidenceRejected: ``HISTORY_BROKEN``: the chain so far is not intact.
    """
    entries = read_history(path)
    before = entries[-1].digest if entries else GENESIS
    chained = replace(entry, sequence=len(entries), before=before, digest="")
    sealed = replace(chained, digest=digest_of(SCHEMA, asdict(chained)))
    lines = [json.dumps(asdict(e), sort_keys=True, allow_nan=False) for e in (*entries, sealed)]
    write_text_atomically(path, "\n".join(lines) + "\n")
    return sealed


def read_history(path: Path) -> tuple[HistoryEntry, ...]:
    """All entries in order, after the chain was verified; a missing file is an empty history.

    Raises:
        EvidenceRejected: ``HISTORY_BROKEN``, with the first line that does not follow.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    entries: list[HistoryEntry] = []
    before = GENESIS
    for number, line in enumerate(lines):
        try:
            entry = HistoryEntry(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise _broken(number, str(error)) from error
        if entry.digest != digest_of(SCHEMA, asdict(replace(entry, digest=""))):
            raise _broken(number, "its content was edited")
        if (entry.sequence, entry.before) != (number, before):
            raise _broken(number, "it does not follow the line before it")
        entries.append(entry)
        before = entry.digest
    return tuple(entries)


def last_champion(entries: Sequence[HistoryEntry], production_model: str) -> HistoryEntry | None:
    """The entry of the version that serves as ``production_model`` now, or None."""
    serving = (e for e in reversed(entries) if e.production_model == production_model and e.event in SERVING_EVENTS)
    return next(serving, None)


def interrupted_change(entries: Sequence[HistoryEntry], production_model: str) -> HistoryEntry | None:
    """The last announcement, where its outcome was never written; or None."""
    events = (*OUTCOME_OF, *OUTCOME_OF.values(), "abandoned")
    changes = [e for e in entries if e.production_model == production_model and e.event in events]
    return changes[-1] if changes and changes[-1].event in OUTCOME_OF else None


def require_clock_not_behind(entries: Sequence[HistoryEntry], at: datetime) -> None:
    """Refuse a clock that is behind the last entry.

    Raises:
        GateRefused: CLOCK_WENT_BACK.
    """
    last = datetime.fromisoformat(entries[-1].at) if entries else at
    if at < last - CLOCK_TOLERANCE:
        raise GateRefused(
            "CLOCK_WENT_BACK",
            found=f"a clock at {at.isoformat(timespec='seconds')}",
            expected=f"a time after the last entry of the history, {last.isoformat(timespec='seconds')}",
            remedy="set the clock; if it was ahead at that entry, `plumbline history --repair` records that",
        )


def history_lock(path: Path) -> AbstractContextManager[bool]:
    """Lock the history for this process; a second promoter with the same file waits here."""
    return locked(path.with_name(f".{path.name}.lock"))


def _broken(number: int, why: str) -> EvidenceRejected:
    return EvidenceRejected(
        "HISTORY_BROKEN",
        found=f"line {number + 1} of the history: {why}",
        expected="an intact chain",
        remedy="the file was edited or damaged: restore it from a backup; without a backup move it aside (it is "
        f"evidence) and continue with {ACCEPT_LOSS}",
    )

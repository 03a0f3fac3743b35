"""The history of promotions: a file of entries. Each entry contains the digest of the entry before it.

Contract: each line is one JSON object. An edited, removed or inserted entry breaks the chain, and the error names the
line. Every write replaces the whole file, so a killed process leaves either the old or the new chain. A promotion whose
clock is behind the last entry is refused, so a wrong clock cannot make an expired approval valid. The chain does not
show whether the last entries are missing, but ``history_length`` does.

A promotion first writes an announcement (``intended``), then changes the registry, and then writes the confirmation
(``promoted``). Rollbacks and reinstatements also write two entries. An announcement without a confirmation belongs to
an interrupted change. The next promotion or ``plumbline history --repair`` completes the change.
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
"""The field ``before`` of the first entry."""

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
"""Event of an announcement -> event of its confirmation."""

SERVING_EVENTS: tuple[Event, ...] = ("promoted", "rolled_back", "observed", "restored")
"""The events after which the version of the entry is in service."""

ACCEPT_LOSS = "`plumbline history --accept-loss --as NAME --reason TEXT`"
"""The command for continuing a history that cannot be restored."""

CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True)
class HistoryEntry:
    """One event in the history of a registered model.

    Attributes:
        event: ``intended``, ``promoted``, ``rollback_intended``, ``rolled_back``; ``abandoned`` (the announced change
            did not happen); ``observed`` (a promoter with another history changed the champion); ``restored`` (the
            alias was set back); ``approved`` and ``rejected`` (a person's decision on a verdict);
            ``reinstatement_intended`` and ``reinstated`` (a person's decision on a model); ``clock_set`` (the clock was
            set back before this entry); ``loss_accepted`` (earlier entries are lost).
        at: time (ISO 8601).
        promoter: the person or program that caused the event.
        production_model, version, model_digest: registered model, version and digest of the model concerned.
        previous_digest: digest of the previous champion; None without a previous champion.
        verdict, policy_hash, test_digest: digests of the verdict, the policy and the test set of a promotion.
        approval: digest of the approval.
        reason: the reason for a rollback, or a person's comment.
        sequence: number of the entry, starting at 0.
        before: digest of the previous entry.
        digest: digest of this entry without the field ``digest``.
    """

    event: Event
    at: str
    promoter: str
    production_model: str
    version: str = ""
    model_digest: str = ""
    previous_digest: str | None = None
    verdict: str | None = None
    policy_hash: str | None = None
    test_digest: str | None = None
    approval: str | None = None
    reason: str | None = None
    sequence: int = 0
    before: str = GENESIS
    digest: str = ""


def append_entry(path: Path, entry: HistoryEntry) -> HistoryEntry:
    """Append ``entry`` to the history. Return it with sequence and digests. The caller must have locked the history.

    Raises:
        EvidenceRejected: ``HISTORY_BROKEN``: the chain is not intact.
    """
    entries = read_history(path)
    before = entries[-1].digest if entries else GENESIS
    chained = replace(entry, sequence=len(entries), before=before, digest="")
    sealed = replace(chained, digest=digest_of(SCHEMA, asdict(chained)))
    lines = [json.dumps(asdict(e), sort_keys=True, allow_nan=False) for e in (*entries, sealed)]
    write_text_atomically(path, "\n".join(lines) + "\n")
    return sealed


def read_history(path: Path) -> tuple[HistoryEntry, ...]:
    """All entries in order, after verification of the chain. A missing file is an empty history.

    Raises:
        EvidenceRejected: ``HISTORY_BROKEN``. The error names the first line that breaks the chain.
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
            raise _broken(number, "the entry was edited")
        if (entry.sequence, entry.before) != (number, before):
            raise _broken(number, "the entry does not follow the entry before it")
        entries.append(entry)
        before = entry.digest
    return tuple(entries)


def last_champion(entries: Sequence[HistoryEntry], production_model: str) -> HistoryEntry | None:
    """The last entry after which a version of ``production_model`` is in service; None without such an entry."""
    serving = (e for e in reversed(entries) if e.production_model == production_model and e.event in SERVING_EVENTS)
    return next(serving, None)


def interrupted_change(entries: Sequence[HistoryEntry], production_model: str) -> HistoryEntry | None:
    """The announcement of an interrupted change; None if the last change was confirmed or abandoned."""
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
            found=f"the clock shows {at.isoformat(timespec='seconds')}",
            expected=f"a time after {last.isoformat(timespec='seconds')}, the last entry of the history",
            remedy="set the clock; if the clock was fast at the last entry, run `plumbline history --repair`",
        )


def history_lock(path: Path) -> AbstractContextManager[bool]:
    """A lock on the history for this process. Another process with the same history waits for the lock."""
    return locked(path.with_name(f".{path.name}.lock"))


def _broken(number: int, why: str) -> EvidenceRejected:
    return EvidenceRejected(
        "HISTORY_BROKEN",
        found=f"line {number + 1} of the history: {why}",
        expected="an intact chain",
        remedy="restore the file from a backup; without a backup, move the file elsewhere as evidence, and continue "
        f"with {ACCEPT_LOSS}",
    )

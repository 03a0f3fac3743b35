"""The history of promotions: a chain of entries, each sealed over the one before.

What belongs here: writing and verifying the chain. What does not: when an entry is due (``promotion``). Contract:
one JSON object per line; each entry carries the digest of its predecessor, so an edited, removed or
inserted entry breaks the chain at a place that can be named. The file is replaced as a whole, so a kill leaves the
old chain or the new one. ``intended`` is written before the registry is touched and ``promoted`` after it was read
back; an ``intended`` that stands last is the trace of an interruption and is resolved by the next promotion.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from spine.errors import EvidenceRejected
from spine.storage import write_text_atomically
from validation.evaluation.sealing import digest_of

SCHEMA = "plumbline.promotion/1"
GENESIS = "0" * 64
Event = Literal["intended", "promoted", "abandoned", "observed", "restored"]


@dataclass(frozen=True)
class HistoryEntry:
    """One event in the life of a served model.

    Attributes:
        event: ``intended``, ``promoted``, ``abandoned`` (an interrupted promotion that had not moved the alias),
            ``observed`` (the alias had been moved outside this history), ``restored``.
        at: ISO 8601; promoter: who or what asked.
        production_model, version, model_digest: what serves from then on (or was meant to).
        previous_digest: digest of the champion before, None where there was none.
        verdict, policy_hash, test_digest: what it rests on; None where the event is no promotion.
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
    sequence: int = 0
    before: str = GENESIS
    digest: str = ""


def append_entry(path: Path, entry: HistoryEntry) -> HistoryEntry:
    """Chain ``entry`` to the history and write it; the caller holds ``locked(path)``.

    Raises:
        EvidenceRejected: ``HISTORY_BROKEN``: the chain so far does not verify.
    """
    entries = read_history(path)
    before = entries[-1].digest if entries else GENESIS
    chained = replace(entry, sequence=len(entries), before=before, digest="")
    sealed = replace(chained, digest=digest_of(SCHEMA, asdict(chained)))
    lines = [json.dumps(asdict(e), sort_keys=True, allow_nan=False) for e in (*entries, sealed)]
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
        if entry.digest != digest_of(SCHEMA, asdict(replace(entry, digest=""))):
            raise _broken(number, "its content was edited")
        if (entry.sequence, entry.before) != (number, before):
            raise _broken(number, "it does not follow the line before it")
        entries.append(entry)
        before = entry.digest
    return tuple(entries)


def last_champion(entries: tuple[HistoryEntry, ...], production_model: str) -> HistoryEntry | None:
    """The entry that says what serves as ``production_model`` now, or None."""
    settled = ("promoted", "observed", "restored")
    return next((e for e in reversed(entries) if e.production_model == production_model and e.event in settled), None)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the history for this process alone; a second promoter on the same file waits here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # releases the lock, as the death of the process does


def _broken(number: int, why: str) -> EvidenceRejected:
    return EvidenceRejected(
        "HISTORY_BROKEN",
        found=f"line {number + 1} of the history: {why}",
        expected="an unbroken chain",
        remedy="the history was edited or damaged: restore the file from a backup, then promote again",
    )

"""The length of each history, stored in the registry's database, so that missing last entries are detected.

Contract: every writer with a registry appends within ``open_for_append``. It locks the history, compares the file with
the stored length, and stores the new length when its block ends, also after an exception. A file may be longer than the
stored length, if a process was killed or the registry was not available. HISTORY_CUT means that the file is shorter,
has another entry at the stored end, or is missing.

One database can store the lengths of several histories, from several workspaces or machines. A history is identified by
the digest of its first entry and by its place. The stored length reveals changes by a person who can write only the
file. It does not reveal changes by a person who can also write the database.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from spine.errors import EvidenceRejected, GateRefused
from validation.promotion.champion_record import ChampionRecord
from validation.promotion.database import connected, table
from validation.promotion.history import (
    ACCEPT_LOSS,
    HistoryEntry,
    append_entry,
    history_lock,
    read_history,
    require_clock_not_behind,
)

REMEDY = f"restore the file from a backup; without a backup run {ACCEPT_LOSS}, which records the loss and continues"


@dataclass(frozen=True)
class HistoryLength:
    """The stored length of one history.

    Attributes:
        first: digest of the first entry.
        place: host and path of the file.
        length: number of entries.
        last: digest of the last entry.
        closed_by: digest of the ``loss_accepted`` entry that made this length invalid; "" while it is valid.
    """

    first: str
    place: str
    length: int
    last: str
    closed_by: str = ""


def place_of(ledger: Path) -> str:
    """The place of a history: host and resolved path."""
    return f"{socket.gethostname()}:{ledger.resolve()}"


@contextmanager
def open_for_append(record: ChampionRecord | None, ledger: Path) -> Iterator[None]:
    """Lock the history, check that no entry is missing, and store the new length when the block ends.

    Args:
        record: the champion record, whose database stores the length. Without a record the history is only locked.

    Raises:
        GateRefused: HISTORY_CUT, REGISTRY_UNAVAILABLE: nothing was written.
        EvidenceRejected: HISTORY_BROKEN.
    """
    with history_lock(ledger):
        if record is None:
            yield
            return
        known = known_lengths(record)
        _require_complete(known, ledger)
        try:
            yield
        finally:
            # An error here would hide the error that ended the block. A file may be longer than the stored length.
            with suppress(GateRefused, EvidenceRejected):
                _remember(record, ledger, known)


def known_lengths(record: ChampionRecord) -> tuple[HistoryLength, ...]:
    """The stored lengths of this registered model's histories, including closed ones."""
    rows = record.rows("histories")
    return tuple(HistoryLength(r.first, r.place, r.length, r.last, r.closed_by) for r in rows)


def length_faults(
    known: Sequence[HistoryLength], entries: Sequence[HistoryEntry], place: str
) -> list[tuple[HistoryLength, str]]:
    """The stored lengths that do not fit the history at ``place``, each with a description of the fault."""
    first = entries[0].digest if entries else ""
    mine = [a for a in known if not a.closed_by and (a.first == first or a.place == place)]
    return [(length, fault) for length in mine if (fault := _fault(length, entries))]


def accept_loss(record: ChampionRecord, ledger: Path, entry: HistoryEntry) -> HistoryEntry:
    """Close the stored lengths that do not fit a cut history, and append ``entry``. Return the entry as written.

    Args:
        entry: a ``loss_accepted`` entry with the person's reason. A description of the loss is put before the reason.

    Raises:
        GateRefused: HISTORY_COMPLETE: no entry is missing; CLOCK_WENT_BACK.
        EvidenceRejected: HISTORY_BROKEN.
    """
    with history_lock(ledger):
        entries, place = read_history(ledger), place_of(ledger)
        known = known_lengths(record)
        broken = [length for length, _ in length_faults(known, entries, place)]
        if not broken:
            raise GateRefused(
                "HISTORY_COMPLETE",
                found=f"the history has {len(entries)} entries, and none is missing",
                expected="a history with missing entries",
                remedy="nothing needs to be done; `plumbline history` shows the history",
            )
        require_clock_not_behind(entries, datetime.fromisoformat(entry.at))
        longest = max(broken, key=lambda a: a.length)
        lost = f"lost: {longest.length} entries up to {longest.last[:12]} were stored; the file had {len(entries)}"
        written = append_entry(ledger, replace(entry, reason=f"{lost}; {entry.reason}"))
        _close(record, broken, written)
        _remember(record, ledger, [length for length in known if length not in broken])
    return written


def _fault(length: HistoryLength, entries: Sequence[HistoryEntry]) -> str:
    end = f"{length.length} entries up to {length.last[:12]}"
    if not entries:
        return f"no entry instead of {end}"
    if entries[0].digest != length.first:
        return f"another history instead of {end}"
    if len(entries) < length.length:
        return f"{len(entries)} entries instead of {end}"
    found = entries[length.length - 1].digest
    return "" if found == length.last else f"entry {length.length - 1} is {found[:12]} instead of {length.last[:12]}"


def _require_complete(known: Sequence[HistoryLength], ledger: Path) -> None:
    broken = length_faults(known, read_history(ledger), place_of(ledger))
    if broken:
        length, fault = broken[0]
        raise GateRefused(
            "HISTORY_CUT",
            found=f"{ledger.name}: {fault}",
            expected=f"the {length.length} entries that were written to {length.place}",
            remedy=REMEDY,
        )


def _remember(record: ChampionRecord, ledger: Path, known: Sequence[HistoryLength]) -> None:
    """Store the present length. If the history was cut while it was open, store nothing."""
    entries, place = read_history(ledger), place_of(ledger)
    if not entries or length_faults(known, entries, place):
        return
    now = HistoryLength(entries[0].digest, place, len(entries), entries[-1].digest)
    if now in known:
        return
    histories, key = table("histories"), {"first": now.first, "place": now.place, "closed_by": ""}
    with connected(record.database) as connection:
        change = histories.update().where(*record.where("histories", **key))
        if connection.execute(change.values(length=now.length, last=now.last)).rowcount == 0:
            connection.execute(histories.insert().values(model=record.production_model, **asdict(now)))


def _close(record: ChampionRecord, lengths: Sequence[HistoryLength], entry: HistoryEntry) -> None:
    with connected(record.database) as connection:
        for a in lengths:
            rows = record.where("histories", first=a.first, place=a.place, closed_by="")
            connection.execute(table("histories").update().where(*rows).values(closed_by=entry.digest))

"""How long each history is, remembered in the registry's database, so that a missing end is detected.

Contract: every writer that has a registry appends within ``open_for_append``. Under the history's lock the file is
compared with the remembered length first, and the new length is remembered at the end, also after an exception. A file
longer than remembered is valid: a process was killed in between, or an entry was written while the registry was down.
A shorter file, another entry at the remembered end, or no history where there was one is HISTORY_CUT.

One database can remember several histories (several workspaces or machines). Each is known by the digest of its first
entry and by its place. The remembered length protects the file against those who may write the file. It does not
protect against those who may write the database.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from spine.errors import EvidenceRejected, GateRefused
from validation.promotion.champion_record import ChampionRecord
from validation.promotion.database import connected, tables
from validation.promotion.history import (
    ACCEPT_LOSS,
    HistoryEntry,
    append_entry,
    history_lock,
    read_history,
    require_clock_not_behind,
)

REMEDY = f"restore the file from a backup; without a backup {ACCEPT_LOSS} continues from here and records the loss"


@dataclass(frozen=True)
class HistoryLength:
    """The remembered length of one history.

    Attributes:
        first: digest of its first entry; place: host and path of the file.
        length: number of entries; last: digest of the last one.
        closed_by: digest of the ``loss_accepted`` entry that replaced this length; "" while it is in force.
    """

    first: str
    place: str
    length: int
    last: str
    closed_by: str = ""


def place_of(ledger: Path) -> str:
    """Where a history lies: host and resolved path."""
    return f"{socket.gethostname()}:{ledger.resolve()}"


@contextmanager
def open_for_append(record: ChampionRecord | None, ledger: Path) -> Iterator[None]:
    """Lock the history, check that no entry is missing, and remember the new length at the end.

    Args:
        record: names the database; None where no database is named, and then the history is only locked.

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
            # An error here would hide the one that ended the block, and a file longer than remembered is valid.
            with suppress(GateRefused, EvidenceRejected):
                _remember(record, ledger, known)


def known_lengths(record: ChampionRecord) -> tuple[HistoryLength, ...]:
    """The length of every history of this registered model that the database knows, closed ones too."""
    table = tables().histories
    with connected(record.database) as connection:
        rows = connection.execute(table.select().where(table.c.model == record.production_model)).all()
    return tuple(HistoryLength(r.first, r.place, r.length, r.last, r.closed_by) for r in rows)


def length_faults(
    known: Sequence[HistoryLength], entries: Sequence[HistoryEntry], place: str
) -> list[tuple[HistoryLength, str]]:
    """Each remembered length that the history at ``place`` does not have, and what was found instead."""
    first = entries[0].digest if entries else ""
    mine = [a for a in known if not a.closed_by and (a.first == first or a.place == place)]
    return [(length, fault) for length in mine if (fault := _fault(length, entries))]


def accept_loss(record: ChampionRecord, ledger: Path, entry: HistoryEntry) -> HistoryEntry:
    """Close the remembered lengths that a cut history lacks, record who accepted the loss, and return that entry.

    Args:
        entry: ``loss_accepted`` with the person's reason; a description of the loss is put before the reason.

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
                found=f"a history of {len(entries)} entries in which none is missing",
                expected="a history that is cut or lost",
                remedy="there is no loss to accept; `plumbline history` shows the history",
            )
        require_clock_not_behind(entries, datetime.fromisoformat(entry.at))
        longest = max(broken, key=lambda a: a.length)
        lost = f"lost: {longest.length} entries up to {longest.last[:12]}; the file held {len(entries)}"
        written = append_entry(ledger, replace(entry, reason=f"{lost}; {entry.reason}"))
        _close(record, broken, written)
        _remember(record, ledger, [length for length in known if length not in broken])
    return written


def _fault(length: HistoryLength, entries: Sequence[HistoryEntry]) -> str:
    end = f"{length.length} entries up to {length.last[:12]}"
    if not entries:
        return f"no entry, instead of {end}"
    if entries[0].digest != length.first:
        return f"another history, instead of {end}"
    if len(entries) < length.length:
        return f"{len(entries)} entries, instead of {end}"
    found = entries[length.length - 1].digest
    return "" if found == length.last else f"entry {length.length - 1} is {found[:12]}, instead of {length.last[:12]}"


def _require_complete(known: Sequence[HistoryLength], ledger: Path) -> None:
    broken = length_faults(known, read_history(ledger), place_of(ledger))
    if broken:
        length, fault = broken[0]
        raise GateRefused(
            "HISTORY_CUT",
            found=f"{ledger.name}: {fault}",
            expected=f"the {length.length} entries that {length.place} had",
            remedy=REMEDY,
        )


def _remember(record: ChampionRecord, ledger: Path, known: Sequence[HistoryLength]) -> None:
    """Remember the present length, unless the history was cut while it was open."""
    entries, place = read_history(ledger), place_of(ledger)
    if not entries or length_faults(known, entries, place):
        return
    now = HistoryLength(entries[0].digest, place, len(entries), entries[-1].digest)
    if now in known:
        return
    with connected(record.database) as connection:
        _write(connection, record.production_model, now)


def _write(connection: Any, model: str, length: HistoryLength) -> None:
    table = tables().histories
    key = {"model": model, "first": length.first, "place": length.place, "closed_by": length.closed_by}
    values = {"length": length.length, "last": length.last}
    rows = [table.c[name] == value for name, value in key.items()]
    if connection.execute(table.update().where(*rows).values(**values)).rowcount == 0:
        connection.execute(table.insert().values(**key, **values))


def _close(record: ChampionRecord, lengths: Sequence[HistoryLength], entry: HistoryEntry) -> None:
    table = tables().histories
    with connected(record.database) as connection:
        for a in lengths:
            rows = (table.c.model == record.production_model, table.c.first == a.first, table.c.place == a.place)
            connection.execute(table.update().where(*rows, table.c.closed_by == "").values(closed_by=entry.digest))

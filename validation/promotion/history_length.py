"""The anchor: the registry's database remembers how far each history goes, so that a cut end is seen.

Contract: whoever appends with a registry at hand does it within ``anchored``: under the history's lock the file is
read and held against the anchor first, and the anchor follows at the end, also after an exception. A file that is
longer than its anchor is in order (a kill between the two, or an entry written while the registry was down); a shorter
one, another entry at the anchored place, or nothing where this place had a history is HISTORY_CUT. Several histories
in one database are in order too (several workspaces, several machines): each is known by the digest of its first entry
and by its place.

An anchor that was given up stays, marked with the entry that says so. It protects the file against whoever may write
the file, not against whoever may write the database.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from spine.errors import EvidenceRejected, GateRefused
from validation.promotion.champion_record import Seat
from validation.promotion.database import connected, tables
from validation.promotion.history import (
    BEGIN_ANEW,
    HistoryEntry,
    append_entry,
    history_lock,
    read_history,
    require_time_goes_on,
)

REMEDY = f"restore the file from a backup; where there is none, {BEGIN_ANEW} goes on from here and records the loss"


@dataclass(frozen=True)
class Anchor:
    """How far a history goes.

    Attributes:
        genesis: digest of its first entry; place: host and path of the file.
        length: number of entries; last: digest of the last one.
        ended: digest of the entry that gave it up; "" while it holds.
    """

    genesis: str
    place: str
    length: int
    last: str
    ended: str = ""


def place_of(ledger: Path) -> str:
    """Where a history lies: host and resolved path."""
    return f"{socket.gethostname()}:{ledger.resolve()}"


@contextmanager
def anchored(seat: Seat | None, ledger: Path) -> Iterator[None]:
    """Hold the history for this process alone, whole at the beginning and remembered at the end.

    Args:
        seat: where it is remembered; None (no database is named): it is held, and nothing else.

    Raises:
        GateRefused: HISTORY_CUT, REGISTRY_UNAVAILABLE: nothing was written. EvidenceRejected: HISTORY_BROKEN.
    """
    with history_lock(ledger):
        if seat is None:
            yield
            return
        known = anchors_of(seat)
        _require_whole(known, ledger)
        try:
            yield
        finally:
            # Where the registry went meanwhile, the reason it went for is told; a file ahead of its anchor is in order.
            with suppress(GateRefused, EvidenceRejected):
                _remember(seat, ledger, known)


def anchors_of(seat: Seat) -> tuple[Anchor, ...]:
    """Every history that the database knows of the seat's model, also those that were given up."""
    table = tables().histories
    with connected(seat.database) as connection:
        rows = connection.execute(table.select().where(table.c.model == seat.production_model)).all()
    return tuple(Anchor(r.genesis, r.place, r.length, r.last, r.ended) for r in rows)


def broken_anchors(known: Sequence[Anchor], entries: Sequence[HistoryEntry], place: str) -> list[tuple[Anchor, str]]:
    """(anchor, what is wrong) for each that the history does not keep."""
    genesis = entries[0].digest if entries else ""
    mine = [a for a in known if not a.ended and (a.genesis == genesis or a.place == place)]
    return [(anchor, fault) for anchor in mine if (fault := _fault(anchor, entries))]


def begin_anew(seat: Seat, ledger: Path, entry: HistoryEntry) -> HistoryEntry:
    """Give the broken anchors of a lost history up, and write who did so and what is lost; that entry.

    Args:
        entry: ``begun_anew``, with the human's reason; what is lost is put before it.

    Raises:
        GateRefused: HISTORY_WHOLE: nothing is lost; CLOCK_WENT_BACK. EvidenceRejected: HISTORY_BROKEN.
    """
    with history_lock(ledger):
        entries, place = read_history(ledger), place_of(ledger)
        known = anchors_of(seat)
        broken = [anchor for anchor, _ in broken_anchors(known, entries, place)]
        if not broken:
            raise GateRefused(
                "HISTORY_WHOLE",
                found=f"a history of {len(entries)} entries in which nothing is missing",
                expected="one that is cut or lost",
                remedy="nothing needs to begin anew; `plumbline history` shows it",
            )
        require_time_goes_on(entries, datetime.fromisoformat(entry.at))
        longest = max(broken, key=lambda a: a.length)
        lost = f"lost: {longest.length} entries up to {longest.last[:12]}; the file held {len(entries)}"
        written = append_entry(ledger, replace(entry, reason=f"{lost}; {entry.reason}"))
        _give_up(seat, broken, written)
        _remember(seat, ledger, [anchor for anchor in known if anchor not in broken])
    return written


def _fault(anchor: Anchor, entries: Sequence[HistoryEntry]) -> str:
    if not entries:
        return f"no entry, of {anchor.length}"
    if entries[0].digest != anchor.genesis:
        return f"another history, in the place of one with {anchor.length} entries up to {anchor.last[:12]}"
    if len(entries) < anchor.length:
        return f"{len(entries)} entries, of {anchor.length} up to {anchor.last[:12]}"
    found = entries[anchor.length - 1].digest
    return "" if found == anchor.last else f"entry {anchor.length - 1} is {found[:12]}, not {anchor.last[:12]}"


def _require_whole(known: Sequence[Anchor], ledger: Path) -> None:
    broken = broken_anchors(known, read_history(ledger), place_of(ledger))
    if broken:
        anchor, fault = broken[0]
        raise GateRefused(
            "HISTORY_CUT",
            found=f"{ledger.name}: {fault}",
            expected=f"the {anchor.length} entries that {anchor.place} had",
            remedy=REMEDY,
        )


def _remember(seat: Seat, ledger: Path, known: Sequence[Anchor]) -> None:
    """Note how far it goes now, unless it was cut while it was held."""
    entries, place = read_history(ledger), place_of(ledger)
    if not entries or broken_anchors(known, entries, place):
        return
    now = Anchor(entries[0].digest, place, len(entries), entries[-1].digest)
    if now in known:
        return
    with connected(seat.database) as connection:
        _write(connection, seat.production_model, now)


def _write(connection: Any, model: str, anchor: Anchor) -> None:
    table = tables().histories
    key = {"model": model, "genesis": anchor.genesis, "place": anchor.place, "ended": anchor.ended}
    values = {"length": anchor.length, "last": anchor.last}
    of_it = [table.c[name] == value for name, value in key.items()]
    if connection.execute(table.update().where(*of_it).values(**values)).rowcount == 0:
        connection.execute(table.insert().values(**key, **values))


def _give_up(seat: Seat, anchors: Sequence[Anchor], entry: HistoryEntry) -> None:
    table = tables().histories
    with connected(seat.database) as connection:
        for a in anchors:
            of_it = (table.c.model == seat.production_model, table.c.genesis == a.genesis, table.c.place == a.place)
            connection.execute(table.update().where(*of_it, table.c.ended == "").values(ended=entry.digest))

"""The history of a registered model in a database table, and its readable copy ``history.jsonl``.

Contract: the table is append-only, and its key (model, sequence) makes every event a compare-and-swap: of two
processes that read event 41, one inserts event 42, and the other decides again from the new state. One event is one
INSERT in one transaction, so nothing is ever half done.

Each workspace has a copy of the events. The copy is a witness: a table that lacks an event of the copy, or has another
event in its place, is refused. Several workspaces can have copies of the same table.
"""

import getpass
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from spine.errors import EvidenceRejected, GateRefused, ParametersRejected
from spine.storage import partials_of, write_text_atomically
from validation.promotion.approval import SignOff, require_signed
from validation.promotion.events import RESTORE, Event, State, after, chained, contradiction, state_of
from validation.registry.database import POSTGRESQL, database_exists, database_missing, transaction

DATABASE_VARIABLE = "PLUMBLINE_HISTORY_DB"
DIALECTS = ("sqlite", "postgresql")
CLOCK_TOLERANCE = timedelta(minutes=5)
_ATTEMPTS = 1000
"""More than the processes that can add an event at the same moment: at each attempt one of them succeeds."""


@dataclass(frozen=True)
class History:
    """The history of one registered model.

    Attributes:
        tracking_uri: the address of MLflow's tracking store and registry.
        database: the address of the database with the table.
        model: the registered model.
        copy: the workspace's copy of the events.
    """

    tracking_uri: str
    database: str
    model: str
    copy: Path

    def state(self) -> State:
        """The state after the events in the table. Reading never creates a table or a database.

        Raises:
            EvidenceRejected: HISTORY_BROKEN.
            GateRefused: HISTORY_CUT, HISTORY_DIFFERS (from the copy), REGISTRY_UNAVAILABLE.
        """
        known = read_copy(self.copy)  # First the copy: another process may add an event to both meanwhile.
        return _agreed(self.events(), known)

    def events(self) -> tuple[Event, ...]:
        """The events in the table, not verified; empty without a table, or in a new workspace without a database.

        Raises:
            GateRefused: REGISTRY_UNAVAILABLE.
        """
        if not database_exists(self.database):
            if self.copy.is_file():
                raise database_missing(self.database)
            return ()
        with transaction(self.database) as connection:
            return self._events(connection)

    def append(self, decide: Callable[[State], Event]) -> Event:
        """Add the event that ``decide`` makes from the present state. Return it as written.

        Args:
            decide: a pure function, or a function that refuses. If another event comes first, it is called again.

        Raises:
            GateRefused: CLOCK_WENT_BACK, EVENT_REFUSED (``state_of`` would refuse the event), the errors of ``state``,
                and those of ``decide``: nothing was written.
        """
        from sqlalchemy.exc import IntegrityError

        for attempt in range(_ATTEMPTS):
            known = read_copy(self.copy)
            if not known:
                self._make_table()
            try:
                with transaction(self.database, write=True) as connection:
                    state = _agreed(self._events(connection), known)
                    event = decide(state)
                    require_clock(state, datetime.fromisoformat(event.at))
                    _require_consistent(state, event)
                    event = self._next(state, event)
                    self._insert(connection, event)
                break
            except IntegrityError:  # another event came first
                if attempt == _ATTEMPTS - 1:
                    raise
        return event

    def write_copy(self, events: Sequence[Event]) -> None:
        """Add the events that the copy lacks. The caller has locked the workspace's history."""
        for partial in partials_of(self.copy):
            partial.unlink()
        if len(read_copy(self.copy)) < len(events):
            lines = [json.dumps(asdict(event), sort_keys=True, ensure_ascii=False) for event in events]
            write_text_atomically(self.copy, "\n".join(lines) + "\n")

    def restore(self, sign_off: SignOff, at: datetime) -> Event:
        """Put the events of the copy back into the table, or go on after a clock that was ahead. Return the new event.

        Later events of the table stay, as far as they follow the last event of the copy.

        Raises:
            GateRefused: APPROVAL_EMPTY (no name or reason), HISTORY_COMPLETE, REGISTRY_UNAVAILABLE.
            EvidenceRejected: HISTORY_BROKEN: the copy is not intact.
        """
        require_signed(sign_off)
        known = read_copy(self.copy)
        self._make_table()
        with transaction(self.database, write=True) as connection:
            present = self._events(connection)
            unreadable = Event("restored", "", "")  # a line of the copy that is no event breaks the chain
            state = state_of(event or unreadable for event in known)
            with suppress(EvidenceRejected):
                for event in present[len(known) :]:
                    state = after(state, event)
            first, kept = first_difference(present, state.events), len(state.events)
            if first is not None or kept < len(present):
                why = f"events {first} to {kept - 1} of the table were restored from {self.copy.name}"
                if kept < len(present):
                    why = f"{why}; " if first is not None else ""
                    why += f"events {kept} to {len(present) - 1} of the table, which did not follow, were left out"
            elif _is_behind(state, at):
                why = f"the clock was set back from {state.events[-1].at}"
            else:
                raise GateRefused(
                    "HISTORY_COMPLETE",
                    found=f"a table with all {len(present)} events of the copy",
                    expected="a table that lacks events, has other events than the copy, or has an event in the future",
                    remedy="nothing needs to be restored; `plumbline history` shows the history",
                )
            person, reason = sign_off.person.strip(), f"{why}; {sign_off.comment.strip()}"
            event = self._next(state, Event("restored", at.isoformat(), person, reason=reason))
            if present:
                connection.execute(_table().delete().where(_table().c.model == self.model))
            self._insert(connection, *state.events, event)
        return event

    def _events(self, connection: Any) -> tuple[Event, ...]:
        from sqlalchemy import inspect

        table = _table()
        if not inspect(connection).has_table(table.name):
            return ()
        rows = connection.execute(table.select().where(table.c.model == self.model).order_by(table.c.sequence))
        return tuple(Event(**row._mapping) for row in rows)

    def _make_table(self) -> None:
        """Make the table if it is missing. In the transaction of an event, the lock of CREATE INDEX could deadlock."""
        from sqlalchemy import inspect

        table = _table()
        with transaction(self.database, write=True) as connection:
            if connection.dialect.name == "postgresql":  # SQLite is locked already
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('plumbline_events'))")
            if not inspect(connection).has_table(table.name):
                table.create(connection)

    def _next(self, state: State, event: Event) -> Event:
        return chained(replace(event, account=_account()), state.events, self.model)

    def _insert(self, connection: Any, *events: Event) -> None:
        connection.execute(_table().insert(), [asdict(event) for event in events])


def history_database(tracking_uri: str) -> str:
    """The address of the database that ``PLUMBLINE_HISTORY_DB`` names, or else of the registry. It may be a server's.

    Raises:
        ParametersRejected: HISTORY_DB_ADDRESS: no address of a database, or one of PostgreSQL with another driver.
    """
    named = os.environ.get(DATABASE_VARIABLE)
    address = named or tracking_uri
    scheme = address.partition("://")[0]
    if (named and not named.startswith(DIALECTS)) or (scheme.startswith("postgres") and scheme != POSTGRESQL):
        raise ParametersRejected(
            "HISTORY_DB_ADDRESS",
            found=f"a database of the history whose address begins with {scheme[:40]}://",
            expected=f"{POSTGRESQL}://USER:PASSWORD@HOST:PORT/DATABASE",
            remedy=f"correct {DATABASE_VARIABLE} or PLUMBLINE_TRACKING_URI, whichever names it",
        )
    return address


def open_history(tracking_uri: str, model: str, copy: Path) -> History:
    """The history in the database that ``PLUMBLINE_HISTORY_DB`` names, or else in the registry's database.

    Raises:
        ParametersRejected: NO_HISTORY_DB: the registry is a server, and no database is named. HISTORY_DB_ADDRESS.
    """
    database = history_database(tracking_uri)
    if not database.startswith(DIALECTS):
        raise ParametersRejected(
            "NO_HISTORY_DB",
            found=f"a registry with an {database.partition(':')[0]} address; such a registry has no transactions",
            expected=f"a database ({' or '.join(DIALECTS)}), so that two promotions cannot both succeed",
            remedy=f"set {DATABASE_VARIABLE} to the address of one database for all promoters, ideally the registry's",
        )
    return History(tracking_uri, database, model, copy)


def read_copy(path: Path) -> tuple[Event | None, ...]:
    """The events in a workspace's copy, not verified; None for a line that is no event. A missing file is empty."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return tuple(map(_event, lines))


def first_difference(events: Sequence[Event], others: Sequence[Event | None]) -> int | None:
    """The number of the first event that differs between two histories; None if one is the beginning of the other.

    An event that only ``others`` has is a difference, too.
    """
    return next((i for i, other in enumerate(others) if i >= len(events) or events[i] != other), None)


def require_clock(state: State, at: datetime) -> None:
    """Refuse a clock that is behind the last event.

    Raises:
        GateRefused: CLOCK_WENT_BACK.
    """
    if _is_behind(state, at):
        raise GateRefused(
            "CLOCK_WENT_BACK",
            found=f"the clock shows {at.isoformat(timespec='seconds')}",
            expected=f"a time after {state.events[-1].at[:19]}, the last event of the history",
            remedy=f"set the clock; if the clock was ahead at the last event, run {RESTORE}",
        )


def _require_consistent(state: State, event: Event) -> None:
    """Refuse an event that contradicts the events before it. Once written, it would make the history unreadable."""
    fault = contradiction(state, event)
    if fault:
        raise GateRefused(
            "EVENT_REFUSED",
            found=fault,
            expected="an event that agrees with the history",
            remedy="correct the command; `plumbline champion` shows the champion",
        )


def _is_behind(state: State, at: datetime) -> bool:
    return bool(state.events) and at < datetime.fromisoformat(state.events[-1].at) - CLOCK_TOLERANCE


def _agreed(events: Sequence[Event], known: Sequence[Event | None]) -> State:
    """The state after ``events``, which must begin with the events of the copy."""
    first = first_difference(events, known)
    if first is not None and first >= len(events):
        raise GateRefused(
            "HISTORY_CUT",
            found=f"{len(events)} events in the database; history.jsonl also has event {first}",
            expected=f"the {len(known)} events of history.jsonl, or more",
            remedy=f"check PLUMBLINE_TRACKING_URI and {DATABASE_VARIABLE}: is this the right database? If it has lost "
            f"events, restore it from a backup; without a backup run {RESTORE}, which puts the events back. "
            "If history.jsonl was edited, move it away: the next command writes it again",
        )
    state = state_of(events)
    if first is not None:
        raise GateRefused(
            "HISTORY_DIFFERS",
            found=f"event {first} in the database is not event {first} in history.jsonl",
            expected="the same event in both",
            remedy="find out which of the two was edited or replaced. If it is history.jsonl, move the file away: the "
            f"next command writes it again. If it is the database, restore a backup, or run {RESTORE}",
        )
    return state


def _event(line: str) -> Event | None:
    try:
        return Event(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"user {os.getuid()}"


@cache
def _table() -> Any:
    from sqlalchemy import Column, Index, Integer, MetaData, Table, Text

    keys = ("model", "sequence")
    columns = [
        Column(f.name, Integer if f.type is int else Text, primary_key=f.name in keys, nullable=False)
        for f in fields(Event)
    ]
    table = Table("plumbline_events", MetaData(), *columns)
    used = (table.c.kind == "promoted") & (table.c.approval != "")
    Index("plumbline_used_approvals", table.c.approval, unique=True, sqlite_where=used, postgresql_where=used)
    return table

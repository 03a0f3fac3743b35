"""The gate's tables in the registry's own database, and one transaction on them.

Contract: a database that is older than a table gets it silently; a file that is gone, cut off or no database is
refused as REGISTRY_UNAVAILABLE and never made anew; what happens within ``connected`` happens whole or not at all.

    plumbline_champions   model (key), version, digest, previous, sequence, entry, mirrored
    plumbline_changes     model + sequence (key), version, digest, entry: every change there was
    plumbline_denied      model + digest (key), reason, by, at: models rolled back from
    plumbline_lifted      model + entry (key), digest, reason, by, at: denials that a human lifted
    plumbline_approvals   approval (key), model: those that have been used
    plumbline_histories   model + genesis + place + ended (key), length, last: how far each history goes
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from spine.errors import GateRefused

WAIT_SECONDS = 30
"""How long a change waits for another one's lock on the database before it is refused."""

_LITE = "sqlite:///"


@dataclass(frozen=True)
class Tables:
    """The gate's tables."""

    metadata: Any
    champions: Any
    changes: Any
    denied: Any
    lifted: Any
    approvals: Any
    histories: Any


@cache
def tables() -> Tables:
    """The tables as SQLAlchemy knows them."""
    from sqlalchemy import Boolean, Column, Integer, MetaData, String, Table, Text

    metadata = MetaData()

    def digests(*names: str, key: bool = False) -> list[Any]:
        return [Column(name, String(64), primary_key=key, nullable=False) for name in names]

    def made(name: str, *columns: Any) -> Any:
        return Table(f"plumbline_{name}", metadata, Column("model", String(256), primary_key=True), *columns)

    said = ("reason", "by", "at")
    approvals = Table(
        "plumbline_approvals", metadata, *digests("approval", key=True), Column("model", String(256), nullable=False)
    )
    return Tables(
        metadata,
        made(
            "champions",
            *digests("version", "digest", "previous", "entry"),
            Column("sequence", Integer, nullable=False),
            Column("mirrored", Boolean, nullable=False),
        ),
        made("changes", Column("sequence", Integer, primary_key=True), *digests("version", "digest", "entry")),
        made("denied", *digests("digest", key=True), *(Column(n, Text, nullable=False) for n in said)),
        made(
            "lifted", *digests("entry", key=True), *digests("digest"), *(Column(n, Text, nullable=False) for n in said)
        ),
        approvals,
        made(
            "histories",
            *digests("genesis", key=True),
            Column("place", Text, primary_key=True),
            *digests("ended", key=True),
            Column("length", Integer, nullable=False),
            *digests("last"),
        ),
    )


@contextmanager
def connected(database: str) -> Iterator[Any]:
    """A connection in one transaction that is committed at the end, or rolled back as a whole.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE.
    """
    from sqlalchemy.exc import DBAPIError, IntegrityError

    try:
        engine = _engine(database)
        with engine.begin() as connection:
            yield connection
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise unavailable(str(error.orig)) from error


def unavailable(why: str) -> GateRefused:
    """The refusal of a registry that does not answer."""
    return GateRefused(
        "REGISTRY_UNAVAILABLE",
        found=f"a registry that cannot be read or written: {' '.join(why.split())[:200]}",
        expected="its database, reachable and not locked",
        remedy="start it or wait until it is free, see where things stand with `plumbline history --verify`, try again",
    )


def exists(database: str) -> bool:
    """Whether there is a database to be opened; of one that is no SQLite file nobody can tell before opening it.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE: the file is there, and no whole SQLite database.
    """
    if not database.startswith(_LITE):
        return True
    path = file_of(database)
    if not path.exists() or path.stat().st_size == 0:
        return False
    try:
        # By SQLite itself: it waits for no writer, rolls a killed one back, and opening the file beside it drops locks.
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=0)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise unavailable(str(error)) from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error
    return True


def file_of(database: str) -> Path:
    """The file of an SQLite address, which may be relative to where one stands."""
    return Path(database.removeprefix(_LITE).partition("?")[0]).absolute()


def _damaged(path: Path, fault: str) -> GateRefused:
    return GateRefused(
        "REGISTRY_UNAVAILABLE",
        found=f"{path.name}, which is damaged or no database: {fault}",
        expected="the registry's database as it was last written",
        remedy="restore the file from a backup; `plumbline rollback --local` needs no database meanwhile",
    )


@cache
def _engine_of(database: str, _process: int) -> Any:
    from sqlalchemy import NullPool, create_engine, event

    lite = database.startswith("sqlite")
    # No pool: a connection lives as long as its transaction, so nothing is shared with a forked child.
    options = {"timeout": WAIT_SECONDS} if lite else {"connect_timeout": WAIT_SECONDS}
    engine = create_engine(database, poolclass=NullPool, connect_args=options)
    if lite:
        # pysqlite begins late and reads outside the transaction; IMMEDIATE takes the write lock before the first look.
        event.listen(engine, "connect", _leave_beginning_to_us)
        event.listen(engine, "begin", _begin_immediately)
    return engine


def _engine(database: str) -> Any:
    """The engine, its file there and its tables made."""
    if not exists(database) and not file_of(database).exists():
        raise unavailable("the database's file is gone")
    engine = _engine_of(database, os.getpid())
    _make_tables(database, os.getpid())
    return engine


def _make_tables(database: str, process: int) -> None:
    from sqlalchemy import inspect
    from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

    engine = _engine_of(database, process)
    wanted = set(tables().metadata.tables)
    if wanted <= set(inspect(engine).get_table_names()):
        return
    try:
        tables().metadata.create_all(engine)
    except (OperationalError, ProgrammingError, IntegrityError):  # another process made them in this moment
        if not wanted <= set(inspect(engine).get_table_names()):
            raise


def _leave_beginning_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin_immediately(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")

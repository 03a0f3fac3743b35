"""The gate's tables in the registry's database, and transactions on them.

Contract: the first connection creates missing tables, but never a database file. A missing, truncated or damaged file
is refused with REGISTRY_UNAVAILABLE. The statements within ``connected`` are one transaction.

    plumbline_champions    model (key), version, digest, previous, sequence, entry, synced: the version in service
    plumbline_changes      model + sequence (key), version, digest, entry: every change of the champion
    plumbline_denied       model + digest (key), reason, by, at: models that a rollback denied
    plumbline_reinstated   model + entry (key), digest, reason, by, at: models that a person reinstated
    plumbline_approvals    approval (key), model: used approvals
    plumbline_histories    model + first + place + closed_by (key), length, last: the length of each history
"""

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from spine.errors import GateRefused

WAIT_SECONDS = 30
"""The time after which a transaction stops waiting for a locked database and fails."""

CONNECT_SECONDS = 6
"""The time after which a connection to a database server fails."""

_POSTGRES_PORT = 5432
_SQLITE = ("sqlite:///", "sqlite+pysqlite:///")


def table(name: str) -> Any:
    """The table ``plumbline_<name>`` as an SQLAlchemy object."""
    return _metadata().tables[f"plumbline_{name}"]


@cache
def _metadata() -> Any:
    from sqlalchemy import Boolean, Column, Integer, MetaData, String, Table, Text

    metadata = MetaData()

    def digests(*names: str, key: bool = False) -> list[Any]:
        return [Column(name, String(64), primary_key=key, nullable=False) for name in names]

    def add(name: str, *columns: Any, model_is_key: bool = True) -> None:
        model = Column("model", String(256), primary_key=model_is_key, nullable=False)
        Table(f"plumbline_{name}", metadata, model, *columns)

    def number(name: str, *, key: bool = False) -> Any:
        return Column(name, Integer, primary_key=key, nullable=False)

    def why() -> list[Any]:
        return [Column(name, Text, nullable=False) for name in ("reason", "by", "at")]

    synced, place = Column("synced", Boolean, nullable=False), Column("place", Text, primary_key=True)
    length, last = number("length"), digests("last")
    add("champions", *digests("version", "digest", "previous", "entry"), number("sequence"), synced)
    add("changes", number("sequence", key=True), *digests("version", "digest", "entry"))
    add("denied", *digests("digest", key=True), *why())
    add("reinstated", *digests("entry", key=True), *digests("digest"), *why())
    add("approvals", *digests("approval", key=True), model_is_key=False)
    add("histories", *digests("first", key=True), place, *digests("closed_by", key=True), length, *last)
    return metadata


@contextmanager
def connected(database: str) -> Iterator[Any]:
    """Open a connection with one transaction. Commit it at the end of the block, or roll it back after an error.

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
        raise registry_unavailable(str(error.orig)) from error


def registry_unavailable(why: str) -> GateRefused:
    """The error for a registry that cannot be read or written."""
    return GateRefused(
        "REGISTRY_UNAVAILABLE",
        found=f"the registry cannot be read or written: {' '.join(why.split())[:200]}",
        expected="a database that is reachable and not locked",
        remedy="start the database or wait until it is not locked. Run `plumbline history --verify`, then try again",
    )


def require_reachable(database: str) -> None:
    """Refuse a database server that accepts no connection. MLflow itself would try for two minutes.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE.
    """
    parts = urlsplit(database)
    if is_sqlite(database) or parts.scheme in ("http", "https") or not parts.hostname:
        return
    try:
        socket.create_connection((parts.hostname, parts.port or _POSTGRES_PORT), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise registry_unavailable(f"no connection to the database server: {error}") from error


def database_exists(database: str) -> bool:
    """Whether the database exists. For a server the result is always True, because only a connection can find out.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE: the file exists and is not an intact SQLite database.
    """
    if not is_sqlite(database):
        return True
    path = sqlite_file(database)
    if not path.exists() or path.stat().st_size == 0:
        return False
    try:
        # SQLite opens the file, because closing a plain file handle would drop this process's locks on the database.
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=0)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise registry_unavailable(str(error)) from error
    except sqlite3.DatabaseError as error:
        raise GateRefused(
            "REGISTRY_UNAVAILABLE",
            found=f"{path.name} is damaged or is not a database: {error}",
            expected="an intact SQLite database",
            remedy="restore the file from a backup; until then, `plumbline rollback --local` works without a database",
        ) from error
    return True


def sqlite_file(database: str) -> Path:
    """The absolute path of an SQLite address, which may be relative to the working directory."""
    return Path(unquote(database.partition(":///")[2].partition("?")[0])).absolute()


def is_sqlite(database: str) -> bool:
    """Whether the address is of an SQLite file."""
    return database.startswith(_SQLITE)


def sqlite_address(path: Path) -> str:
    """The address of an SQLite file, in which SQLAlchemy reads ``%20`` as a space and ``?`` as the start of options."""
    quoted = "".join(quote(c) if c in "%?#" else c for c in str(path))
    # With the short prefix, MLflow makes the folder of the address, and takes ``%25`` in it for the folder's name.
    return _SQLITE[quoted != str(path)] + quoted


@cache
def _engine_of(database: str, _process: int) -> Any:
    from sqlalchemy import NullPool, create_engine, event

    sqlite = is_sqlite(database)
    # No pool: each transaction has its own connection, so a forked process shares no connection.
    options = {"timeout": WAIT_SECONDS} if sqlite else {"connect_timeout": CONNECT_SECONDS}
    engine = create_engine(database, poolclass=NullPool, connect_args=options)
    if sqlite:
        # By default, pysqlite begins the transaction at the first write. BEGIN IMMEDIATE locks the database before the
        # first read, so that no other process can change what was read.
        event.listen(engine, "connect", _disable_implicit_begin)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _engine(database: str) -> Any:
    """The engine of an existing database. Missing tables are created."""
    if not database_exists(database) and not sqlite_file(database).exists():
        raise registry_unavailable("the database file is missing")
    engine = _engine_of(database, os.getpid())
    _create_tables(engine)
    return engine


def _create_tables(engine: Any) -> None:
    from sqlalchemy import inspect
    from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

    wanted = set(_metadata().tables)
    if wanted <= set(inspect(engine).get_table_names()):
        return
    try:
        _metadata().create_all(engine)
    except (OperationalError, ProgrammingError, IntegrityError):  # another process created them at the same moment
        if not wanted <= set(inspect(engine).get_table_names()):
            raise


def _disable_implicit_begin(connection: Any, _record: Any) -> None:
    connection.isolation_level = None

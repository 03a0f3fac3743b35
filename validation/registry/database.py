"""The database of MLflow's registry, which also stores the history: addresses, transactions, errors.

Contract: no function here creates a database file. A missing, truncated, damaged or locked database is refused with
REGISTRY_UNAVAILABLE. The statements within ``transaction`` are one transaction.
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

POSTGRESQL = "postgresql+psycopg2"
"""How addresses of PostgreSQL begin. Since SQLAlchemy 2.1 a plain ``postgresql://`` means psycopg 3, which neither
Dagster nor MLflow installs."""

_POSTGRES_PORT = 5432
_SQLITE = ("sqlite:///", "sqlite+pysqlite:///")


@contextmanager
def transaction(database: str, *, write: bool = False) -> Iterator[Any]:
    """A connection with one transaction. It is committed at the end of the block, or rolled back after an error.

    Args:
        write: whether the block writes. SQLite then locks the database before the first read, so that no other process
            can change what was read.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE.
        IntegrityError: a row violates a key or index of its table.
    """
    from sqlalchemy.exc import DBAPIError, IntegrityError

    if is_sqlite(database) and not sqlite_file(database).exists():
        raise database_missing(database)
    try:
        with _engine(database, os.getpid()).begin() as connection:
            if is_sqlite(database):
                connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
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
        remedy="check the addresses in PLUMBLINE_HISTORY_DB and PLUMBLINE_TRACKING_URI, start the database, or wait "
        "until it is not locked. Only if its file is damaged, restore it from a backup, and run `plumbline history "
        "--verify`. Meanwhile `plumbline rollback --local` works without it",
    )


def database_missing(database: str) -> GateRefused:
    """The error for an SQLite file that does not exist or is empty."""
    return GateRefused(
        "REGISTRY_UNAVAILABLE",
        found=f"no database in {sqlite_file(database)}: the file is missing or empty",
        expected="the database of the registry, which the first run makes",
        remedy="check PLUMBLINE_TRACKING_URI. If the file was lost, restore it from a backup; until then, `plumbline "
        "rollback --local` works without a database. In a new workspace, run `plumbline run` first",
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
def _engine(database: str, _process: int) -> Any:
    from sqlalchemy import NullPool, create_engine, event

    # No pool: each transaction has its own connection, so a forked process shares no connection.
    options = {"timeout": WAIT_SECONDS} if is_sqlite(database) else {"connect_timeout": CONNECT_SECONDS}
    engine = create_engine(database, poolclass=NullPool, connect_args=options)
    if is_sqlite(database):
        # By default, pysqlite begins the transaction at the first write, after the first read.
        event.listen(engine, "connect", _disable_implicit_begin)
    return engine


def _disable_implicit_begin(connection: Any, _record: Any) -> None:
    connection.isolation_level = None

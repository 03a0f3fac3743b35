"""A lock that several machines respect: an advisory lock of PostgreSQL, held by a connection of its own.

Contract: the server frees the lock when the connection ends: at once if the process dies, and within a minute if its
machine dies or is cut off. The holder asks ``why_lost`` before it writes. No clocks of two machines are compared. A
pooler such as PgBouncer must keep sessions (``pool_mode = session``), because the lock belongs to the session.
"""

import time
from collections.abc import Callable
from typing import Any

from spine.errors import GateRefused
from spine.storage import sha256_of_bytes
from validation.registry.database import CONNECT_SECONDS, registry_unavailable

CHECK_S = 1.0
"""A connection that answered less than this time ago is not asked again. The server frees a lock after 50 s."""

RENEW_S = 60.0
"""The time that a holder waits for a server that has gone away, e.g. because it is started again."""

_CLIENT = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
_SERVER = {"idle": 20, "interval": 10, "count": 3}
_IS_HELD = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted"


class Lease:
    """One advisory lock of a PostgreSQL database.

    Attributes:
        database: address of the database, as SQLAlchemy takes it.
        name: what is locked. Whoever names the same thing in the same database asks for the same lock.
    """

    def __init__(self, database: str, name: str) -> None:
        self.database, self.name = database, name
        self._key = int(sha256_of_bytes(f"plumbline {name}".encode())[:15], 16)
        self._connection: Any = None
        self._answered = 0.0

    def take(self) -> bool:
        """Take the lock; False if another connection has it.

        Raises:
            GateRefused: REGISTRY_UNAVAILABLE: the database does not answer.
        """
        from sqlalchemy import text
        from sqlalchemy.exc import DBAPIError

        try:
            self._connection = _connected(self.database)
            held = bool(self._connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}))
        except DBAPIError as error:
            self.release()
            raise registry_unavailable(str(error.orig)) from error
        self._answered = time.monotonic()
        if not held:
            self.release()
        return held

    def why_lost(self, is_ours: Callable[[], bool]) -> str:
        """Why the lock is no longer held; "" if it is. A lost connection is made anew while nobody else had the lock.

        Args:
            is_ours: whether nobody took the lock since ``take``. Called with the lock held again.
        """
        if time.monotonic() - self._answered < CHECK_S or self._answers():
            return ""
        return self._renew(is_ours, time.monotonic() + RENEW_S)

    def release(self) -> None:
        """End the connection, and with it the lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()  # a connection that is cut off cannot be closed politely
            connection.close()

    def _answers(self) -> bool:
        from sqlalchemy import text
        from sqlalchemy.exc import DBAPIError

        if self._connection is None or self._connection.invalidated:  # SQLAlchemy would connect again, without lock
            return False
        try:
            held = bool(self._connection.scalar(text(_IS_HELD)))
        except DBAPIError:
            return False
        self._answered = time.monotonic() if held else 0.0
        return held

    def _renew(self, is_ours: Callable[[], bool], until: float) -> str:
        why = "the database of the lock does not answer"
        while True:
            self.release()
            try:
                if self.take():
                    if is_ours():
                        return ""
                    self.release()
                    return "another process had the lock in the meantime"
                why = "the connection to the database ended, and its lock is taken"
            except GateRefused as error:
                why = f"the database of the lock does not answer ({error.found})"
            if time.monotonic() >= until:
                return why
            time.sleep(CHECK_S)


def _connected(database: str) -> Any:
    from sqlalchemy import NullPool, create_engine

    server = " ".join(f"-c tcp_keepalives_{name}={value}" for name, value in _SERVER.items())
    options = {**_CLIENT, "options": server, "connect_timeout": CONNECT_SECONDS, "application_name": "plumbline lock"}
    engine = create_engine(database, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=options)
    return engine.connect()

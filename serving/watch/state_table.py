"""The rows of the loop in SQLite, and its cursor.

Contract: one process writes, which a lock of the kernel guards. Each change is on disk when the method returns, so that
after ``kill -9`` or a loss of power the loop goes on from the latest row.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple, fields
from pathlib import Path

from serving.watch.study_row import State, StudyRow
from spine.errors import PlumblineError
from spine.storage import locked

DATABASE = "studies.sqlite"
_COLUMNS = [field.name for field in fields(StudyRow)]
_TABLES = f"""
    CREATE TABLE IF NOT EXISTS studies ({", ".join(_COLUMNS)}, PRIMARY KEY (study_uid));
    CREATE INDEX IF NOT EXISTS due ON studies (due);
    CREATE TABLE IF NOT EXISTS cursor (name TEXT PRIMARY KEY, value REAL NOT NULL);
"""


class WatchBusy(PlumblineError):
    """Another process runs the loop with this state."""

    exit_code = 4


class StateTable:
    """The table of studies; made by ``open_table`` and ``reading_table``."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def get(self, study_uid: str) -> StudyRow | None:
        """The row of a study; None if the study is unknown."""
        return next(iter(self._rows("WHERE study_uid = ?", study_uid)), None)

    def put(self, row: StudyRow) -> None:
        """Write a row."""
        marks = ", ".join("?" * len(_COLUMNS))
        self._database.execute(f"INSERT OR REPLACE INTO studies VALUES ({marks})", astuple(row))  # noqa: S608

    def next_due(self, now: float) -> StudyRow | None:
        """The study that has been due for the longest time; None if no study is due.

        Stored pixels are compared when no other study is due.
        """
        return next(iter(self._rows("WHERE due <= ? ORDER BY verify, due, seen_at LIMIT 1", now)), None)

    def rows(self) -> list[StudyRow]:
        """Every row, the oldest first."""
        return self._rows("ORDER BY seen_at, study_uid")

    def cursor(self, name: str) -> float | None:
        """A value of the cursor; None before it is set."""
        found = self._database.execute("SELECT value FROM cursor WHERE name = ?", (name,)).fetchone()
        return None if found is None else float(found[0])

    def set_cursor(self, name: str, value: float) -> None:
        """Write a value of the cursor."""
        self._database.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?)", (name, value))

    def clear_cursor(self, name: str) -> None:
        """Remove a value of the cursor."""
        self._database.execute("DELETE FROM cursor WHERE name = ?", (name,))

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """All changes in the block are written together."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _rows(self, which: str, *values: object) -> list[StudyRow]:
        found = self._database.execute(f"SELECT {', '.join(_COLUMNS)} FROM studies {which}", values)  # noqa: S608
        return [_row(each) for each in found]


def _row(values: tuple[object, ...]) -> StudyRow:
    named = dict(zip(_COLUMNS, values, strict=True))
    named |= {"state": State(str(named["state"])), "verify": bool(named["verify"])}
    return StudyRow(**named)  # type: ignore[arg-type]


@contextmanager
def open_table(folder: Path) -> Iterator[StateTable]:
    """The table in ``folder``, for the one process that writes.

    Raises:
        WatchBusy: ``WATCH_RUNNING``.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as stack:
        if not stack.enter_context(locked(folder / "watch.lock", wait=False)):
            remedy = "wait until the other process ends, or stop it"
            raise WatchBusy("WATCH_RUNNING", "another loop with this workspace", "one loop", remedy)
        database = sqlite3.connect(folder / DATABASE, isolation_level=None)
        stack.callback(database.close)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(_TABLES)
        yield StateTable(database)


@contextmanager
def reading_table(folder: Path) -> Iterator[StateTable | None]:
    """The table for a reader, also while the loop runs; None if there is no table yet."""
    if not (folder / DATABASE).is_file():
        yield None
        return
    database = sqlite3.connect(f"{(folder / DATABASE).resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        yield StateTable(database)
    finally:
        database.close()

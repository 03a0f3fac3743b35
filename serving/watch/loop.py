"""The loop: turns of a search and one study, and pauses while the PACS or the disk cannot be used.

Contract: no error of a study, of the PACS or of the disk ends the loop. What keeps it from working is said once in the
log when it begins and once when it ends. Between two turns everything is on disk.
"""

import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from serving.service.champion import ServedChampion
from serving.service.logs import LOGGER
from serving.watch.archive import Archive, PacsUnavailable
from serving.watch.search import Search
from serving.watch.settings import WatchSettings
from serving.watch.state_table import StateTable
from serving.watch.study_row import State
from serving.watch.study_step import StudyStep
from spine.errors import GateRefused

_IDLE_S = 1.0
_FIRST_PAUSE_S = 1.0
_log = logging.getLogger(LOGGER)


def free_bytes(folder: Path) -> int:
    """The free space on the disk of a folder."""
    return shutil.disk_usage(folder).free


class PacsLoop:
    """One loop. ``clock`` gives seconds since 1970, ``free`` the free bytes on the disk of the state."""

    def __init__(
        self,
        settings: WatchSettings,
        table: StateTable,
        champion: ServedChampion,
        free: Callable[[], int],
        clock: Callable[[], float] = time.time,
    ) -> None:
        archive = Archive(settings.pacs)
        self._settings, self._table, self._champion, self._free, self._clock = settings, table, champion, free, clock
        self._search = Search(settings, archive, table, clock)
        self._step = StudyStep(settings, archive, table, champion, clock)
        self._trouble, self._pause_s = "", _FIRST_PAUSE_S

    def run(self, stopped: threading.Event) -> None:
        """Turns until ``stopped`` is set; the current study is finished first."""
        while not stopped.is_set():
            stopped.wait(self.turn())

    def turn(self) -> float:
        """Search if it is time, and take one study that is due. Returns the time to wait before the next turn."""
        return self._guarded(self._turn)

    def once(self, stopped: threading.Event) -> bool:
        """One full sweep, and every study that can be taken now. Returns whether nothing kept it from working."""
        pause = self._guarded(self._swept)
        while not stopped.is_set() and pause == 0 and not self._trouble:
            pause = self._guarded(self._one_study)
        return not self._trouble

    def retry_failed(self) -> int:
        """Take up the studies that were given up. Returns their number."""
        given_up = [row for row in self._table.rows() if row.state is State.FAILED and row.due is None]
        for row in given_up:
            self._table.put(replace(row, attempts=0, deadline=None, due=self._clock()))
        return len(given_up)

    def _guarded(self, work: Callable[[], float]) -> float:
        free = self._low_disk()
        if free is not None:
            return self._paused("DISK_LOW", free_mib=free >> 20)
        try:
            pause = work()
        except PacsUnavailable as error:
            return self._paused(error.code, reason=error.found)
        except GateRefused as error:  # no model
            return self._paused(error.code)
        except (sqlite3.OperationalError, OSError) as error:
            return self._paused("STATE_UNWRITABLE", reason=type(error).__name__)
        except Exception as error:  # an answer of the PACS can be anything
            return self._paused("LOOP_FAULT", reason=type(error).__name__)
        self._resumed()
        return pause

    def _turn(self) -> float:
        self._search.when_due()
        return self._one_study()

    def _swept(self) -> float:
        self._search.sweep()
        for row in self._table.rows():
            # One run does not wait until studies have settled.
            if row.due is not None and row.due <= self._clock() + self._settings.pace.settle_s:
                self._table.put(replace(row, due=self._clock()))
        return 0.0

    def _one_study(self) -> float:
        row = self._table.next_due(self._clock())
        if row is None:
            return min(_IDLE_S, self._settings.pace.poll_s)
        self._champion.look()
        self._step.take(row)
        return 0.0

    def _low_disk(self) -> int | None:
        """The free bytes if they are too few."""
        free = self._free()
        return free if free < self._settings.free_bytes else None

    def _paused(self, code: str, **fields: object) -> float:
        if code != self._trouble:
            if not self._trouble:
                self._pause_s = _FIRST_PAUSE_S
            _log.error("loop waits", extra={"fields": {"code": code, **fields}})
        self._trouble = code
        pause, self._pause_s = self._pause_s, min(2 * self._pause_s, self._settings.pace.longest_pause_s)
        return min(pause, self._settings.pace.longest_pause_s)

    def _resumed(self) -> None:
        if self._trouble:
            _log.info("loop goes on", extra={"fields": {"code": self._trouble}})
        self._trouble, self._pause_s = "", _FIRST_PAUSE_S

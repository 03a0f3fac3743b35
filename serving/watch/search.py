"""Finds new and changed studies: a quick poll of recent ones, and a full sweep at a slower rate.

Contract: a search only writes rows; it measures nothing. A full sweep keeps its page in the cursor, so that a restarted
loop goes on with it. A study is marked to be looked at if it is new or if its number of instances changed.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from serving.service.logs import LOGGER
from serving.service.pacs import is_uid, value_of
from serving.watch.archive import INSTANCES, MODALITIES, STUDY, Archive
from serving.watch.settings import WatchSettings
from serving.watch.state_table import StateTable
from serving.watch.study_row import State, StudyRow

_POLLED, _SWEPT, _OFFSET = "polled", "swept", "sweep_offset"
_log = logging.getLogger(LOGGER)


@dataclass(frozen=True)
class Search:
    """The searches of one loop; ``clock`` gives seconds since 1970."""

    settings: WatchSettings
    archive: Archive
    table: StateTable
    clock: Callable[[], float]

    def when_due(self) -> None:
        """The quick poll and the full sweep, each if it is due.

        Raises:
            PacsUnavailable: the PACS does not answer.
        """
        pace = self.settings.pace
        if self._due(_POLLED, pace.poll_s):
            self.poll()
        if self.table.cursor(_OFFSET) is not None or self._due(_SWEPT, pace.sweep_s):
            self.sweep()

    def poll(self) -> None:
        """Search the studies of the last days."""
        began = self.clock()
        day = datetime.fromtimestamp(began, UTC).date() - timedelta(days=self.settings.pace.recent_days)
        since = max(day, self.settings.studies.since or day)
        for _, page in self._pages({"StudyDate": f"{since:%Y%m%d}-"}, 0):
            self._note(page, verify=False)
        self.table.set_cursor(_POLLED, self.clock())  # a slow PACS is not asked without a pause

    def sweep(self) -> None:
        """Search every study of the settings, from the page at which a sweep was interrupted."""
        began = self.clock()
        since = self.settings.studies.since
        dates = {"StudyDate": f"{since:%Y%m%d}-"} if since else {}
        for following, page in self._pages(dates, int(self.table.cursor(_OFFSET) or 0)):
            with self.table.at_once():
                self._note(page, verify=True)
                self.table.set_cursor(_OFFSET, following)
        with self.table.at_once():
            self.table.clear_cursor(_OFFSET)
            self.table.set_cursor(_SWEPT, began)
        _log.info("full sweep done", extra={"fields": {"seconds": round(self.clock() - began, 2)}})

    def _due(self, name: str, every_s: float) -> bool:
        last, now = self.table.cursor(name), self.clock()
        return last is None or not last <= now < last + every_s  # a clock that was set back must not stop the search

    def _pages(self, dates: Mapping[str, str], offset: int) -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
        """(Offset of the next page, studies of this page), until a page brings no study that was not there before."""
        filters, seen = {**self.settings.studies.filters, **dates}, set[str]()
        while page := self.archive.studies(filters, offset, self.settings.pace.page):
            new = {str(value_of(each, STUDY)) for each in page} - seen
            if not new:  # the PACS does not know offsets
                return
            seen |= new
            offset += len(page)
            yield offset, page

    def _note(self, page: list[Mapping[str, Any]], *, verify: bool) -> None:
        for study in page:
            uid = str(value_of(study, STUDY))
            if not is_uid(uid):
                _log.error("study passed over", extra={"fields": {"code": "UID_INVALID"}})
            elif self._has_modality(study):
                self._note_study(uid, _count(study), verify)

    def _has_modality(self, study: Mapping[str, Any]) -> bool:
        named = set(study.get(MODALITIES, {}).get("Value") or ())
        return not named or bool(named & self.settings.studies.modalities)

    def _note_study(self, uid: str, count: int | None, verify: bool) -> None:
        now, row = self.clock(), self.table.get(uid)
        settled = now + self.settings.pace.settle_s
        if row is None:
            self.table.put(StudyRow(uid, State.SEEN, now, now, settled, count))
        elif count is None or count != row.instances:
            # A PACS that states no count has every study looked at; this must not defer a study that is due soon.
            due = min(row.due, settled) if count is None and row.due is not None else settled
            self.table.put(
                replace(row, instances=count, due=due, verify=row.verify or (verify and self._to_verify(row, now)))
            )
        elif verify and self._to_verify(row, now):
            self.table.put(replace(row, due=now, verify=True))

    def _to_verify(self, row: StudyRow, now: float) -> bool:
        """Whether the pixels of a study are to be compared."""
        return (
            row.state in (State.STORED, State.REFUSED) and now - row.changed_at < self.settings.pace.verify_days * 86400
        )


def _count(study: Mapping[str, Any]) -> int | None:
    value = value_of(study, INSTANCES)
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        return None

"""What is done with one study when it is due, and the state that follows.

Contract: each state is on disk before the next action. An attempt is counted before the radiographs are fetched, so a
study that ends the process is given up after the last attempt, and the others go on. The structured report is stored
last: where the PACS has it, it has the other results too, and the study is stored without measuring again.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from inference.measured_study import measure_radiographs
from serving.results.identity import result_uids
from serving.results.objects import ResultObject, result_objects
from serving.service.champion import ServedChampion, ServedModel
from serving.service.logs import LOGGER
from serving.service.pacs import require_small
from serving.watch.archive import Archive, NoAnswer, PacsUnavailable, StudyFault
from serving.watch.radiographs import files_digest, opened, pixels_digest, radiographs_of, set_digest, uid_of
from serving.watch.settings import WatchSettings
from serving.watch.state_table import StateTable
from serving.watch.study_row import State, StudyRow
from spine.errors import GateRefused, InputRejected, ParametersRejected, PlumblineError
from spine.storage import sha256_of_bytes

Instances = Sequence[Mapping[str, Any]]
REPLACED = "IMAGE_REPLACED"
_log = logging.getLogger(LOGGER)


def study_digest(study_uid: str) -> str:
    """The name of a study in the log: the first 12 digits of the SHA-256 of its UID."""
    return sha256_of_bytes(study_uid.encode())[:12]


@dataclass(frozen=True)
class StudyStep:
    """Takes a study to its next state; ``clock`` gives seconds since 1970."""

    settings: WatchSettings
    archive: Archive
    table: StateTable
    champion: ServedChampion
    clock: Callable[[], float]

    def take(self, row: StudyRow) -> StudyRow:
        """Look at a study, and measure and store it if that is to be done.

        Raises:
            PacsUnavailable: the PACS does not answer. The attempt is not counted.
            GateRefused: ``NO_MODEL``.
        """
        began = time.monotonic()
        try:
            after = self._answered(row)
        except PacsUnavailable:
            current = self.table.get(row.study_uid) or row
            uncounted = current.attempts - (current.attempts > row.attempts)
            self.table.put(replace(current, attempts=uncounted, due=self.clock() + self.settings.pace.retry_s))
            raise
        except (GateRefused, sqlite3.Error):
            raise
        except Exception as error:  # one study must not end the loop
            after = self._failed(self._counted(row), _fault(error))
        self.table.put(after)
        self._say(row, after, time.monotonic() - began)
        return after

    def _answered(self, row: StudyRow) -> StudyRow:
        """Look at a study. A request that only this study leaves without an answer is a failed attempt."""
        try:
            return self._looked_at(row)
        except NoAnswer as error:
            fault = self.archive.unanswered(error)
            current = self.table.get(row.study_uid) or row
            if current.due is None and current.state in (State.STORED, State.REFUSED):
                return current  # a comparison of pixels, which the next full sweep repeats
            counted = current if current.attempts > row.attempts else self._counted(current)
            return self._failed(counted, fault)

    def _counted(self, row: StudyRow) -> StudyRow:
        return replace(row, attempts=min(row.attempts + 1, self.settings.pace.attempts))

    def _looked_at(self, row: StudyRow) -> StudyRow:
        try:
            instances = self.archive.instances(row.study_uid)
        except StudyFault as error:
            return self._failed(self._counted(row), error)
        digest = set_digest(instances)
        if digest != row.radiographs:
            now = self.clock()
            row = StudyRow(row.study_uid, State.SEEN, row.seen_at, now, row.due, row.instances, digest, set_at=now)
        try:
            found = radiographs_of(instances)
        except InputRejected as error:
            return self._refused(row, error)
        if row.state is State.STORED or row.code == REPLACED:
            return self._compared(row, found) if row.verify else replace(row, due=None)
        if row.state is State.REFUSED:
            return self._refused_again(row, found, instances)
        if row.deadline is not None and self.clock() < row.deadline:
            return replace(row, due=row.deadline)
        if row.state is State.FAILED and row.attempts >= self.settings.pace.attempts:
            return replace(row, due=None)
        return self._attempted(row, found, instances)

    def _attempted(self, row: StudyRow, found: Instances, instances: Instances) -> StudyRow:
        """One attempt to measure the study, unless its results are in the PACS."""
        by = self.champion.required()
        report = result_uids([uid_of(each) for each in found], by.digest)["sr"]
        if report in map(uid_of, instances):
            return self._stored(replace(row, model=by.digest))
        if row.attempts >= self.settings.pace.attempts:
            remedy = "see the system's log for the reason, then `plumbline watch --retry-failed`"
            ended = GateRefused("PROCESS_ENDED", "the end of the process in each attempt", "a measurement", remedy)
            return self._failed(row, ended)
        row = replace(row, attempts=row.attempts + 1, model=by.digest)
        self.table.put(row)
        try:
            require_small(found, self.settings.most_bytes)
            contents = self._fetched(row, found)
        except StudyFault as error:
            return self._failed(row, error)
        except InputRejected as error:
            return self._refused(row, error)
        return self._measured(row, contents, by)

    def _measured(self, row: StudyRow, contents: Sequence[bytes], by: ServedModel) -> StudyRow:
        try:
            views = opened(contents)
            deadline = row.set_at + self.settings.pace.pair_wait_s
            if len(views) == 1 and self.clock() < deadline:
                waiting = replace(row, attempts=0)
                return waiting.at(State.WAITING_FOR_PAIR, self.clock(), due=deadline, deadline=deadline)
            results = result_objects(measure_radiographs(by.model, views))
        except (InputRejected, ParametersRejected) as error:
            return self._refused(replace(row, content=files_digest(contents)), error)
        except Exception as error:
            return self._failed(row, _fault(error))
        row = replace(row, content=pixels_digest(views)).at(State.MEASURED, self.clock(), due=row.due)
        self.table.put(row)
        return self._sent(row, results)

    def _sent(self, row: StudyRow, results: Sequence[ResultObject]) -> StudyRow:
        """The structured report is sent alone, after the PACS has stored the others."""
        others = [each.dataset for each in results if each.kind != "sr"]
        reports = [each.dataset for each in results if each.kind == "sr"]
        refused = self.archive.store(row.study_uid, others) or self.archive.store(row.study_uid, reports)
        if not refused:
            return self._stored(row)
        found = f"{len(refused)} of {len(results)} results not stored: {', '.join(sorted(set(refused.values())))}"
        remedy = "permit the PACS to store these objects; see its log"
        return self._failed(row, GateRefused("STORE_REFUSED", found, "a PACS that stores every result", remedy))

    def _stored(self, row: StudyRow) -> StudyRow:
        # The results are new instances of the study; their number is taken over at the next search.
        stored = replace(row, attempts=0, instances=None, stored_at=row.stored_at or self.clock())
        return stored.at(State.STORED, self.clock())

    def _refused(self, row: StudyRow, error: PlumblineError) -> StudyRow:
        return replace(row, attempts=0).at(State.REFUSED, self.clock(), code=error.code, sentence=_sentence(error))

    def _failed(self, row: StudyRow, error: PlumblineError) -> StudyRow:
        pace, now = self.settings.pace, self.clock()
        again = now + pace.retry_s * 2 ** (row.attempts - 1) if row.attempts < pace.attempts else None
        sentence = _sentence(error)
        return row.at(State.FAILED, now, due=again, deadline=again, code=error.code, sentence=sentence)

    def _compared(self, row: StudyRow, found: Instances) -> StudyRow:
        """Compare the pixels in the PACS with those that were measured."""
        row = replace(row, due=None, verify=False)
        self.table.put(row)  # pixels that end the process are not compared again before the next sweep
        try:
            digest = pixels_digest(opened(self._fetched(row, found)))
        except StudyFault:
            return row
        except (InputRejected, ParametersRejected):
            digest = "cannot be read"
        if row.content in ("", digest):
            return replace(row, content=digest).at(State.STORED, self.clock())
        expected = "a new SOP Instance UID for new pixels; the results in the PACS are those of the former image"
        remedy = "send the image under a new UID, and mark the former results in the PACS"
        return self._refused(
            row, InputRejected(REPLACED, "other pixels under the UID of a measured image", expected, remedy)
        )

    def _refused_again(self, row: StudyRow, found: Instances, instances: Instances) -> StudyRow:
        """Measure a refused study if its files are others than those that were refused."""
        row, compare = replace(row, due=None, verify=False), row.verify and row.content
        if not compare:
            return row
        self.table.put(row)
        try:
            same = files_digest(self._fetched(row, found)) == row.content
        except StudyFault:
            same = True
        return row if same else self._attempted(replace(row, state=State.SEEN, content=""), found, instances)

    def _fetched(self, row: StudyRow, found: Instances) -> list[bytes]:
        return [self.archive.content(row.study_uid, each) for each in found]

    def _say(self, before: StudyRow, after: StudyRow, seconds: float) -> None:
        if (before.state, before.code, before.attempts) == (after.state, after.code, after.attempts):
            return
        fields: dict[str, Any] = {"study": study_digest(after.study_uid), "state": after.state.value}
        fields |= {"code": after.code} if after.code else {}
        if after.state is State.FAILED:
            fields["attempt"] = f"{after.attempts} of {self.settings.pace.attempts}"
        fields |= {"model": after.model, "seconds": round(seconds, 2)}
        _log.log(logging.WARNING if after.code else logging.INFO, "study", extra={"fields": fields})


def _fault(error: Exception) -> PlumblineError:
    """An error that is no refusal; its text is not repeated, because it may quote a tag."""
    found = error.code if isinstance(error, PlumblineError) else type(error).__name__
    return GateRefused("MEASURING_FAILED", found, "a measurement", "report it with the version of the software")


def _sentence(error: PlumblineError) -> str:
    return f"found {error.found}; expected {error.expected}; {error.remedy}"

"""Shadow runs: after an answer, a challenger measures the same study, and the differences are recorded.

Contract: a shadow run never delays an answer. At most one runs at a time, a share of the studies is offered to it, and
it is dropped while requests wait. The record has digests, differences and absences, and nothing about the patient: no
name, no UID, no file, no landmark and no measured value.
"""

import json
import logging
import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from inference.measured_study import MeasuredStudy, measure_radiographs
from inference.model import Model
from serving.service.champion import ServedModel
from spine.errors import PlumblineError
from spine.measurement.registry import Measured

_log = logging.getLogger("plumbline.service")


@dataclass(frozen=True)
class ShadowCase:
    """One study that both models measured.

    Attributes:
        day: the day of the run (ISO 8601), without a time.
        champion, challenger: digests of the models.
        difference: parameter -> challenger minus champion, where both report a value.
        absent: parameter -> the only model that reports no value, ``champion`` or ``challenger``.
        refused: the code with which the challenger refused the whole study; "" if it measured it.
    """

    day: str
    champion: str
    challenger: str
    difference: Mapping[str, float]
    absent: Mapping[str, str]
    refused: str = ""


Record = Callable[[ShadowCase], None]


class ShadowRuns:
    """Runs a challenger beside the champion.

    Args:
        challenger: the challenger.
        share: the share of the studies, 0 to 1.
        record: called with each case, in the thread of the shadow run.
    """

    def __init__(self, challenger: Model, share: float, record: Record) -> None:
        self._challenger, self._share, self._record = challenger, share, record
        self._free = threading.Semaphore(1)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._random = random.Random()

    def offer(self, study: MeasuredStudy, by: ServedModel, *, busy: bool) -> str:
        """Begin a shadow run, if the study is drawn; return ``begun`` or why not."""
        if by.digest == self._challenger.digest:
            return "same model"
        if self._random.random() >= self._share:
            return "not drawn"
        if busy or not self._free.acquire(blocking=False):
            return "dropped"
        self._thread.submit(self._run, study)
        return "begun"

    def close(self) -> None:
        """Begin no more runs."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _run(self, study: MeasuredStudy) -> None:
        try:
            self._record(shadow_case(study, self._challenger))
        except Exception as error:  # the answer is sent; only the record is missing
            _log.error("shadow run failed", extra={"fields": {"error": type(error).__name__}})
        finally:
            self._free.release()


def shadow_case(study: MeasuredStudy, challenger: Model) -> ShadowCase:
    """Measure the study again with the challenger, and compare."""
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    try:
        theirs = measure_radiographs(challenger, study.opened).prediction.parameters
    except PlumblineError as error:
        return ShadowCase(day, study.model.digest, challenger.digest, {}, {}, error.code)
    return ShadowCase(day, study.model.digest, challenger.digest, *_compared(study.prediction.parameters, theirs))


def _compared(ours: Mapping[str, Measured], theirs: Mapping[str, Measured]) -> tuple[dict[str, float], dict[str, str]]:
    difference: dict[str, float] = {}
    absent: dict[str, str] = {}
    for name in sorted(set(ours) | set(theirs)):
        first = ours[name].value if name in ours else None
        second = theirs[name].value if name in theirs else None
        if first is not None and second is not None:
            difference[name] = round(second - first, 2)
        elif first is not None or second is not None:
            absent[name] = "champion" if first is None else "challenger"
    return difference, absent


def append_to(path: Path) -> Record:
    """Records to a file with one JSON object on each line, which is only ever appended to."""

    def record(case: ShadowCase) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            # The line break comes first, so that a line that was cut off does not spoil the next one.
            stream.write("\n" + json.dumps(asdict(case)))

    return record


def read_cases(path: Path) -> list[ShadowCase]:
    """The complete cases in a file of ``append_to``; empty without the file."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError, TypeError):  # the last line, if its writer was killed
            found.append(ShadowCase(**json.loads(line)))
    return found

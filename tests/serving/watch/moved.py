"""A loop whose clock and disk the test sets, and a measurement that takes no time."""

import io
import json
import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pydicom
import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian

from serving.results.identity import result_uids
from serving.results.objects import ResultObject
from serving.service.logs import LOGGER, JsonLines
from serving.service.settings import PacsAddress
from serving.watch import study_step
from serving.watch.loop import PacsLoop
from serving.watch.settings import Pace, WatchSettings
from serving.watch.state_table import open_table
from serving.watch.study_row import StudyRow
from tests.serving.service.running import bundled_champion
from tests.serving.watch.fake_pacs import FakePacs

SR, CAPTURE = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7"
PACE = Pace(poll_s=10, sweep_s=3600, settle_s=5, pair_wait_s=900, attempts=3, retry_s=60)
NOON = 1_796_126_400.0


class Moved:
    """The loop, with ``now`` and ``free`` as the test sets them."""

    def __init__(self, pacs: FakePacs, folder: Path, pace: Pace = PACE) -> None:
        self.pacs, self.folder, self.now, self.free = pacs, folder, NOON, 1 << 40
        self.settings = WatchSettings(PacsAddress(pacs.url, timeout_s=5), pace=pace)
        self.champion, self.log, self._open = bundled_champion(), io.StringIO(), ExitStack()
        handler = logging.StreamHandler(self.log)
        handler.setFormatter(JsonLines())
        logging.getLogger(LOGGER).handlers = [handler]
        logging.getLogger(LOGGER).setLevel(logging.INFO)
        self.restart()

    def restart(self) -> None:
        """The process ends and begins again."""
        self.close()
        self.table = self._open.enter_context(open_table(self.folder))
        self.loop = PacsLoop(self.settings, self.table, self.champion, lambda: self.free, lambda: self.now)

    def close(self) -> None:
        self._open.close()
        self._open = ExitStack()

    def after(self, seconds: float, *, turns: int = 60) -> None:
        """Move the time in two parts, and take turns until nothing is due."""
        for part in (seconds - 6, 6) if seconds > 6 else (seconds,):
            self.now += part
            for _ in range(turns):
                if self.loop.turn() > 0:
                    break

    def row(self, study_uid: str) -> StudyRow:
        row = self.table.get(study_uid)
        assert row is not None
        return row

    def words(self, study_uid: str) -> tuple[str, str]:
        """State and code of a study."""
        row = self.row(study_uid)
        return row.state.value, row.code

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.log.getvalue().splitlines()) if line["event"] == event]


def quick_measuring(monkeypatch: pytest.MonkeyPatch, before: Callable[[Any], None] = lambda opened: None) -> None:
    """Replace the measurement and its objects. ``before`` is called with the opened radiographs."""

    def measure(model: Any, opened: Any) -> Any:
        before(opened)
        return SimpleNamespace(model=model, opened=opened)

    monkeypatch.setattr(study_step, "measure_radiographs", measure)
    monkeypatch.setattr(study_step, "result_objects", _objects)


def _objects(study: Any) -> list[ResultObject]:
    identities = [each.radiograph.identity for each in study.opened.values()]
    uids = result_uids([each.sop_uid for each in identities], study.model.digest)
    return [
        ResultObject("overlay", _object(identities[0], CAPTURE, uids["overlay"]), "overlay.dcm"),
        ResultObject("sr", _object(identities[0], SR, uids["sr"]), "sr.dcm"),
    ]


def _object(identity: Any, sop_class: str, uid: str) -> pydicom.Dataset:
    ds = pydicom.Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID = UID(sop_class), UID(uid), identity.study_uid
    ds.SeriesInstanceUID, ds.Manufacturer = f"{uid}.1", "Plumbline"
    ds.Modality = "SR" if sop_class == SR else "OT"
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(uid)
    return ds

"""The loop as its own process against a real PACS: Orthanc."""

import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from serving.watch.state_table import reading_table
from serving.watch.study_row import State, StudyRow
from tests.serving.watch.command import started, words, write_settings
from tests.serving.watch.moved import SR
from tests.serving.watch.orthanc import needs_orthanc, running_orthanc
from tests.serving.watch.stamped import pair, radiograph, uid_of

pytestmark = [pytest.mark.slow, needs_orthanc]
FINAL = (State.STORED, State.REFUSED)


def rows(folder: Path) -> dict[str, StudyRow]:
    with reading_table(folder / "ws" / "state" / "watch") as table:
        return {} if table is None else {row.study_uid: row for row in table.rows()}


def wait_for(done: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_twelve_studies_with_resends_late_views_a_refused_image_and_kills(case, tmp_path):
    draw = random.Random(7)
    with running_orthanc(tmp_path / "orthanc") as orthanc, ExitStack() as stack:
        settings = write_settings(tmp_path, orthanc)
        loop = stack.enter_context(started(settings))
        studies = {number: pair(case, number) for number in range(12)}
        studies[3][1] = radiograph(case, "lateral", 3, PhotometricInterpretation="PALETTE COLOR")
        late = {5: studies[5].pop(), 8: studies[8].pop()}
        for number in draw.sample(sorted(studies), 12):
            orthanc.send(*studies[number])
        stored = lambda: sum(row.state is State.STORED for row in rows(tmp_path).values())  # noqa: E731
        wait_for(lambda: stored() >= 3)
        loop.kill()  # kill -9
        loop.wait()
        orthanc.kill()
        orthanc.start()
        loop = stack.enter_context(started(settings))
        for number in (0, 1, 3):
            orthanc.send(*studies[number])
        wait_for(lambda: all(rows(tmp_path).get(uid_of("study", n), _NONE).state in WAITING for n in late))
        for file in late.values():
            orthanc.send(file)
        wait_for(lambda: len(rows(tmp_path)) == 12 and all(row.state in FINAL for row in rows(tmp_path).values()))
        reports = {number: orthanc.count(uid_of("study", number), SR) for number in studies}
        loop.send_signal(signal.SIGTERM)
        assert loop.wait(timeout=30) == 0
        assert reports == {number: int(number != 3) for number in studies}
        assert rows(tmp_path)[uid_of("study", 3)].code == "PHOTOMETRIC_UNSUPPORTED"
        status = subprocess.run(words(settings, "--status"), capture_output=True, text=True, timeout=60).stdout
        assert "STORED                 11" in status
        assert f"REFUSED PHOTOMETRIC_UNSUPPORTED {uid_of('study', 3)}" in status
        log = (tmp_path / "watch.log").read_text()
        assert "SECRET" not in log
        assert orthanc.authorization not in log


WAITING = (State.WAITING_FOR_PAIR,)
_NONE = StudyRow("", State.SEEN, 0, 0, None)


def test_one_run_ends_when_everything_is_done(case, tmp_path):
    with running_orthanc(tmp_path / "orthanc") as orthanc:
        settings = write_settings(tmp_path, orthanc)
        orthanc.send(*pair(case, 1), radiograph(case, "frontal", 2))
        done = subprocess.run(words(settings, "--once"), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert {row.state for row in rows(tmp_path).values()} == {State.STORED, State.WAITING_FOR_PAIR}
        assert len(orthanc.of_study(uid_of("study", 1))) == 7  # five results
        orthanc.kill()
        done = subprocess.run(words(settings, "--once"), capture_output=True, text=True, timeout=120)
        assert done.returncode == 1
        assert "PACS_UNAVAILABLE" in done.stderr
        orthanc.start()

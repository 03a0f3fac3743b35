"""What the loop does when the PACS, the disk, the process or one study fails."""

from dataclasses import replace

import pytest

from serving.watch.study_row import State
from tests.serving.watch.moved import CAPTURE, SR, Moved, quick_measuring
from tests.serving.watch.stamped import pair, radiograph, uid_of


class Killed(BaseException):
    """Ends the process where it is raised, as far as the loop can tell."""


def test_a_result_that_the_pacs_refuses_is_never_called_stored(moved, pacs, case):
    study, pacs.refuses = pacs.add(*pair(case, 1)), {CAPTURE}
    other = pacs.add(radiograph(case, "frontal", 2, PhotometricInterpretation="PALETTE COLOR"))
    moved.after(10)
    assert moved.words(study) == ("FAILED", "STORE_REFUSED")
    assert "1 of 2 results not stored: failure reason 0xA700" in moved.row(study).sentence
    assert moved.row(study).attempts == 1
    assert pacs.of_class(study, SR) == []  # the report comes last
    moved.after(70)
    assert moved.row(study).attempts == 2
    moved.after(130)
    assert (moved.row(study).attempts, moved.row(study).due) == (3, None)
    asked = len(pacs.asked)
    moved.after(2000)
    assert not any(line.startswith("POST") for line in pacs.asked[asked:])
    assert moved.words(other)[0] == "REFUSED"
    pacs.refuses = set()
    assert moved.loop.retry_failed() == 1
    moved.after(10)
    assert moved.words(study) == ("STORED", "")


def test_a_refused_report_is_tried_again(moved, pacs, case):
    study, pacs.refuses = pacs.add(*pair(case, 1)), {SR}
    moved.after(10)
    assert moved.words(study) == ("FAILED", "STORE_REFUSED")
    pacs.refuses = set()
    moved.after(70)
    assert moved.words(study) == ("STORED", "")
    assert len(pacs.of_class(study, SR)) == len(pacs.of_class(study, CAPTURE)) == 1


def test_a_pacs_that_is_down_is_said_once_and_nothing_is_lost(moved, pacs, case):
    first = pacs.add(*pair(case, 1))
    pacs.down = True
    pauses = []
    for _ in range(8):
        pauses.append(moved.loop.turn())
        moved.now += pauses[-1]
    second = pacs.add(*pair(case, 2))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    pacs.down = False
    moved.after(20)
    assert moved.words(first) == moved.words(second) == ("STORED", "")
    assert [line["code"] for line in moved.lines("loop waits")] == ["PACS_UNAVAILABLE"]
    assert [line["code"] for line in moved.lines("loop goes on")] == ["PACS_UNAVAILABLE"]


def test_denied_access_is_said_and_waited_for(moved, pacs, case):
    study, pacs.denies = pacs.add(*pair(case, 1)), True
    assert moved.loop.turn() == 1
    assert moved.loop.turn() == 2
    (line,) = moved.lines("loop waits")
    assert (line["code"], line["reason"]) == ("PACS_DENIED", "HTTP status 401")
    pacs.denies = False
    moved.after(10)
    assert moved.words(study) == ("STORED", "")


def test_without_a_model_studies_are_found_and_wait(moved, pacs, case, monkeypatch):
    study = pacs.add(*pair(case, 1))
    serving = moved.champion._serving
    monkeypatch.setattr(moved.champion, "_serving", None)
    monkeypatch.setattr(moved.champion, "look", lambda: None)
    moved.after(10)
    assert (moved.row(study).state, moved.row(study).attempts) == (State.SEEN, 0)
    assert [line["code"] for line in moved.lines("loop waits")] == ["NO_MODEL"]
    monkeypatch.setattr(moved.champion, "_serving", serving)
    moved.after(10)
    assert moved.words(study) == ("STORED", "")


def test_new_studies_come_before_the_comparison_of_stored_pixels(moved, pacs, case):
    stored = pacs.add(*pair(case, 1))
    moved.after(10)
    moved.after(20)
    moved.table.put(replace(moved.row(stored), due=moved.now - 100, verify=True))
    new = pacs.add(*pair(case, 2))
    moved.now += 20
    moved.loop.turn()  # finds the new study, and begins to compare
    moved.table.put(replace(moved.row(stored), due=moved.now - 100, verify=True))
    moved.now += 6
    moved.loop.turn()
    assert moved.words(new) == ("STORED", "")
    assert moved.row(stored).verify


def test_a_pacs_that_goes_down_in_an_attempt_costs_no_attempt(moved, pacs, case, monkeypatch):
    study = pacs.add(*pair(case, 1))

    def goes_down(opened: object) -> None:
        pacs.down = True

    quick_measuring(monkeypatch, before=goes_down)
    moved.after(10)
    assert moved.words(study) == ("MEASURED", "")
    assert moved.row(study).attempts == 0
    quick_measuring(monkeypatch)
    pacs.down = False
    moved.after(70)
    assert moved.words(study) == ("STORED", "")


def test_a_slow_pacs_costs_time_alone(moved, pacs, case):
    study, pacs.slow_s = pacs.add(*pair(case, 1)), 0.2
    moved.after(10)
    assert moved.words(study) == ("STORED", "")


def test_a_study_that_the_pacs_cannot_answer_fails_and_the_others_go_on(moved, pacs, case):
    broken, good = pacs.add(*pair(case, 1)), pacs.add(*pair(case, 2))
    pacs.broken_studies = {broken}
    for _ in range(5):
        moved.after(300)
    assert moved.words(broken) == ("FAILED", "PACS_ANSWER")
    assert (moved.row(broken).attempts, moved.row(broken).due) == (3, None)
    assert moved.words(good) == ("STORED", "")


def test_a_study_that_ends_the_process_is_given_up_and_the_others_go_on(moved, pacs, case, monkeypatch):
    poison, good = pacs.add(*pair(case, 1)), pacs.add(*pair(case, 2))

    def kills(opened: dict) -> None:
        if opened["frontal"].radiograph.identity.study_uid == poison:
            raise Killed

    quick_measuring(monkeypatch, before=kills)
    deaths = 0
    for _ in range(8):
        try:
            moved.after(10)
        except Killed:
            deaths += 1
            moved.restart()
    assert deaths == 3
    assert moved.words(poison) == ("FAILED", "PROCESS_ENDED")
    assert moved.row(poison).attempts == 3
    assert moved.words(good) == ("STORED", "")


def test_a_study_that_raises_any_error_fails_and_its_text_is_not_repeated(moved, pacs, case, monkeypatch):
    study = pacs.add(*pair(case, 1))

    def fails(opened: object) -> None:
        raise RuntimeError("SECRET^1")

    quick_measuring(monkeypatch, before=fails)
    moved.after(10)
    assert moved.words(study) == ("FAILED", "MEASURING_FAILED")
    assert "RuntimeError" in moved.row(study).sentence
    assert "SECRET" not in str(moved.row(study)) + moved.log.getvalue()


@pytest.mark.parametrize("dies_at", range(1, 12))
def test_a_process_that_dies_at_any_write_makes_no_double_result(moved, pacs, case, monkeypatch, dies_at):
    """The process ends before or after the n-th change of the state."""
    study, writes = pacs.add(*pair(case, 1)), 0
    put = type(moved.table).put

    def dies(table: object, row: object) -> None:
        nonlocal writes
        writes += 1
        if dies_at == 2 * writes:
            raise Killed
        put(table, row)
        if dies_at == 2 * writes - 1:
            raise Killed

    monkeypatch.setattr(type(moved.table), "put", dies)
    for _ in range(3):
        try:
            moved.after(4000)
        except Killed:
            moved.restart()
    assert moved.words(study) == ("STORED", "")
    assert len(pacs.stored[study]) == 4


def test_below_the_watermark_nothing_new_is_accepted(moved, pacs, case):
    moved.free = 100 << 20
    study = pacs.add(*pair(case, 1))
    for _ in range(5):
        assert moved.loop.turn() > 0
        moved.now += 60
    assert pacs.asked == []
    assert moved.table.rows() == []
    (line,) = moved.lines("loop waits")
    assert (line["code"], line["free_mib"]) == ("DISK_LOW", 100)
    moved.free = 1 << 40
    moved.after(10)
    assert moved.words(study) == ("STORED", "")


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2\n3", "1" * 65, "SECRET^1", ""])
def test_an_identifier_that_is_no_uid_becomes_no_record(moved, pacs, case, uid):
    pacs.stored[uid] = {"1.2": radiograph(case, "frontal", 1)}
    study = pacs.add(*pair(case, 2))
    moved.after(10)
    assert [row.study_uid for row in moved.table.rows()] == [study]
    assert {line["code"] for line in moved.lines("study passed over")} == {"UID_INVALID"}
    assert not uid or uid not in moved.log.getvalue()


def test_neither_log_nor_state_has_an_identifier_of_the_patient(moved: Moved, pacs, case):
    study = pacs.add(*pair(case, 1))
    pacs.add(radiograph(case, "frontal", 2, PhotometricInterpretation="PALETTE COLOR"))
    pacs.add(radiograph(case, "lateral", 3))
    moved.after(10)
    moved.restart()
    texts = moved.log.getvalue(), "".join(path.read_bytes().decode("latin-1") for path in moved.folder.iterdir())
    for secret in ("SECRET", "P-1", "P-2", uid_of("image", 1, "frontal"), uid_of("series", 1, "frontal")):
        assert all(secret not in text for text in texts), secret
    assert study not in texts[0]
    assert {row.state for row in moved.table.rows()} == {State.STORED, State.REFUSED, State.WAITING_FOR_PAIR}

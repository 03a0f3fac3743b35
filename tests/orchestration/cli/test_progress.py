"""Progress on the terminal: position, elapsed and remaining time, and a line for every long step."""

import time

import pytest

from orchestration.cli import terminal
from orchestration.pipeline.step_report import progress_text
from training.journal import Journal, latest_figures


def test_the_text_has_position_elapsed_and_remaining_time():
    assert progress_text(25, 100, 10.0) == "25 of 100, 10 s elapsed, about 30 s left"
    assert progress_text(250, 1000, 10.0) == "25 %, 10 s elapsed, about 30 s left"
    assert progress_text(0, 9, 4.0) == "0 of 9, 4 s elapsed"
    assert progress_text(9, 9, 4.0) == "9 of 9, 4 s elapsed"


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(terminal, "_FIRST_LINE_SECONDS", 0.02)
    monkeypatch.setattr(terminal, "_LOG_EVERY_SECONDS", 0.0)


def test_a_step_without_progress_gets_a_line_and_a_short_one_none(fast, capfd):
    with terminal.progress_bar("verdict"):
        time.sleep(0.2)
    assert capfd.readouterr().err.strip().startswith("verdict: at work, 0 s elapsed")
    with terminal.progress_bar("verdict"):
        pass
    time.sleep(0.1)
    assert capfd.readouterr().err == ""


def test_training_shows_its_latest_figures(fast, capfd, tmp_path):
    assert latest_figures(tmp_path) == ""
    values = {"train/loss": 0.054391, "validation/landmark_error_mm": 0.868, "validation/landmark_error_median_mm": 0.7}
    Journal(tmp_path).write_measurements(115, 1.0, values)
    with terminal.progress_bar("candidate", lambda: latest_figures(tmp_path)) as progress:
        progress(500, 1000)
    shown = capfd.readouterr().err
    assert latest_figures(tmp_path, since=time.time() + 60) == "", "the journal of an earlier fit"
    assert "candidate: 50 %" in shown and "loss 0.054, validation error 0.87 mm" in shown

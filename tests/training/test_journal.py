"""The journal survives crashes and counts every figure once."""

from itertools import pairwise

import pytest

from training.fitting.budget import Budget, rate_factor
from training.journal import JOURNAL_FILE, Journal, read_journal


def test_a_written_journal_is_read_back(tmp_path):
    journal = Journal(tmp_path)
    journal.write_parameters({"seed": 3, "augmentation": {"noise": 0.1}, "input_shape": [512, 256]})
    journal.write_measurements(4, 10.0, {"train/loss": 2.0})
    journal.write_measurements(2, 5.0, {"train/loss": 3.0})
    journal.write_facts(device="cpu", seconds=1.5)
    content = read_journal(tmp_path)
    assert content.parameters == {"seed": "3", "augmentation.noise": "0.1", "input_shape": "[512, 256]"}
    assert [m.step for m in content.measurements] == [2, 4]
    assert content.facts["device"] == "cpu"


def test_a_torn_last_line_is_ignored_and_cut_off_before_the_next(tmp_path):
    Journal(tmp_path).write_measurements(1, 1.0, {"a": 1.0})
    with (tmp_path / JOURNAL_FILE).open("ab") as stream:
        stream.write(b'{"kind": "measurements", "step": 2, "ti')
    assert [m.step for m in read_journal(tmp_path).measurements] == [1]
    Journal(tmp_path).write_measurements(3, 3.0, {"a": 2.0})
    assert [m.step for m in read_journal(tmp_path).measurements] == [1, 3]


def test_figures_of_a_repeated_step_count_once(tmp_path):
    journal = Journal(tmp_path)
    journal.write_measurements(1, 1.0, {"a": 1.0, "b": 5.0})
    journal.write_measurements(1, 2.0, {"a": 1.5})
    (only,) = read_journal(tmp_path).measurements
    assert dict(only.values) == {"a": 1.5, "b": 5.0}


def test_a_value_that_is_not_finite_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        Journal(tmp_path).write_measurements(1, 1.0, {"a": float("nan")})
    assert read_journal(tmp_path).measurements == ()


def test_whichever_budget_ends_first_ends_the_fit():
    both = Budget(epochs=10, seconds=100.0)
    assert both.progress(5, 20) == 0.5
    assert both.progress(1, 90) == 0.9
    assert both.progress(11, 0) == 1.0
    assert Budget(None, 60.0).progress(1e9, 30.0) == 0.5


def test_the_learning_rate_warms_up_and_cools_down():
    factors = [rate_factor(p / 100) for p in range(101)]
    assert max(factors) == factors[5] == 1.0
    assert factors[0] < 0.1
    assert 0 < factors[-1] < 0.01
    assert all(a >= b for a, b in pairwise(factors[5:]))


def test_a_journal_touches_nothing_before_its_first_line(tmp_path):
    """The second of two processes must not create the folder before the first one has claimed it."""
    journal = Journal(tmp_path / "out" / "stage-1")
    assert not (tmp_path / "out").exists()
    journal.write_facts(steps=1)
    assert read_journal(tmp_path / "out" / "stage-1").facts == {"steps": 1}

"""Requests that the PACS never answers: the fault of one study, or of the PACS as a whole."""

from dataclasses import replace

from serving.service.settings import PacsAddress
from tests.serving.watch.stamped import pair


def impatient(moved, pacs):
    moved.settings = replace(moved.settings, pacs=PacsAddress(pacs.url, timeout_s=0.3))
    moved.restart()


def test_a_study_for_which_the_pacs_never_answers_is_given_up_and_named(moved, pacs, case):
    impatient(moved, pacs)
    stuck, other = pacs.add(*pair(case, 1)), pacs.add(*pair(case, 2))
    pacs.silent_studies = {stuck}
    moved.after(10)
    assert (moved.words(stuck), moved.row(stuck).attempts) == (("FAILED", "PACS_ANSWER"), 1)
    assert moved.words(other) == ("STORED", "")
    moved.after(70)
    moved.after(130)
    assert (moved.row(stuck).attempts, moved.row(stuck).due) == (3, None)
    assert "ReadTimeout" in moved.row(stuck).sentence
    assert moved.lines("loop waits") == []  # the other studies did not wait


def test_a_pacs_that_answers_nothing_costs_no_attempt(moved, pacs, case):
    impatient(moved, pacs)
    study = pacs.add(*pair(case, 1))
    moved.after(1)
    pacs.slow_s = 1.0
    moved.after(300, turns=2)
    assert (moved.row(study).attempts, moved.row(study).code) == (0, "")
    assert [line["code"] for line in moved.lines("loop waits")] == ["PACS_UNAVAILABLE"]
    pacs.slow_s = 0.0
    moved.after(300)
    assert moved.words(study) == ("STORED", "")


def test_a_comparison_without_an_answer_leaves_the_study_stored(moved, pacs, case):
    impatient(moved, pacs)
    study = pacs.add(*pair(case, 1))
    moved.after(10)
    pacs.silent_studies, asked = {study}, len(pacs.asked)
    moved.after(3700)
    assert any("/series/" in line for line in pacs.asked[asked:])
    assert (moved.words(study), moved.row(study).attempts) == (("STORED", ""), 0)

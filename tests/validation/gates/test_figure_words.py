"""The names of figures in words."""

from typing import get_args

from validation.evaluation.agreement import FIGURES
from validation.gates.figure_words import figure_words
from validation.gates.rule_kinds import LandmarkFigure, PenalisedFigure


def test_no_figure_is_shown_by_its_key() -> None:
    words = {name: figure_words(name) for name in (*FIGURES, *get_args(LandmarkFigure), *get_args(PenalisedFigure))}
    assert not [name for name, text in words.items() if "_" in text or (text == name and name not in _PLAIN)]
    assert figure_words("icc_a1 (low end of 95 % interval)") == "ICC(A,1) (low end of 95 % interval)"


_PLAIN = {"bias", "slope", "intercept", "coverage"}
"""Keys that are words already."""

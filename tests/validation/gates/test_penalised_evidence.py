"""The penalised landmark error and the interval score: withheld landmarks and intervals, and too wide intervals."""

import math
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from tests.validation.gates.records import Scored, missed, with_landmarks, with_outcomes
from validation.evaluation.outcomes import ParameterOutcome
from validation.evaluation.record import EvaluationRecord
from validation.gates.rule_kinds import IntervalScoreRule, PenalisedLandmarksRule
from validation.gates.study_rules import evaluate_penalised_landmarks, evaluate_studies, interval_score

WHY: dict[str, Any] = {"reason": "a reason for it", "source": "a source of it"}
SCORE = IntervalScoreRule(kind="interval_score", parameter="cobb", penalty=60.0, at_most=20.0, **WHY)
POINTS = PenalisedLandmarksRule(kind="penalised_landmarks", space="any_view", penalty_mm=20.0, at_most=4.0, **WHY)


def outcome(
    predicted: float | None, interval: tuple[float, float] | None, truth: float | None = 30.0
) -> ParameterOutcome:
    return ParameterOutcome("cobb", "deg", truth, predicted, interval=interval)


@pytest.mark.parametrize(
    ("given", "score"),
    [
        (outcome(31.0, (28.0, 34.0)), 6.0),
        (outcome(31.0, (30.0, 34.0)), 4.0),
        (outcome(35.0, (32.0, 38.0)), 6.0 + 20 * 2.0),
        (outcome(20.0, (18.0, 29.5)), 11.5 + 20 * 0.5),
        (outcome(None, (28.0, 34.0)), None),
        (outcome(31.0, None), None),
        (outcome(31.0, (34.0, 28.0)), None),
        (outcome(31.0, (-math.inf, math.inf)), None),
        (outcome(31.0, (math.nan, 34.0)), None),
    ],
)
def test_width_and_twenty_times_the_miss(given: ParameterOutcome, score: float | None) -> None:
    assert interval_score(given) == (None if score is None else pytest.approx(score))


@pytest.fixture
def good(scored: Scored) -> EvaluationRecord:
    return scored(noise=0.5, seed=3)


def test_no_interval_costs_the_penalty_and_no_study_more(good: EvaluationRecord) -> None:
    assert evaluate_studies(SCORE, good).figure == pytest.approx(10.0)
    silent = evaluate_studies(SCORE, with_outcomes(good, lambda o, i: replace(o, interval=None) if i < 10 else o))
    assert silent.figure == pytest.approx((10 * 60 + 40 * 10) / 50)
    assert (silent.outcome, silent.found[:32]) == ("PASS", "10 of 50 have no interval, each counted"[:32])
    gross = evaluate_studies(
        SCORE, with_outcomes(good, lambda o, i: replace(o, interval=(900.0, 901.0)) if i < 10 else o)
    )
    assert gross.figure == silent.figure, "withholding a very wrong interval gains nothing"
    wide = evaluate_studies(SCORE, with_outcomes(good, lambda o, i: replace(o, interval=(o.truth - 11, o.truth + 11))))  # type: ignore[operator]
    assert (wide.outcome, wide.code) == ("REJECT", "ABOVE_CEILING")
    nothing = with_outcomes(good, lambda o, i: replace(o, truth=None))
    assert evaluate_studies(SCORE, nothing).outcome == "INSUFFICIENT"


def test_a_point_not_found_counts(good: EvaluationRecord) -> None:
    (plain,) = evaluate_penalised_landmarks(POINTS, good)
    assert plain.figure == pytest.approx(0.5 * 0.5 * math.sqrt(2)) and plain.subject == "frontal"
    silent = with_landmarks(good, lambda e, i: missed(e) if i < 25 else e)
    (half,) = evaluate_penalised_landmarks(POINTS, silent)
    assert half.figure == pytest.approx((plain.figure + 20.0) / 2)
    assert half.outcome == "REJECT" and half.found.startswith("350 of 700 landmarks were not found")
    one_nan = with_landmarks(good, lambda e, i: replace(e, error_mm=math.nan) if i == 0 else e)
    (nan,) = evaluate_penalised_landmarks(POINTS, one_nan)
    assert nan.outcome == "INSUFFICIENT"
    claimed = with_landmarks(good, lambda e, _: replace(missed(e), state="false_positive"))
    assert evaluate_penalised_landmarks(POINTS, claimed)[0].outcome == "INSUFFICIENT", "nothing to be found"


def test_views_without_lengths_are_left_out_but_not_views_without_a_single_point(good: EvaluationRecord) -> None:
    uncalibrated = with_landmarks(good, lambda e, i: replace(e, error_mm=None) if i < 49 else e)
    assert evaluate_penalised_landmarks(POINTS, uncalibrated)[0].figure == pytest.approx(0.25 * math.sqrt(2))
    none = with_landmarks(good, lambda e, _: replace(e, error_mm=None))
    assert evaluate_penalised_landmarks(POINTS, none)[0].outcome == "INSUFFICIENT"
    silent = with_landmarks(none, lambda e, i: missed(e) if i == 0 else e)
    assert evaluate_penalised_landmarks(POINTS, silent)[0].figure == 20.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "interval_score", "parameter": "cobb", "penalty": 5.0, "at_most": 20.0},
        {"kind": "interval_score", "parameter": "cobb", "penalty": 60.0, "at_least": 20.0},
        {"kind": "interval_score", "parameter": "cobb", "at_most": 20.0},
    ],
)
def test_a_limit_that_a_model_without_answers_keeps_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"penalty|ceiling"):
        IntervalScoreRule.model_validate({**wrong, **WHY})
    points = {"kind": "penalised_landmarks", "space": "frontal", "penalty_mm": 1.0, "at_most": 2.0}
    with pytest.raises(ValidationError, match="a model without predictions passes"):
        PenalisedLandmarksRule.model_validate({**points, **WHY})

"""Rules on figures that need each study: what each rule refuses, and that a worse prediction improves no figure."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.validation.gates.records import Scored, with_outcomes, with_studies
from validation.evaluation.agreement import icc_agreement
from validation.evaluation.outcomes import StudyOutcome
from validation.evaluation.record import EvaluationRecord
from validation.gates.rule_kinds import (
    CostRule,
    CurveSideRule,
    FailuresRule,
    IntervalsRule,
    OrientationRule,
    PenalisedRule,
)
from validation.gates.study_rules import evaluate_studies, level_shifts

WHY: dict[str, Any] = {"reason": "a reason for the test", "source": "the test itself"}
SIDE = CurveSideRule(kind="curve_side", min_cobb_deg=10.0, min_curves=10, at_least=0.95, **WHY)
ORIENTATION = OrientationRule(kind="orientation", at_least=0.95, **WHY)
INTERVALS = IntervalsRule(kind="intervals", parameter="cobb", at_least=0.75, **WHY)


def changed(record: EvaluationRecord, count: int, change: Callable[[StudyOutcome], StudyOutcome]) -> EvaluationRecord:
    return with_studies(record, lambda s, i: change(s) if i < count else s)


def answered(study: StudyOutcome, parameter: str, predicted: float | None) -> StudyOutcome:
    outcomes = (replace(o, predicted=predicted) if o.parameter == parameter else o for o in study.parameters)
    return replace(study, parameters=tuple(outcomes))


def test_curves_on_the_wrong_side_are_refused_though_every_angle_is_right(scored: Scored) -> None:
    good = scored(noise=0.0)
    for wrong, outcome in ((0, "PASS"), (2, "PASS"), (3, "REJECT"), (50, "REJECT")):
        result = evaluate_studies(SIDE, changed(good, wrong, lambda s: replace(s, found_side="right")))
        assert (result.outcome, wrong) == (outcome, wrong)
    mirrored = changed(good, 50, lambda s: replace(s, found_side="right"))
    assert mirrored.statistics == good.statistics
    assert evaluate_studies(SIDE, changed(good, 3, lambda s: replace(s, found_side=None))).outcome == "REJECT"
    few = evaluate_studies(SIDE, changed(good, 45, lambda s: replace(s, true_side=None)))
    assert (few.outcome, few.code) == ("INSUFFICIENT", "FIGURE_MISSING")
    assert "10 are needed" in few.found


def test_mirrored_and_unanswered_views_are_refused(scored: Scored) -> None:
    good = scored(noise=1.0)
    assert evaluate_studies(ORIENTATION, good).outcome == "PASS"
    mirrored = evaluate_studies(
        ORIENTATION, changed(good, 3, lambda s: replace(s, orientations={"frontal": "mirrored"}))
    )
    silent = evaluate_studies(
        ORIENTATION, changed(good, 3, lambda s: replace(s, orientations={"frontal": "unanswered"}))
    )
    assert (mirrored.outcome, mirrored.found) == ("REJECT", "3 of 50 views are mirrored, 0 not predicted")
    assert (silent.outcome, silent.found) == ("REJECT", "0 of 50 views are mirrored, 3 not predicted")
    none = changed(good, 50, lambda s: replace(s, orientations={"frontal": "undecidable"}))
    assert evaluate_studies(ORIENTATION, none).outcome == "INSUFFICIENT"


def test_intervals_that_contain_too_few_truths_are_refused(scored: Scored) -> None:
    good = scored(noise=1.0)
    assert evaluate_studies(INTERVALS, good).figure == 1.0

    def outcome(count: int, **wrong: Any) -> str:
        return evaluate_studies(
            INTERVALS, with_outcomes(good, lambda o, i: replace(o, **wrong) if i < count else o)
        ).outcome

    wrong: dict[str, Any]
    for wrong in ({"interval": (-90.0, -80.0)}, {"interval": None}, {"predicted": None}):
        assert (outcome(12, **wrong), outcome(13, **wrong)) == ("PASS", "REJECT")
    assert outcome(50, interval=(-math.inf, math.inf)) == "REJECT"


def test_studies_with_any_gap_are_counted_once(scored: Scored) -> None:
    rule = FailuresRule(kind="failures", parameters=["cobb", "pelvic_tilt"], at_most=0.15, **WHY)
    good = scored(noise=1.0)
    both = changed(good, 4, lambda s: answered(answered(s, "cobb", None), "pelvic_tilt", None))
    assert evaluate_studies(rule, both).figure == pytest.approx(4 / 50)
    silent = changed(good, 8, lambda s: answered(s, "cobb", None))
    spread = changed(silent, 4, lambda s: answered(s, "pelvic_tilt", None))
    assert evaluate_studies(rule, spread).outcome == "REJECT"
    assert evaluate_studies(rule, changed(good, 50, lambda s: answered(s, "sacral_slope", None))).outcome == "PASS"


def test_cost_counts_the_model_and_the_timed_studies(scored: Scored) -> None:
    good = scored(noise=1.0)
    slow = CostRule(kind="cost", figure="p95_seconds", at_most=30.0, **WHY)
    big = CostRule(kind="cost", figure="model_mb", at_most=5.0, **WHY)
    assert evaluate_studies(slow, good).outcome == "PASS"
    assert evaluate_studies(slow, changed(good, 4, lambda s: replace(s, seconds=31.0))).outcome == "REJECT"
    assert evaluate_studies(slow, changed(good, 50, lambda s: replace(s, seconds=0.0))).outcome == "INSUFFICIENT"
    assert evaluate_studies(slow, changed(good, 50, lambda s: replace(s, seconds=math.nan))).outcome == "INSUFFICIENT"
    assert (evaluate_studies(big, good).outcome, evaluate_studies(big, good).figure) == ("REJECT", 8.0)
    assert evaluate_studies(big, replace(good, model_bytes=None)).outcome == "INSUFFICIENT"


def penalised(figure: str, limit: float, penalty: float = 8.0) -> PenalisedRule:
    end = {"at_least" if figure == "explained" else "at_most": limit}
    return PenalisedRule(kind="penalised", parameter="cobb", figure=figure, penalty=penalty, **end, **WHY)  # type: ignore[arg-type]


def test_unanswered_studies_count_as_the_penalty(scored: Scored) -> None:
    good = scored(noise=1.0)
    errors = np.array([abs(s.parameter("cobb").error or 0.0) for s in good.studies])
    silent = changed(good, 5, lambda s: answered(s, "cobb", None))
    errors[:5] = 8.0
    expected = {"mae": errors.mean(), "rmse": math.sqrt((errors**2).mean()), "p95": np.quantile(errors, 0.95)}
    for figure, value in expected.items():
        result = evaluate_studies(penalised(figure, 100.0), silent)
        assert result.figure == pytest.approx(value)
        assert "5 of 50 have no prediction" in result.found
    assert evaluate_studies(penalised("mae", 1.0), changed(good, 50, lambda s: answered(s, "cobb", None))).figure == 8.0
    nothing = replace(good, studies=())
    assert evaluate_studies(penalised("mae", 1.0), nothing).outcome == "INSUFFICIENT"


CHANGES = st.lists(st.tuples(st.integers(0, 49), st.one_of(st.none(), st.floats(0, 60))), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([0.3, 2.0, 6.0]), st.sampled_from(["mae", "rmse", "p95", "explained"]), CHANGES)
def test_a_worse_answer_improves_no_penalised_figure(
    scored: Scored, noise: float, figure: str, changes: list[tuple[int, float | None]]
) -> None:
    record = scored(noise=noise, seed=5)
    before = evaluate_studies(penalised(figure, 1.0), record).figure
    for index, more in changes:
        outcome = record.studies[index].parameter("cobb")
        if outcome.predicted is None or (more is None and abs(outcome.error or 0.0) > 8.0):
            continue
        worse = None if more is None else outcome.predicted + math.copysign(more, outcome.error or 1.0)
        record = with_studies(record, lambda s, i: answered(s, "cobb", worse) if i == index else s)  # noqa: B023
    after = evaluate_studies(penalised(figure, 1.0), record).figure
    assert before is not None
    assert after is not None
    assert after <= before + 1e-12 if figure == "explained" else after >= before - 1e-12


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 40.0), st.floats(-20.0, 20.0), st.floats(-1.0, 1.0))
def test_half_of_the_variation_explained_implies_the_floor_of_the_icc(
    seed: int, noise: float, shift: float, shrink: float
) -> None:
    """The bound of docs/gate.md: if half of the variation is explained, ICC(A,1) is above 0.5 for any predictions."""
    rng = np.random.default_rng(seed)
    x = rng.normal(35, 12, 23)
    y = x + rng.normal(0, noise, 23) + shift + shrink * (x - x.mean())
    explained = 1 - float(((y - x) ** 2).sum() / ((x - x.mean()) ** 2).sum())
    if explained >= 0.5:
        icc = icc_agreement(np.stack([x, y], axis=1))
        assert icc is not None
        assert icc > 0.5


def test_a_view_that_was_not_answered_counts_as_shifted(scored: Scored) -> None:
    """Withholding the views with shifted names does not lower the rate."""
    good = scored(noise=1.0)
    shifted = changed(good, 10, lambda s: replace(s, level_shifts={"frontal": 1}))
    hidden = changed(good, 10, lambda s: replace(s, level_shifts={"frontal": None}))
    for record in (shifted, hidden):
        assert level_shifts(record).value == pytest.approx(0.2)
    assert level_shifts(good).value == 0.0
    empty = changed(good, 10, lambda s: replace(s, level_shifts={"frontal": None}, landmarks=()))
    assert level_shifts(empty).value == 0.0, "a view that shows too few levels is not counted"

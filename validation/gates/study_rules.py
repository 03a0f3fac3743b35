"""The evaluation of rules on single studies: penalised errors, curve sides, orientation, intervals and cost.

Contract: only the true values decide which studies count, and a study without a prediction counts as wrong. Therefore a
worse or a missing prediction never improves a figure.
"""

import math
from collections.abc import Sequence

import numpy as np

from spine.landmarks import VERTEBRAE, level_of
from spine.measurement.registry import PARAMETERS
from validation.evaluation.agreement import Figure, proportion
from validation.evaluation.outcomes import ParameterOutcome, StudyOutcome
from validation.evaluation.record import EvaluationRecord
from validation.gates.figure_words import figure_words
from validation.gates.policy import is_number
from validation.gates.rule_kinds import (
    CostRule,
    CurveSideRule,
    FailuresRule,
    IntervalScoreRule,
    IntervalsRule,
    OrientationRule,
    PenalisedLandmarksRule,
    PenalisedRule,
)
from validation.gates.rule_results import RuleResult, limit_result

StudyRule = (
    PenalisedRule | FailuresRule | CurveSideRule | OrientationRule | IntervalsRule | IntervalScoreRule | CostRule
)
CLAIM = 0.9
"""The share of true values that a model's intervals should contain."""
MISS_WEIGHT = 20.0
"""The weight 2 / 0.1 of the miss: one degree outside the interval costs as much as 20 degrees of width. With this
weight, intervals with the claimed coverage have the smallest score (Gneiting and Raftery 2007)."""
_LEAST_LANDMARKS = 6
"""The number of vertebral landmarks that a view must show before a shift of the level names can be detected."""
_NO_TRUTH = Figure(None, absent_reason="no study in the test set has a true value")


def evaluate_studies(rule: StudyRule, record: EvaluationRecord) -> RuleResult:
    """The result of one rule on the record's studies."""
    if isinstance(rule, PenalisedRule):
        return _penalised(rule, record)
    if isinstance(rule, FailuresRule):
        return _failures(rule, record)
    if isinstance(rule, CurveSideRule):
        return _curve_side(rule, record)
    if isinstance(rule, OrientationRule):
        return _orientation(rule, record)
    if isinstance(rule, IntervalsRule):
        return _intervals(rule, record)
    if isinstance(rule, IntervalScoreRule):
        return _interval_score(rule, record)
    return _cost(rule, record)


def evaluate_penalised_landmarks(rule: PenalisedLandmarksRule, record: EvaluationRecord) -> list[RuleResult]:
    """The results on the mean landmark error, one for each space. The space ``any_view`` means each view."""
    present: list[str] = list(dict.fromkeys(e.space for s in record.studies for e in s.landmarks if e.space != "3d"))
    spaces = (present or ["any_view"]) if rule.space == "any_view" else [rule.space]
    return [_penalised_landmarks(rule, record, space) for space in spaces]


def level_shifts(record: EvaluationRecord) -> Figure:
    """The share of views with shifted level names.

    A view also counts as shifted if it shows enough levels, but the prediction has too few levels to detect a shift.
    """
    recorded = record.level_shift_rate
    views = [(s, view, shift) for s in record.studies for view, shift in s.level_shifts.items()]
    counted = [shift != 0 for s, view, shift in views if shift is not None or _shows_levels(s, view)]
    if recorded.value is None or not counted:
        return recorded
    strict = proportion(sum(counted), len(counted))
    if strict.value is not None and is_number(recorded.value) and strict.value > recorded.value:
        return strict
    return recorded


def _shows_levels(study: StudyOutcome, view: str) -> bool:
    """Whether the view shows enough vertebral landmarks to detect a shift of the level names."""
    seen = [
        e for e in study.landmarks if e.space == view and e.state != "false_positive" and level_of(e.name) in VERTEBRAE
    ]
    return len(seen) >= _LEAST_LANDMARKS


def _penalised(rule: PenalisedRule, record: EvaluationRecord) -> RuleResult:
    outcomes = _with_truth(record, rule.parameter)
    unanswered = sum(_error(o) is None for o in outcomes)
    errors = [rule.penalty if (error := _error(o)) is None else abs(error) for o in outcomes]
    unit = "" if rule.figure == "explained" else PARAMETERS[rule.parameter].unit
    note = f"{unanswered} of {len(outcomes)} have no prediction, each counted as {rule.penalty:g}" if unanswered else ""
    figure = _NO_TRUTH if not outcomes else _penalised_figure(rule, outcomes, errors)
    name = f"penalised/{rule.parameter}/{rule.figure}"
    return limit_result(rule, name, rule.parameter, figure_words(rule.figure), figure, unit, note=note)


def _penalised_figure(rule: PenalisedRule, outcomes: Sequence[ParameterOutcome], errors: Sequence[float]) -> Figure:
    size = np.array(errors)
    if rule.figure == "mae":
        return Figure(float(size.mean()))
    if rule.figure == "rmse":
        return Figure(math.sqrt(float((size**2).mean())))
    if rule.figure == "p95":
        return Figure(float(np.quantile(size, 0.95)))
    truths = np.array([o.truth for o in outcomes], dtype=np.float64)
    squares = (truths - truths.mean()) ** 2
    if not squares.sum() > 0:
        return Figure(None, absent_reason="the true values do not vary")
    # A study without a prediction counts at least as much as a prediction of the mean of all true values.
    lost = [s if _error(o) is None else 0.0 for o, s in zip(outcomes, squares.tolist(), strict=True)]
    return Figure(1 - float(np.maximum(size**2, lost).sum() / squares.sum()))


def _failures(rule: FailuresRule, record: EvaluationRecord) -> RuleResult:
    failed = []
    for study in record.studies:
        asked = [o for o in study.parameters if o.parameter in rule.parameters and is_number(o.truth)]
        if asked:
            failed.append(any(_error(o) is None for o in asked))
    figure = proportion(sum(failed), len(failed))
    note = f"{sum(failed)} of {len(failed)} studies lack a prediction"
    return limit_result(rule, "failures/studies/rate", "studies", "share that lacks a prediction", figure, note=note)


def _curve_side(rule: CurveSideRule, record: EvaluationRecord) -> RuleResult:
    curves = [s for s in record.studies if s.true_side is not None and _true_cobb(s) >= rule.min_cobb_deg]
    right = sum(s.found_side == s.true_side and _answers_cobb(s) for s in curves)
    figure = proportion(right, len(curves))
    if len(curves) < rule.min_curves:
        known = f"{len(curves)} curves of {rule.min_cobb_deg:g} degrees or more have a known side"
        figure = Figure(None, absent_reason=f"{known}; {rule.min_curves} are needed")
    note = f"{right} of {len(curves)} curves of {rule.min_cobb_deg:g} degrees or more"
    return limit_result(rule, "curve_side/curves/agreement", "curves", "share on the correct side", figure, note=note)


def _orientation(rule: OrientationRule, record: EvaluationRecord) -> RuleResult:
    views = [o for s in record.studies for o in s.orientations.values() if o != "undecidable"]
    figure = proportion(views.count("as_truth"), len(views))
    note = f"{views.count('mirrored')} of {len(views)} views are mirrored, {views.count('unanswered')} not predicted"
    return limit_result(rule, "orientation/views/agreement", "views", "share not mirrored", figure, note=note)


def _intervals(rule: IntervalsRule, record: EvaluationRecord) -> RuleResult:
    outcomes = _with_truth(record, rule.parameter)
    inside = sum(_miss(o) == 0 for o in outcomes)
    note = f"{inside} of {len(outcomes)} true values are inside their {CLAIM:.0%} intervals"
    name = f"intervals/{rule.parameter}/held"
    figure = proportion(inside, len(outcomes))
    return limit_result(rule, name, rule.parameter, "share of true values inside the intervals", figure, note=note)


def _interval_score(rule: IntervalScoreRule, record: EvaluationRecord) -> RuleResult:
    outcomes = _with_truth(record, rule.parameter)
    scores = [interval_score(o) for o in outcomes]
    unanswered = sum(score is None for score in scores)
    counted = [rule.penalty if score is None else min(score, rule.penalty) for score in scores]
    figure = Figure(float(np.mean(counted))) if counted else _NO_TRUTH
    note = f"{unanswered} of {len(counted)} have no interval, each counted as {rule.penalty:g}" if unanswered else ""
    name, unit = f"interval_score/{rule.parameter}/mean", PARAMETERS[rule.parameter].unit
    return limit_result(rule, name, rule.parameter, "mean score of the 90 % intervals", figure, unit, note=note)


def interval_score(outcome: ParameterOutcome) -> float | None:
    """The interval's width plus ``MISS_WEIGHT`` times the distance of the true value from the interval.

    None if the prediction, the true value or a finite interval is missing.
    """
    miss = _miss(outcome)
    if outcome.interval is None or miss is None:
        return None
    low, high = outcome.interval
    return (high - low) + MISS_WEIGHT * miss


def _miss(outcome: ParameterOutcome) -> float | None:
    """The distance of the true value from the interval; None if the prediction or a finite interval is missing."""
    low, high = outcome.interval or (math.nan, math.nan)
    if _error(outcome) is None or outcome.truth is None or not (is_number(low) and is_number(high) and low <= high):
        return None
    return max(low - outcome.truth, outcome.truth - high, 0.0)


def _penalised_landmarks(rule: PenalisedLandmarksRule, record: EvaluationRecord, space: str) -> RuleResult:
    errors: list[float] = []
    missed = 0
    for study in record.studies:
        seen = [e for e in study.landmarks if e.space == space and e.state in ("found", "missed")]
        found = [e.error_mm for e in seen if e.state == "found"]
        if found and all(mm is None for mm in found):
            continue  # The view is not calibrated and has no errors in mm. A view without found landmarks counts.
        missed += len(seen) - len(found)
        errors += [mm if is_number(mm) else math.nan for mm in found]
    total = len(errors) + missed
    absent = Figure(None, absent_reason="no landmark has an error in mm")
    figure = Figure((sum(errors) + missed * rule.penalty_mm) / total) if total else absent
    note = f"{missed} of {total} landmarks were not found, each counted as {rule.penalty_mm:g} mm" if missed else ""
    name = f"penalised_landmarks/{space}/mean_mm"
    return limit_result(rule, name, space, "mean landmark error, missed landmarks included", figure, "mm", note=note)


def _cost(rule: CostRule, record: EvaluationRecord) -> RuleResult:
    name = f"cost/model/{rule.figure}"
    if rule.figure == "model_mb":
        size, absent = record.model_bytes, Figure(None, absent_reason="not measured")
        figure = Figure(size / 1e6) if is_number(size) else absent
        return limit_result(rule, name, "model", "size", figure, "MB")
    taken = [s.seconds for s in record.studies if is_number(s.seconds) and s.seconds > 0]
    level = 0.5 if rule.figure == "median_seconds" else 0.95
    absent = Figure(None, absent_reason="no study was timed")
    figure = Figure(float(np.quantile(taken, level))) if taken else absent
    return limit_result(rule, name, "model", rule.figure.replace("_seconds", " time of a study"), figure, "s")


def _with_truth(record: EvaluationRecord, parameter: str) -> list[ParameterOutcome]:
    return [o for s in record.studies for o in s.parameters if o.parameter == parameter and is_number(o.truth)]


def _error(outcome: ParameterOutcome) -> float | None:
    """The predicted minus the true value; None if either value is missing or the prediction is not finite."""
    if outcome.truth is None or not is_number(outcome.predicted):
        return None
    return outcome.predicted - outcome.truth


def _answers_cobb(study: StudyOutcome) -> bool:
    return any(o.parameter == "cobb" and _error(o) is not None for o in study.parameters)


def _true_cobb(study: StudyOutcome) -> float:
    truth = next((o.truth for o in study.parameters if o.parameter == "cobb"), None)
    return abs(truth) if is_number(truth) else 0.0

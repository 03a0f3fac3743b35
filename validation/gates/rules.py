"""Weighing: one policy rule and its evidence -> one result with figure, threshold, outcome and code.

Contract: comparisons are written so that only a finite number inside the limit passes; whatever is missing, NaN,
infinite or no number at all does not.
"""

from spine.measurement.registry import PARAMETERS
from validation.evaluation.agreement import Agreement, Figure
from validation.evaluation.landmark_errors import summary_of
from validation.evaluation.record import EvaluationRecord
from validation.gates.policy import Policy, is_number
from validation.gates.rule_kinds import (
    CostBesideRule,
    LandmarkRule,
    LevelShiftRule,
    ParameterRule,
    PenalisedLandmarksRule,
    TestSetRule,
    TruthsRule,
)
from validation.gates.rule_results import Kind, Outcome, RuleResult, limit_result, plain_result
from validation.gates.study_rules import level_shifts, weigh_penalised_landmarks, weigh_studies
from validation.gates.timing import weigh_cost_beside

__all__ = ["Kind", "Outcome", "RuleResult", "plain_result", "weigh_limits"]

_UNITLESS = frozenset({"coverage", "slope", "pearson_r", "icc_a1"})
_NOT_NEGATIVE = frozenset({"coverage", "sd", "standard_error_of_estimate", "mae", "median_ae", "p95_ae", "rmse"})
_ABSENT = Figure(None, absent_reason="the record does not hold it")


def weigh_limits(
    policy: Policy, record: EvaluationRecord, champion: EvaluationRecord | None = None
) -> list[RuleResult]:
    """Hold the challenger's record against every rule of the policy, in the policy's order."""
    results: list[RuleResult] = []
    for rule in policy.rules:
        if isinstance(rule, ParameterRule):
            results.append(_weigh_parameter(rule, record))
        elif isinstance(rule, LandmarkRule):
            results += _weigh_landmarks(rule, record)
        elif isinstance(rule, LevelShiftRule):
            figure = level_shifts(record)
            results.append(limit_result(rule, "level_shift/views/rate", "views", "level_shift_rate", figure))
        elif isinstance(rule, PenalisedLandmarksRule):
            results += weigh_penalised_landmarks(rule, record)
        elif isinstance(rule, CostBesideRule):
            results.append(weigh_cost_beside(rule, record, champion))
        elif isinstance(rule, TestSetRule | TruthsRule):
            results.append(_weigh_size(rule, record))
        else:
            results.append(weigh_studies(rule, record))
    return results


def _weigh_parameter(rule: ParameterRule, record: EvaluationRecord) -> RuleResult:
    agreement: Agreement | None = record.statistics.get(rule.parameter)
    figure = agreement.figures.get(rule.figure, _ABSENT) if agreement else _ABSENT
    if _is_impossible(rule.figure, figure.value):
        figure = Figure(None, absent_reason=f"{figure.value!r} is impossible for it")
    unit = "" if rule.figure in _UNITLESS else PARAMETERS[rule.parameter].unit
    name = f"parameter/{rule.parameter}/{rule.figure}"
    return limit_result(rule, name, rule.parameter, rule.figure, figure, unit, magnitude=rule.magnitude)


def _is_impossible(name: str, value: object) -> bool:
    """Whether a number cannot be this figure: it would keep a ceiling only because nothing made it."""
    if not isinstance(value, int | float) or not is_number(value):
        return False
    return (name in _NOT_NEGATIVE and value < 0) or (name in ("coverage", "icc_a1", "pearson_r") and value > 1 + 1e-9)


def _weigh_landmarks(rule: LandmarkRule, record: EvaluationRecord) -> list[RuleResult]:
    present: list[str] = [s.space for s in record.landmarks if s.group == "all" and s.space != "3d"]
    spaces = (present or ["any_view"]) if rule.space == "any_view" else [rule.space]
    results = []
    for space in spaces:
        summary = summary_of(record.landmarks, space, rule.group)
        value = getattr(summary, rule.figure) if summary else None
        unit = "" if rule.figure == "coverage" else rule.figure.rsplit("_", 1)[-1]
        figure = _ABSENT if value is None else Figure(value)
        results.append(
            limit_result(rule, f"landmarks/{space}/{rule.group}/{rule.figure}", space, rule.figure, figure, unit)
        )
    return results


def _weigh_size(rule: TestSetRule | TruthsRule, record: EvaluationRecord) -> RuleResult:
    if isinstance(rule, TruthsRule):
        agreement = record.statistics.get(rule.parameter)
        count, name, subject, code = (agreement.n_truth if agreement else 0), "truths", rule.parameter, "TOO_FEW_TRUTHS"
    else:
        count = record.n_patients if rule.figure == "patients" else len(record.studies)
        name, subject, code = rule.figure, "test set", "TOO_FEW_PATIENTS"
    enough = is_number(count) and count >= rule.threshold
    return RuleResult(
        rule=f"evidence/{subject}/{name}",
        kind="evidence",
        subject=subject,
        figure_name=name,
        figure=float(count) if is_number(count) else None,
        low=None,
        high=None,
        relation=">=",
        threshold=rule.threshold,
        unit="",
        outcome="PASS" if enough else "INSUFFICIENT",
        code="WITHIN_LIMIT" if enough else code,
        found="",
        reason=rule.reason,
        source=rule.source,
    )

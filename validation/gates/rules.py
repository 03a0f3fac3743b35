"""The evaluation of a policy's limits on an evaluation record, with one result for each figure.

Contract: only a finite number inside the limit passes. A missing, NaN, infinite or non-numeric figure does not pass.
"""

from spine.measurement.registry import PARAMETERS
from validation.evaluation.agreement import Agreement, Figure
from validation.evaluation.landmark_errors import summary_of
from validation.evaluation.record import EvaluationRecord
from validation.gates.evidence import Evidence
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
from validation.gates.rule_results import RuleResult, limit_result
from validation.gates.study_rules import evaluate_penalised_landmarks, evaluate_studies, level_shifts
from validation.gates.timing import evaluate_cost_beside

_UNITLESS = frozenset({"coverage", "slope", "pearson_r", "icc_a1"})
_NOT_NEGATIVE = frozenset({"coverage", "sd", "standard_error_of_estimate", "mae", "median_ae", "p95_ae", "rmse"})
_AT_MOST_ONE = frozenset({"coverage", "icc_a1", "pearson_r"})
_ABSENT = Figure(None, absent_reason="the record does not contain this figure")


def evaluate_limits(policy: Policy, evidence: Evidence) -> list[RuleResult]:
    """The results of all rules of the policy for the challenger, in the policy's order."""
    record, results = evidence.challenger, list[RuleResult]()
    for rule in policy.rules:
        if isinstance(rule, ParameterRule):
            results.append(_evaluate_parameter(rule, record))
        elif isinstance(rule, LandmarkRule):
            results += _evaluate_landmarks(rule, record)
        elif isinstance(rule, LevelShiftRule):
            figure = level_shifts(record)
            results.append(limit_result(rule, "level_shift/views/rate", "views", "level_shift_rate", figure))
        elif isinstance(rule, PenalisedLandmarksRule):
            results += evaluate_penalised_landmarks(rule, record)
        elif isinstance(rule, CostBesideRule):
            results.append(evaluate_cost_beside(rule, record, evidence.champion))
        elif isinstance(rule, TestSetRule | TruthsRule):
            results.append(_evaluate_size(rule, record))
        else:
            results.append(evaluate_studies(rule, record))
    return results


def _evaluate_parameter(rule: ParameterRule, record: EvaluationRecord) -> RuleResult:
    agreement: Agreement | None = record.statistics.get(rule.parameter)
    figure = agreement.figures.get(rule.figure, _ABSENT) if agreement else _ABSENT
    if _is_impossible(rule.figure, figure.value):
        figure = Figure(None, absent_reason=f"{figure.value!r} is an impossible value")
    unit = "" if rule.figure in _UNITLESS else PARAMETERS[rule.parameter].unit
    name = f"parameter/{rule.parameter}/{rule.figure}"
    return limit_result(rule, name, rule.parameter, rule.figure, figure, unit, magnitude=rule.magnitude)


def _is_impossible(name: str, value: object) -> bool:
    """Whether the value is impossible for the figure. For example, a negative error would pass every ceiling."""
    below, above = name in _NOT_NEGATIVE, name in _AT_MOST_ONE
    return is_number(value) and ((below and value < 0) or (above and value > 1 + 1e-9))


def _evaluate_landmarks(rule: LandmarkRule, record: EvaluationRecord) -> list[RuleResult]:
    present: list[str] = [s.space for s in record.landmarks if s.group == "all" and s.space != "3d"]
    spaces = (present or ["any_view"]) if rule.space == "any_view" else [rule.space]
    results = []
    for space in spaces:
        summary = summary_of(record.landmarks, space, rule.group)
        value = getattr(summary, rule.figure) if summary else None
        unit = "" if rule.figure == "coverage" else rule.figure.rsplit("_", 1)[-1]
        figure = _ABSENT if value is None else Figure(value)
        name = f"landmarks/{space}/{rule.group}/{rule.figure}"
        results.append(limit_result(rule, name, space, rule.figure, figure, unit))
    return results


def _evaluate_size(rule: TestSetRule | TruthsRule, record: EvaluationRecord) -> RuleResult:
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
        outcome="PASS" if enough else "INSUFFICIENT",
        code="WITHIN_LIMIT" if enough else code,
        reason=rule.reason,
        source=rule.source,
        figure_name=name,
        figure=float(count) if is_number(count) else None,
        relation=">=",
        threshold=rule.threshold,
    )

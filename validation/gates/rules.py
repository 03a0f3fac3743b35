"""Weighing: one policy rule and its evidence -> one result with figure, threshold, outcome and code.

What belongs here: how each kind of rule reads its figure. What does not: the decision that follows from all
results (``verdict``). Contract: comparisons are written so that only a finite number inside the limit passes;
whatever is missing, NaN, infinite or no number at all does not.

Codes, stable: WITHIN_LIMIT, ABOVE_CEILING, BELOW_FLOOR, FIGURE_MISSING, NON_FINITE; TOO_FEW_PATIENTS,
TOO_FEW_TRUTHS, NO_EVIDENCE, MALFORMED, ROLES_SWAPPED, OTHER_TEST_SET, OTHER_CODE, OTHER_ENVIRONMENT,
WRONG_PATIENTS, DIRTY_CODE, EVIDENCE_IN_ORDER; SAME_MODEL, NON_INFERIOR, NOT_SHOWN_NON_INFERIOR,
WORSE_THAN_CHAMPION, BETTER_THAN_CHAMPION, NO_GAIN; FIRST_CHAMPION, APPROVAL_NEEDED.
"""

from dataclasses import dataclass
from typing import Literal

from spine.measurement.registry import PARAMETERS
from validation.evaluation.agreement import Agreement, Figure
from validation.evaluation.landmarks import summary_of
from validation.evaluation.record import EvaluationRecord
from validation.gates.policy import (
    Bound,
    LandmarkRule,
    LevelShiftRule,
    ParameterRule,
    Policy,
    TestSetRule,
    TruthsRule,
    is_number,
)

Outcome = Literal["PASS", "HOLD", "REJECT", "INSUFFICIENT"]
Kind = Literal["evidence", "limit", "comparison", "first_champion"]

_UNITLESS = frozenset({"coverage", "slope", "pearson_r", "icc_a1"})
_ABSENT = Figure(None, absent_reason="the record does not hold it")


@dataclass(frozen=True)
class RuleResult:
    """What one rule said.

    Attributes:
        rule: stable id, ``<kind>/<subject>/<figure>``.
        kind: ``evidence`` results come before everything else: where one fails, no figure counts.
        subject: parameter, space or ``test set``.
        figure_name, figure, low, high: the figure held against the threshold, and its 95 % interval.
        relation, threshold: ``<=``, ``>=`` or ``<`` and the limit; empty and None where there is no number.
        unit: ``deg``, ``mm``, ``px``, ``margins`` or empty.
        outcome, code: what came of it.
        found: what was found, where it is not a number (a digest, an absence's reason).
        reason, source: the policy's.
    """

    rule: str
    kind: Kind
    subject: str
    figure_name: str
    figure: float | None
    low: float | None
    high: float | None
    relation: str
    threshold: float | None
    unit: str
    outcome: Outcome
    code: str
    found: str
    reason: str
    source: str


def weigh_limits(policy: Policy, record: EvaluationRecord) -> list[RuleResult]:
    """Hold the challenger's record against every rule of the policy, in the policy's order."""
    results: list[RuleResult] = []
    for rule in policy.rules:
        if isinstance(rule, ParameterRule):
            results.append(_weigh_parameter(rule, record))
        elif isinstance(rule, LandmarkRule):
            results += _weigh_landmarks(rule, record)
        elif isinstance(rule, LevelShiftRule):
            results.append(_limit(rule, "level_shift/views/rate", "views", "level_shift_rate", record.level_shift_rate))
        else:
            results.append(_weigh_size(rule, record))
    return results


def plain_result(
    rule: str, kind: Kind, outcome: Outcome, code: str, *, found: str, reason: str, subject: str = "test set"
) -> RuleResult:
    """A result without a number."""
    return RuleResult(
        rule, kind, subject, rule.rsplit("/", 1)[-1], None, None, None, "", None, "", outcome, code, found, reason, ""
    )


def _weigh_parameter(rule: ParameterRule, record: EvaluationRecord) -> RuleResult:
    agreement: Agreement | None = record.statistics.get(rule.parameter)
    figure = agreement.figures.get(rule.figure, _ABSENT) if agreement else _ABSENT
    unit = "" if rule.figure in _UNITLESS else PARAMETERS[rule.parameter].unit
    name = f"parameter/{rule.parameter}/{rule.figure}"
    return _limit(rule, name, rule.parameter, rule.figure, figure, unit, magnitude=rule.magnitude)


def _weigh_landmarks(rule: LandmarkRule, record: EvaluationRecord) -> list[RuleResult]:
    present: list[str] = [s.space for s in record.landmarks if s.group == "all" and s.space != "3d"]
    spaces = (present or ["any_view"]) if rule.space == "any_view" else [rule.space]
    results = []
    for space in spaces:
        summary = summary_of(record.landmarks, space, rule.group)
        value = getattr(summary, rule.figure) if summary else None
        unit = "" if rule.figure == "coverage" else rule.figure.rsplit("_", 1)[-1]
        figure = _ABSENT if value is None else Figure(value)
        results.append(_limit(rule, f"landmarks/{space}/{rule.group}/{rule.figure}", space, rule.figure, figure, unit))
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


def _limit(
    rule: Bound, name: str, subject: str, figure_name: str, figure: Figure, unit: str = "", *, magnitude: bool = False
) -> RuleResult:
    value = {"value": figure.value, "low": figure.low, "high": figure.high}[rule.compare]
    outcome, code = _outcome(value, rule, magnitude=magnitude)
    finite = is_number(value)
    return RuleResult(
        rule=name,
        kind="limit",
        subject=subject,
        figure_name=figure_name if rule.compare == "value" else f"{figure_name} ({rule.compare} end of 95 % interval)",
        figure=float(value) if finite and value is not None else None,
        low=figure.low if is_number(figure.low) else None,
        high=figure.high if is_number(figure.high) else None,
        relation="<=" if rule.at_most is not None else ">=",
        threshold=rule.threshold,
        unit=unit,
        outcome=outcome,
        code=code,
        found="" if finite else (figure.absent_reason or f"{value!r} is no finite number"),
        reason=rule.reason,
        source=rule.source,
    )


def _outcome(value: float | None, rule: Bound, *, magnitude: bool) -> tuple[Outcome, str]:
    if value is None:
        return "INSUFFICIENT", "FIGURE_MISSING"
    if not is_number(value):
        return "INSUFFICIENT", "NON_FINITE"
    size = abs(value) if magnitude else value
    if rule.at_most is not None:
        return ("PASS", "WITHIN_LIMIT") if size <= rule.at_most else ("REJECT", "ABOVE_CEILING")
    return ("PASS", "WITHIN_LIMIT") if size >= rule.threshold else ("REJECT", "BELOW_FLOOR")

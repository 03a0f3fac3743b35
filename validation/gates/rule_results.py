"""What one rule said: the record, and how a figure held against a limit becomes one.

Contract: comparisons are written so that only a finite number inside the limit passes; whatever is missing, NaN,
infinite or no number at all does not. What the policy does not ask, or what cannot be known and may stay so, is
NOT_ASKED: no pass, and nothing that stands in the way.

Codes, stable: WITHIN_LIMIT, ABOVE_CEILING, BELOW_FLOOR, FIGURE_MISSING, NON_FINITE; TOO_FEW_PATIENTS,
TOO_FEW_TRUTHS, TOO_FEW_CURVES, NO_EVIDENCE, MALFORMED, ROLES_SWAPPED, OTHER_TEST_SET, OTHER_CODE,
OTHER_ENVIRONMENT, WRONG_PATIENTS, DIRTY_CODE, EVIDENCE_IN_ORDER; SAME_MODEL, NON_INFERIOR,
NOT_SHOWN_NON_INFERIOR, UNDERPOWERED, WORSE_THAN_CHAMPION, BETTER_THAN_CHAMPION, NO_GAIN; FIRST_CHAMPION,
APPROVAL_NEEDED; ENOUGH_POWER, TOO_FEW_FOR_MARGIN; SUBGROUPS_KEPT, SUBGROUPS_NOT_ASKED, SUBGROUPS_TOO_SMALL,
SUBGROUP_WORSE, SUBGROUP_NOT_SHOWN; NO_BASELINE, BASELINE_NOT_ASKED, BASELINE_IS_CHAMPION, WORSE_THAN_BASELINE,
NOT_SHOWN_AGAINST_BASELINE; SEED_SPREAD_UNKNOWN, SEEDS_NOT_ASKED, ABOVE_SEED_SPREAD, WITHIN_SEED_SPREAD.
"""

from dataclasses import dataclass
from typing import Literal

from validation.evaluation.agreement import Figure
from validation.gates.policy import is_number
from validation.gates.rule_kinds import Bound

Outcome = Literal["PASS", "NOT_ASKED", "HOLD", "REJECT", "INSUFFICIENT"]
Kind = Literal["evidence", "limit", "comparison", "first_champion", "told"]
MAY_BE_UNASKED: frozenset[Kind] = frozenset({"told", "first_champion"})
"""Kinds of result that may be NOT_ASKED; anywhere else a rule that was not weighed is a refusal."""


@dataclass(frozen=True)
class RuleResult:
    """What one rule said.

    Attributes:
        rule: stable id, ``<kind>/<subject>/<figure>``.
        kind: ``evidence`` results come before everything else: where one fails, no figure counts; ``told`` decides
            nothing and is NOT_ASKED (PASS in verdicts written before that outcome was).
        subject: parameter, space or ``test set``.
        figure_name, figure, low, high: the figure held against the threshold, and its 95 % interval.
        relation, threshold: ``<=``, ``>=`` or ``<`` and the limit; empty and None where there is no number.
        unit: ``deg``, ``mm``, ``px``, ``margins`` or empty.
        outcome, code: what came of it.
        found: what was found, where it is not a number (a digest, an absence's reason).
        reason, source: the policy's.
        group: of patients the figure is about; ``all`` or ``<grouping>: <group>``.
        n: studies the figure rests on, where that is told.
        power: probability with which an equal model would have been shown to be not worse, of a comparison.
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
    group: str = "all"
    n: int | None = None
    power: float | None = None


def plain_result(
    rule: str, kind: Kind, outcome: Outcome, code: str, *, found: str, reason: str, subject: str = "test set"
) -> RuleResult:
    """A result without a number."""
    return RuleResult(
        rule, kind, subject, rule.rsplit("/", 1)[-1], None, None, None, "", None, "", outcome, code, found, reason, ""
    )


def not_asked(rule: str, code: str, *, found: str, reason: str, subject: str) -> RuleResult:
    """What the policy does not ask, or what cannot be known and may stay so: told, and no pass."""
    return plain_result(rule, "told", "NOT_ASKED", code, found=found, reason=reason, subject=subject)


def limit_result(
    rule: Bound,
    name: str,
    subject: str,
    figure_name: str,
    figure: Figure,
    unit: str = "",
    *,
    magnitude: bool = False,
    note: str = "",
) -> RuleResult:
    """Hold a figure against a rule's limit; ``note`` is told beside a figure that exists."""
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
        found=note if finite else (figure.absent_reason or f"{value!r} is no finite number"),
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

"""The result of one rule, and the comparison of a figure with a limit.

Contract: only a finite number inside the limit passes. A missing, NaN, infinite or non-numeric figure fails. NOT_ASKED
means that the policy does not require the rule, or that its figure is unknown and not required. Such a result does not
count as a pass and does not block the promotion.

The codes are stable. Limits: WITHIN_LIMIT, ABOVE_CEILING, BELOW_FLOOR, FIGURE_MISSING, NON_FINITE. Evidence:
EVIDENCE_IN_ORDER, NO_EVIDENCE, MALFORMED, ROLES_SWAPPED, OTHER_TEST_SET, OTHER_CODE, OTHER_ENVIRONMENT, WRONG_PATIENTS,
DIRTY_CODE, TOO_FEW_PATIENTS, TOO_FEW_TRUTHS, ENOUGH_POWER, TOO_FEW_FOR_MARGIN. Champion: FIRST_CHAMPION,
APPROVAL_NEEDED, SAME_MODEL, NON_INFERIOR, NOT_SHOWN_NON_INFERIOR, UNDERPOWERED, WORSE_THAN_CHAMPION,
BETTER_THAN_CHAMPION, NO_GAIN, EQUAL_WITH_MORE_DATA, COST_NOT_COMPARED. Groups: SUBGROUPS_KEPT, SUBGROUPS_NOT_ASKED,
SUBGROUPS_TOO_SMALL, SUBGROUP_WORSE, SUBGROUP_NOT_SHOWN. Baseline: NO_BASELINE, BASELINE_NOT_ASKED,
BASELINE_IS_CHAMPION, WORSE_THAN_BASELINE, NOT_SHOWN_AGAINST_BASELINE. Seeds: SEED_SPREAD_UNKNOWN, SEEDS_NOT_ASKED,
ABOVE_SEED_SPREAD, WITHIN_SEED_SPREAD. Change control: INSIDE_CHANGE_PLAN, OUTSIDE_CHANGE_PLAN, CHANGE_UNKNOWN,
CHANGE_NOT_ASKED. Shadow use: SHADOW_KEPT, SHADOW_TOO_FEW, SHADOW_DISAGREES.
"""

from dataclasses import dataclass
from typing import Literal

from validation.evaluation.agreement import Figure
from validation.gates.policy import is_number
from validation.gates.rule_kinds import Bound

Outcome = Literal["PASS", "NOT_ASKED", "HOLD", "REJECT", "INSUFFICIENT"]
Kind = Literal["evidence", "limit", "comparison", "first_champion", "change", "informational"]
MAY_BE_UNASKED: frozenset[Kind] = frozenset({"informational", "first_champion"})
"""The kinds of result that may be NOT_ASKED. A result of another kind that is NOT_ASKED counts as missing evidence."""

APPROVABLE = frozenset(
    {"APPROVAL_NEEDED", "EQUAL_WITH_MORE_DATA", "OUTSIDE_CHANGE_PLAN", "CHANGE_UNKNOWN", "SHADOW_DISAGREES"}
)
"""The codes of the refusals that a person's approval satisfies. Each has the outcome HOLD."""


@dataclass(frozen=True, kw_only=True)
class RuleResult:
    """The result of one rule.

    Attributes:
        rule: the rule's stable id, ``<kind>/<subject>/<figure>``.
        kind: the kind of result. If a result of kind ``evidence`` fails, the verdict is INSUFFICIENT, whatever the
            figures are. A result of kind ``informational`` is NOT_ASKED and does not affect the decision.
        subject: what is judged, such as a parameter, a space or ``test set``.
        reason, source: the reason and the source that the policy states for the rule.
        figure_name, figure: name and value of the figure that is compared with the threshold.
        low, high: the ends of the figure's 95 % interval.
        relation, threshold: ``<=``, ``>=`` or ``<``, and the limit; "" and None without a limit.
        unit: ``deg``, ``mm``, ``px``, ``s``, ``MB``, ``margins`` or "".
        found: a finding, such as a digest, that is shown beside the figure or in its place.
        group: the patients from whom the figure was computed: ``all`` or ``<grouping>: <group>``.
        n: the number of studies from which the figure was computed, if this is known.
        power: the probability that an equal model passes the comparison; None for other results.
    """

    rule: str
    kind: Kind
    subject: str
    outcome: Outcome
    code: str
    reason: str
    source: str = ""
    figure_name: str
    figure: float | None = None
    low: float | None = None
    high: float | None = None
    relation: str = ""
    threshold: float | None = None
    unit: str = ""
    found: str = ""
    group: str = "all"
    n: int | None = None
    power: float | None = None


def plain_result(
    rule: str, kind: Kind, outcome: Outcome, code: str, *, found: str, reason: str, subject: str = "test set"
) -> RuleResult:
    """A result without a number."""
    name = rule.rsplit("/", 1)[-1]
    return RuleResult(
        rule=rule, kind=kind, subject=subject, outcome=outcome, code=code, reason=reason, figure_name=name, found=found
    )


def not_asked(rule: str, code: str, *, found: str, reason: str, subject: str) -> RuleResult:
    """The result of a rule that the policy does not require, or whose figure is unknown and not required."""
    return plain_result(rule, "informational", "NOT_ASKED", code, found=found, reason=reason, subject=subject)


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
    """The result of comparing a figure with a rule's limit. The text ``note`` is shown beside a finite figure."""
    value = {"value": figure.value, "low": figure.low, "high": figure.high}[rule.compare]
    outcome, code = _outcome(value, rule, magnitude=magnitude)
    return RuleResult(
        rule=name,
        kind="limit",
        subject=subject,
        outcome=outcome,
        code=code,
        reason=rule.reason,
        source=rule.source,
        figure_name=figure_name if rule.compare == "value" else f"{figure_name} ({rule.compare} end of 95 % interval)",
        figure=float(value) if is_number(value) else None,
        low=figure.low if is_number(figure.low) else None,
        high=figure.high if is_number(figure.high) else None,
        relation="<=" if rule.at_most is not None else ">=",
        threshold=rule.threshold,
        unit=unit,
        found=note if is_number(value) else (figure.absent_reason or f"{value!r} is not a finite number"),
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

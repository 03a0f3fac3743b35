"""The result of one rule, and how a figure is compared with a limit.

Contract: only a finite number inside the limit passes; what is missing, NaN, infinite or no number does not. A rule
that the policy does not ask, or whose answer is unknown and not required, is NOT_ASKED: neither a pass nor a block.

Codes are stable. Limits: WITHIN_LIMIT, ABOVE_CEILING, BELOW_FLOOR, FIGURE_MISSING, NON_FINITE. Evidence:
EVIDENCE_IN_ORDER, NO_EVIDENCE, MALFORMED, ROLES_SWAPPED, OTHER_TEST_SET, OTHER_CODE, OTHER_ENVIRONMENT, WRONG_PATIENTS,
DIRTY_CODE, TOO_FEW_PATIENTS, TOO_FEW_TRUTHS, ENOUGH_POWER, TOO_FEW_FOR_MARGIN. Champion: FIRST_CHAMPION,
APPROVAL_NEEDED, SAME_MODEL, NON_INFERIOR, NOT_SHOWN_NON_INFERIOR, UNDERPOWERED, WORSE_THAN_CHAMPION,
BETTER_THAN_CHAMPION, NO_GAIN, COST_NOT_COMPARED. Groups: SUBGROUPS_KEPT, SUBGROUPS_NOT_ASKED, SUBGROUPS_TOO_SMALL,
SUBGROUP_WORSE, SUBGROUP_NOT_SHOWN. Baseline: NO_BASELINE, BASELINE_NOT_ASKED, BASELINE_IS_CHAMPION,
WORSE_THAN_BASELINE, NOT_SHOWN_AGAINST_BASELINE. Seeds: SEED_SPREAD_UNKNOWN, SEEDS_NOT_ASKED,
ABOVE_SEED_SPREAD, WITHIN_SEED_SPREAD.
"""

from dataclasses import dataclass
from typing import Literal

from validation.evaluation.agreement import Figure
from validation.gates.policy import is_number
from validation.gates.rule_kinds import Bound

Outcome = Literal["PASS", "NOT_ASKED", "HOLD", "REJECT", "INSUFFICIENT"]
Kind = Literal["evidence", "limit", "comparison", "first_champion", "informational"]
MAY_BE_UNASKED: frozenset[Kind] = frozenset({"informational", "first_champion"})
"""Kinds of result that may be NOT_ASKED; for any other kind, a rule that was not evaluated counts as missing."""


@dataclass(frozen=True, kw_only=True)
class RuleResult:
    """The result of one rule.

    Attributes:
        rule: stable id, ``<kind>/<subject>/<figure>``.
        kind: ``evidence`` comes before everything else: where it fails, no figure counts. ``informational`` decides
            nothing and is NOT_ASKED.
        subject: parameter, space or ``test set``.
        outcome, code: the result; reason, source: the policy's.
        figure_name, figure, low, high: the figure compared with the threshold, and its 95 % interval.
        relation, threshold: ``<=``, ``>=`` or ``<`` and the limit; empty and None where there is no number.
        unit: ``deg``, ``mm``, ``px``, ``margins`` or empty.
        found: what was found, beside or instead of a number (a digest, the reason of an absence).
        group: the patients that the figure is about; ``all`` or ``<grouping>: <group>``.
        n: studies behind the figure, where it is known.
        power: of a comparison, the probability of showing that an equal model is not worse.
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
    """What the policy does not ask, or what cannot be known and need not be: reported, and no pass."""
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
    """Compare a figure with a rule's limit; ``note`` is shown beside a figure that exists."""
    value = {"value": figure.value, "low": figure.low, "high": figure.high}[rule.compare]
    outcome, code = _outcome(value, rule, magnitude=magnitude)
    finite = is_number(value)
    return RuleResult(
        rule=name,
        kind="limit",
        subject=subject,
        outcome=outcome,
        code=code,
        reason=rule.reason,
        source=rule.source,
        figure_name=figure_name if rule.compare == "value" else f"{figure_name} ({rule.compare} end of 95 % interval)",
        figure=float(value) if finite and value is not None else None,
        low=figure.low if is_number(figure.low) else None,
        high=figure.high if is_number(figure.high) else None,
        relation="<=" if rule.at_most is not None else ">=",
        threshold=rule.threshold,
        unit=unit,
        found=note if finite else (figure.absent_reason or f"{value!r} is not a finite number"),
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

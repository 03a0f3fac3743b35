"""The decision table: for each compared parameter the errors of both models, the limit, the difference and the outcome.

The error is the mean absolute error over all patients with a true value. A patient without a prediction counts with the
penalty of the rule that limits the error. The difference is paired by patient, challenger minus champion. There the
penalty of the comparison counts, which can be larger, so that the errors and the difference agree only if no prediction
is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spine.measurement.registry import PARAMETERS
from validation.evaluation.record import EvaluationRecord
from validation.gates.paired import POOLED
from validation.gates.policy import Policy
from validation.gates.rule_kinds import PenalisedRule
from validation.gates.rule_results import RuleResult
from validation.gates.study_rules import evaluate_studies
from validation.gates.subgroups import EVERYBODY
from validation.gates.verdict import SEVERITY, Verdict, decides
from validation.review.rule_table import ABSENT, describe_rule, figure_of, rule_row

MOST_CAUSES = 1
"""The largest number of causes in a cell, so that the table fits a window. The rule table has all of them."""


@dataclass(frozen=True)
class DecisionRow:
    """One parameter as text, or all parameters together.

    Attributes:
        challenger, champion: the mean absolute errors, with the number of missing predictions if there are any.
        limit: the ceiling of the challenger's error.
        difference, interval: the mean paired difference and its 95 % interval.
        allowed: the value below which the upper end of the interval must lie: the margin.
        outcome: the worst outcome of all rules on the parameter.
        causes: the worst rule that did not pass, with figure and limit, and the number of further rules.
    """

    label: str
    challenger: str
    champion: str
    limit: str
    difference: str
    interval: str
    allowed: str
    outcome: str
    causes: tuple[str, ...]


@dataclass(frozen=True)
class DecisionTable:
    """The rows of the compared parameters, the row of all parameters together (None without a champion), the rest.

    ``others`` describes the rules that did not pass and are about no row, such as the landmarks.
    """

    rows: tuple[DecisionRow, ...]
    together: DecisionRow | None
    others: tuple[str, ...]


def decision_table(
    verdict: Verdict, policy: Policy, challenger: EvaluationRecord, champion: EvaluationRecord | None
) -> DecisionTable:
    """The table of a verdict. The parameters are those with a margin, in the order of the policy."""
    names = policy.comparison.margins
    rows = tuple(_row(name, verdict, policy, challenger, champion) for name in names)
    pooled = [r for r in verdict.results if r.subject == POOLED]
    others = [r for r in verdict.refusals if r.subject not in (*names, POOLED)]
    together = _differing("All together", POOLED, verdict, pooled) if champion is not None and pooled else None
    return DecisionTable(rows, together, tuple(_cause(r, named=True) for r in others))


def _row(
    name: str, verdict: Verdict, policy: Policy, challenger: EvaluationRecord, champion: EvaluationRecord | None
) -> DecisionRow:
    row = _differing(PARAMETERS[name].label, name, verdict, [r for r in verdict.results if r.subject == name])
    ceiling = next(
        (r for r in policy.rules if isinstance(r, PenalisedRule) and (r.parameter, r.figure) == (name, "mae")), None
    )
    ours, theirs = _error(name, ceiling, challenger), _error(name, ceiling, champion)
    limit = ABSENT if ceiling is None else f"at most {_figure(ceiling.threshold, name)}"
    return replace(row, challenger=ours, champion=theirs, limit=limit)


def _error(name: str, ceiling: PenalisedRule | None, record: EvaluationRecord | None) -> str:
    if record is None:
        return ABSENT
    statistics = record.statistics[name]
    value = statistics.figures["mae"].value if ceiling is None else evaluate_studies(ceiling, record).figure
    missing = statistics.n_truth - statistics.n
    note = f" ({missing} missing)" if missing else ""
    return ABSENT if value is None else _figure(value, name) + note


def _differing(label: str, subject: str, verdict: Verdict, about: Sequence[RuleResult]) -> DecisionRow:
    """The row with its difference and outcome, and without the errors of the models."""
    found = next((d for d in verdict.differences if (d.subject, d.group) == (subject, EVERYBODY)), None)
    worst = max((r.outcome for r in about), key=SEVERITY.index, default="NOT_ASKED")
    blocking = sorted(about, key=lambda r: -SEVERITY.index(r.outcome))
    causes = [_cause(r) for r in blocking if r.outcome != "PASS" and decides(r)]
    more = len(causes) - MOST_CAUSES
    shown = (*causes[:MOST_CAUSES], *([f"and {more} more"] if more > 0 else ()))
    difference = interval = allowed = ABSENT
    if found is not None:
        difference = _figure(found.mean, subject, sign="+")
        interval = f"{found.low:+.2f} to {found.high:+.2f}".replace("-", "−")
        allowed = f"below {_figure(found.margin + 0.0, subject)}"
    return DecisionRow(label, ABSENT, ABSENT, ABSENT, difference, interval, allowed, worst.replace("_", " "), shown)


def _cause(result: RuleResult, *, named: bool = False) -> str:
    row = rule_row(result)
    what = row.about if named else figure_of(result)
    return describe_rule(row, what)


def _figure(value: float, subject: str, sign: str = "") -> str:
    unit = " margins" if subject == POOLED else {"deg": "°"}.get(PARAMETERS[subject].unit, " mm")
    return f"{value:{sign}.2f}{unit}".replace("-", "−")

"""The challenger's time as a multiple of the champion's time, for the same studies in the same run.

Contract: the figure is the median ratio over the studies that were timed for both models, so a few delayed studies do
not change it. The result is NOT_ASKED without a champion, or if the champion was timed in another run.
"""

from datetime import datetime
from statistics import median

from validation.evaluation.agreement import Figure
from validation.evaluation.record import EvaluationRecord
from validation.gates.policy import is_number
from validation.gates.rule_kinds import CostBesideRule
from validation.gates.rule_results import RuleResult, limit_result, not_asked

RULE = "cost/model/times_the_champion"


def evaluate_cost_beside(
    rule: CostBesideRule, record: EvaluationRecord, champion: EvaluationRecord | None
) -> RuleResult:
    """The result of the rule on the time of a study as a multiple of the champion's time."""
    if champion is None:
        return _not_compared(rule, "there is no champion to compare the time with")
    apart = _hours_apart(record, champion)
    if apart is not None and apart > rule.within_hours:
        limit = f"more than the permitted {rule.within_hours:g}; the two runs may have used different machines"
        return _not_compared(rule, f"evaluations {apart:.0f} hours apart, {limit}")
    theirs = {s.study_id: s.seconds for s in champion.studies}
    pairs = [(s.seconds, theirs.get(s.study_id, 0.0)) for s in record.studies]
    ratios = [ours / other for ours, other in pairs if is_number(ours) and is_number(other) and ours > 0 and other > 0]
    figure = Figure(median(ratios)) if ratios else Figure(None, absent_reason="no study was timed for both models")
    if apart is None:
        figure = Figure(None, absent_reason="a record does not contain the time of its evaluation")
    note = f"median over {len(ratios)} studies that were timed for both models"
    return limit_result(rule, RULE, "model", "time of a study as a multiple of the champion's time", figure, note=note)


def _not_compared(rule: CostBesideRule, found: str) -> RuleResult:
    return not_asked(RULE, "COST_NOT_COMPARED", found=found, reason=rule.reason, subject="model")


def _hours_apart(record: EvaluationRecord, champion: EvaluationRecord) -> float | None:
    """The hours between the two evaluations; None if either time is missing or has no time zone."""
    try:
        ours, theirs = (datetime.fromisoformat(r.evaluated_at) for r in (record, champion))
        return abs((ours - theirs).total_seconds()) / 3600
    except (TypeError, ValueError):
        return None

"""The challenger's time beside the champion's: the same studies, timed in the same run.

Contract: the ratio is the median, over the studies that both answered, of the challenger's seconds in the champion's,
so that a few studies that happened to wait decide nothing; without a champion, or with one that was timed at another
time, it is not asked.
"""

from datetime import datetime
from statistics import median

from validation.evaluation.agreement import Figure
from validation.evaluation.record import EvaluationRecord
from validation.gates.policy import is_number
from validation.gates.rule_kinds import CostBesideRule
from validation.gates.rule_results import RuleResult, limit_result, not_asked

RULE = "cost/model/times_the_champion"


def weigh_cost_beside(rule: CostBesideRule, record: EvaluationRecord, champion: EvaluationRecord | None) -> RuleResult:
    """How many times the champion's time a study takes."""
    if champion is None:
        return _unasked(rule, "there is no champion to be timed beside")
    apart = _hours_apart(record, champion)
    if apart is not None and apart > rule.within_hours:
        found = (
            f"evaluated {apart:.0f} hours apart, more than {rule.within_hours:g}: another run, perhaps another machine"
        )
        return _unasked(rule, found)
    theirs = {s.study_id: s.seconds for s in champion.studies}
    pairs = [(s.seconds, theirs.get(s.study_id, 0.0)) for s in record.studies]
    ratios = [ours / other for ours, other in pairs if _is_time(ours) and _is_time(other)]
    figure = Figure(median(ratios)) if ratios else Figure(None, absent_reason="no study was timed by both")
    if apart is None:
        figure = Figure(None, absent_reason="a record does not say when it was made")
    note = f"median over {len(ratios)} studies that both answered"
    return limit_result(rule, RULE, "model", "time of a study in the champion's", figure, note=note)


def _unasked(rule: CostBesideRule, found: str) -> RuleResult:
    return not_asked(RULE, "COST_NOT_COMPARED", found=found, reason=rule.reason, subject="model")


def _hours_apart(record: EvaluationRecord, champion: EvaluationRecord) -> float | None:
    """Between the two evaluations; None where either does not tell its time, with its offset."""
    try:
        ours, theirs = (datetime.fromisoformat(r.evaluated_at) for r in (record, champion))
        return abs((ours - theirs).total_seconds()) / 3600
    except (TypeError, ValueError):
        return None


def _is_time(seconds: object) -> bool:
    return is_number(seconds) and isinstance(seconds, int | float) and seconds > 0

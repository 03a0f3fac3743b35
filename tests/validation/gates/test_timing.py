"""The challenger's time as a multiple of the champion's: a slower model is refused, and no champion gives NOT_ASKED."""

from dataclasses import replace

import pytest

from tests.validation.gates.records import ruled, with_studies
from validation.evaluation.record import EvaluationRecord
from validation.gates.policy import DEFAULT_POLICY, FRONTAL_RADIOGRAPHS_POLICY, Policy, read_policy
from validation.gates.rule_kinds import CostBesideRule
from validation.gates.rule_results import RuleResult
from validation.gates.timing import evaluate_cost_beside

RULE = CostBesideRule(
    kind="cost_beside_champion", figure="median_seconds", within_hours=12.0, at_most=2.0, reason="a reason for it",
    source="a source of it",
)  # fmt: skip


def times(record: EvaluationRecord, factor: float, n: int = 50) -> EvaluationRecord:
    return with_studies(record, lambda s, i: replace(s, seconds=s.seconds * factor) if i < n else s)


def timed(record: EvaluationRecord, champion: EvaluationRecord | None) -> RuleResult:
    return evaluate_cost_beside(RULE, record, champion)


def test_the_median_study_decides(good: EvaluationRecord, champion: EvaluationRecord) -> None:
    for factor, n, figure, outcome in (
        (1.0, 50, 1.0, "PASS"), (2.0, 50, 2.0, "PASS"), (2.1, 50, 2.1, "REJECT"), (50.0, 24, 1.0, "PASS"),
        (50.0, 26, 50.0, "REJECT"),
    ):  # fmt: skip
        result = timed(times(good, factor, n), champion)
        assert (result.figure, result.outcome) == (pytest.approx(figure), outcome)
    partly = timed(times(good, 0.0, 49), champion)
    assert partly.found == "median over 1 studies that were timed for both models"
    assert timed(times(good, 0.0), champion).outcome == "INSUFFICIENT"
    assert timed(times(good, float("nan")), champion).outcome == "INSUFFICIENT"


def test_without_a_champion_of_the_same_run_it_is_not_asked(good: EvaluationRecord, champion: EvaluationRecord) -> None:
    slow = times(good, 50.0)
    alone = timed(slow, None)
    assert (alone.outcome, alone.kind, alone.code) == ("NOT_ASKED", "informational", "COST_NOT_COMPARED")
    yesterday = replace(champion, evaluated_at="2026-11-22T12:00:00+00:00")
    other = timed(slow, yesterday)
    assert (other.outcome, other.found[:23]) == ("NOT_ASKED", "evaluations 24 hours ap")
    for wrong in ("no time", "2026-11-23T12:00:00"):
        assert timed(slow, replace(champion, evaluated_at=wrong)).outcome == "INSUFFICIENT"


@pytest.mark.parametrize("path", [DEFAULT_POLICY, FRONTAL_RADIOGRAPHS_POLICY], ids=lambda p: p.stem)
def test_the_shipped_policies_have_the_rule(path: object) -> None:
    assert [r.at_most for r in read_policy(path).rules if isinstance(r, CostBesideRule)] == [2.0]  # type: ignore[arg-type]


def test_a_challenger_three_times_as_slow_is_rejected(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord
) -> None:
    assert ruled(policy, good, champion).decision == "PROMOTE"
    slow = ruled(policy, times(good, 3.0), champion)
    assert (slow.decision, [r.rule for r in slow.refusals]) == ("REJECT", ["cost/model/times_the_champion"])
    assert ruled(policy, times(good, 3.0)).decision == "PROMOTE"

"""What was not asked, or cannot be known: an outcome of its own, which weakens nothing and lets nothing through."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from validation.evaluation.record import EvaluationRecord
from validation.gates.policy import Policy
from validation.gates.rule_results import MAY_BE_UNASKED, Kind, Outcome, RuleResult, plain_result
from validation.gates.verdict import Verdict, decide, explain, judge, read_verdict, summarise_verdict, write_verdict

Scored = Callable[..., EvaluationRecord]
AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def result(kind: Kind, outcome: Outcome) -> RuleResult:
    return plain_result(f"{kind}/it/figure", kind, outcome, "SOME_CODE", found="", reason="a reason")


RESULTS = st.lists(
    st.builds(result, st.sampled_from(get_args(Kind)), st.sampled_from(get_args(Outcome))), min_size=1, max_size=6
)


@settings(max_examples=400, deadline=None)
@given(RESULTS)
def test_not_asked_is_never_more_than_a_pass(results: list[RuleResult]) -> None:
    """Whatever is promoted with rules that were not asked is promoted if they had been asked and passed."""
    passed = [replace(r, outcome="PASS") if r.outcome == "NOT_ASKED" else r for r in results]
    assert decide(results) != "PROMOTE" or decide(passed) == "PROMOTE"


@settings(max_examples=400, deadline=None)
@given(RESULTS, st.integers(0, 5))
def test_leaving_a_rule_unasked_never_turns_a_refusal_into_a_promote(results: list[RuleResult], at: int) -> None:
    """A limit, a comparison or evidence that is not weighed is missing; only ``told`` decides nothing."""
    index = at % len(results)
    less = [*results[:index], replace(results[index], outcome="NOT_ASKED"), *results[index + 1 :]]
    asked = results[index].kind not in MAY_BE_UNASKED
    assert not asked or decide(less) != "PROMOTE"
    assert decide([*results, result("told", "NOT_ASKED")]) == decide(results)


def test_alone_they_promote_nothing() -> None:
    assert decide([result("told", "NOT_ASKED")]) == "INSUFFICIENT"
    assert decide([result("limit", "NOT_ASKED"), result("first_champion", "NOT_ASKED")]) == "INSUFFICIENT"
    assert decide([result("limit", "PASS"), result("first_champion", "NOT_ASKED")]) == "PROMOTE"
    assert decide([result("limit", "PASS"), result("comparison", "NOT_ASKED")]) == "INSUFFICIENT"
    assert decide([result("limit", "PASS"), result("told", "NOT_ASKED")]) == "INSUFFICIENT"


def test_no_champion_no_baseline_and_no_spread_are_no_pass(policy: Policy, scored: Scored) -> None:
    assert policy.seeds is not None
    unmeasured = policy.model_copy(update={"seeds": policy.seeds.model_copy(update={"known": {}})})
    verdict = judge(unmeasured, scored(noise=1.0, seed=3), None, judged_at=AT)
    assert verdict.decision == "PROMOTE"
    unasked = {r.code: r.outcome for r in verdict.unasked}
    assert {"FIRST_CHAMPION", "NO_BASELINE", "SEED_SPREAD_UNKNOWN", "SUBGROUPS_TOO_SMALL"} <= unasked.keys()
    assert set(unasked.values()) == {"NOT_ASKED"}
    assert {r.outcome for r in verdict.results if r.kind == "told"} == {"NOT_ASKED"}
    assert len(verdict.passed) + len(verdict.unasked) == len(verdict.results)
    assert "Not asked, not judged or not known" in explain(verdict)
    assert f"{len(unasked)} more were not asked" in summarise_verdict(verdict)


def test_a_verdict_written_before_that_outcome_was_still_reads(policy: Policy, scored: Scored, tmp_path: Path) -> None:
    verdict = judge(policy, scored(noise=1.0, seed=3), None, judged_at=AT)
    old: Verdict = replace(
        verdict, results=tuple(replace(r, outcome="PASS") if r.outcome == "NOT_ASKED" else r for r in verdict.results)
    )
    write_verdict(old, tmp_path / "old.json")
    again = read_verdict(tmp_path / "old.json")
    assert (again.digest, again.decision, again.unasked) == (old.digest, "PROMOTE", ())
    assert "NOT_ASKED" not in (tmp_path / "old.json").read_text()
    assert decide(again.results) == "PROMOTE"

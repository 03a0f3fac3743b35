"""The outcome NOT_ASKED: it weakens no other rule and lets no model pass."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.errors import EvidenceRejected
from tests.validation.gates.records import ruled
from validation.evaluation.record import EvaluationRecord
from validation.evaluation.sealing import read_sealed, write_sealed
from validation.gates.policy import Policy
from validation.gates.rule_results import MAY_BE_UNASKED, Kind, Outcome, RuleResult, plain_result
from validation.gates.verdict import SCHEMA, decide, read_verdict, write_verdict
from validation.gates.verdict_text import explain, summarise_verdict


def result(kind: Kind, outcome: Outcome) -> RuleResult:
    return plain_result(f"{kind}/it/figure", kind, outcome, "SOME_CODE", found="", reason="a reason")


RESULTS = st.lists(
    st.builds(result, st.sampled_from(get_args(Kind)), st.sampled_from(get_args(Outcome))), min_size=1, max_size=6
)


@settings(max_examples=400, deadline=None)
@given(RESULTS)
def test_not_asked_is_never_more_than_a_pass(results: list[RuleResult]) -> None:
    """If results with NOT_ASKED lead to PROMOTE, then the same results with PASS instead do so too."""
    passed = [replace(r, outcome="PASS") if r.outcome == "NOT_ASKED" else r for r in results]
    assert decide(results) != "PROMOTE" or decide(passed) == "PROMOTE"


@settings(max_examples=400, deadline=None)
@given(RESULTS, st.integers(0, 5))
def test_leaving_a_rule_unasked_never_turns_a_refusal_into_a_promote(results: list[RuleResult], at: int) -> None:
    """A limit, a comparison or evidence that is NOT_ASKED counts as missing; ``informational`` changes nothing."""
    index = at % len(results)
    less = [*results[:index], replace(results[index], outcome="NOT_ASKED"), *results[index + 1 :]]
    asked = results[index].kind not in MAY_BE_UNASKED
    assert not asked or decide(less) != "PROMOTE"
    assert decide([*results, result("informational", "NOT_ASKED")]) == decide(results)


def test_unasked_rules_alone_promote_nothing() -> None:
    assert decide([]) == "INSUFFICIENT"
    assert decide([result("informational", "NOT_ASKED")]) == "INSUFFICIENT"
    assert decide([result("limit", "NOT_ASKED"), result("first_champion", "NOT_ASKED")]) == "INSUFFICIENT"
    assert decide([result("limit", "PASS"), result("first_champion", "NOT_ASKED")]) == "PROMOTE"
    assert decide([result("limit", "PASS"), result("comparison", "NOT_ASKED")]) == "INSUFFICIENT"
    assert decide([result("limit", "PASS"), result("informational", "NOT_ASKED")]) == "INSUFFICIENT"


def test_no_champion_no_baseline_and_no_spread_are_no_pass(policy: Policy, good: EvaluationRecord) -> None:
    assert policy.seeds is not None
    unmeasured = policy.model_copy(update={"seeds": policy.seeds.model_copy(update={"known": {}})})
    verdict = ruled(unmeasured, good)
    assert verdict.decision == "PROMOTE"
    unasked = {r.code: r.outcome for r in verdict.unasked}
    assert {"FIRST_CHAMPION", "NO_BASELINE", "SEED_SPREAD_UNKNOWN", "SUBGROUPS_TOO_SMALL"} <= unasked.keys()
    assert set(unasked.values()) == {"NOT_ASKED"}
    assert {r.outcome for r in verdict.results if r.kind == "informational"} == {"NOT_ASKED"}
    assert len(verdict.passed) + len(verdict.unasked) == len(verdict.results)
    assert "not required or not judged" in explain(verdict)
    assert f"{len(unasked)} more were not required" in summarise_verdict(verdict)


def test_a_verdict_of_another_schema_is_refused(policy: Policy, good: EvaluationRecord, tmp_path: Path) -> None:
    """Schema 2 has PASS for these results. Read as schema 3, such a verdict would count rules that nobody required."""
    verdict = ruled(policy, good)
    path = tmp_path / "verdict.json"
    write_verdict(verdict, path)
    assert read_verdict(path) == verdict
    write_sealed("plumbline.verdict/2", read_sealed(SCHEMA, path), path)
    with pytest.raises(EvidenceRejected, match="EVIDENCE_SCHEMA"):
        read_verdict(path)

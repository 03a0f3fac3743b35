"""Comparisons: power, groups of patients, the approved baseline, and the spread between seeds."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from typing import Any

import pytest

from spine.measurement.registry import PAPER_PARAMETERS
from tests.validation.gates.records import B, C, Scored, build_record, codes, ruled, with_outcomes, with_studies
from validation.evaluation.outcomes import ParameterOutcome
from validation.evaluation.record import EvaluationRecord
from validation.gates.comparison import evaluate_comparison
from validation.gates.comparison_terms import SeedSpread
from validation.gates.evidence import Evidence
from validation.gates.policy import Policy
from validation.gates.verdict import read_verdict, write_verdict
from validation.gates.verdict_text import explain


def moved(record: EvaluationRecord, chosen: Callable[[int], bool], degrees: float) -> EvaluationRecord:
    """The record with every prediction of the chosen studies moved away from the true value; its statistics stay."""

    def further(o: ParameterOutcome, study: int) -> ParameterOutcome:
        away = degrees if (o.error or 0) >= 0 else -degrees
        return replace(o, predicted=o.predicted + away) if chosen(study) else o  # type: ignore[operator]

    return with_outcomes(record, further)


@pytest.fixture(scope="module")
def good(scored: Scored) -> EvaluationRecord:
    return scored(noise=0.5, seed=3)


def test_every_comparison_states_its_power(policy: Policy, good: EvaluationRecord, champion: EvaluationRecord) -> None:
    verdict = ruled(policy, good, champion)
    assert verdict.decision == "PROMOTE", explain(verdict)
    stated = [r for r in verdict.results if r.rule.endswith("/paired_loss") and r.kind == "comparison"]
    stated = [r for r in stated if r.rule.startswith("comparison/")]
    assert len(stated) == len(PAPER_PARAMETERS)
    assert all(r.power is not None and 0.8 < r.power <= 1.0 and f"power {r.power:.0%}" in r.found for r in stated)
    planned = {r.subject: r for r in verdict.results if r.rule.endswith("/power")}
    assert planned.keys() == set(PAPER_PARAMETERS)
    assert planned["cobb"].power == pytest.approx(0.943, abs=0.002)  # margin 1, SD 2, 50 patients


def test_a_test_set_too_small_for_the_margin_is_insufficient_not_a_pass(policy: Policy, scored: Scored) -> None:
    """With lower floors, thirty patients pass every other rule. Only the planned power is too small."""
    rules = [r.model_copy(update={"at_least": 5.0}) if r.kind == "test_set" else r for r in policy.rules]
    small = policy.model_copy(update={"rules": rules})
    verdict = ruled(small, scored(noise=0.2, n=30), scored("champion", B, noise=0.4, n=30, seed=2))
    assert verdict.decision == "INSUFFICIENT"
    assert codes(verdict) == {"TOO_FEW_FOR_MARGIN"}
    needed = next(r for r in verdict.refusals if r.subject == "cobb")
    assert (needed.n, "32 are needed" in needed.found) == (30, True)


def test_a_spread_too_wide_to_decide_is_insufficient(policy: Policy, scored: Scored) -> None:
    """The errors of both models are nearly equal and large, so 50 patients are too few to decide."""
    results = evaluate_comparison(
        policy, Evidence(scored(noise=6.5, seed=21), scored("champion", B, noise=6.0, seed=22))
    )
    undecided = [r for r in results if r.code == "UNDERPOWERED"]
    assert undecided
    assert {r.outcome for r in undecided} == {"INSUFFICIENT"}
    assert all("studies are needed to decide" in r.found and (r.power or 1.0) < 0.8 for r in undecided)


def test_a_group_that_fares_worse_is_named(policy: Policy, good: EvaluationRecord, champion: EvaluationRecord) -> None:
    """G11: the challenger has a better mean, but in a group of twenty it is worse by more than two margins."""
    sexes = ["F" if i % 5 < 2 else "M" for i in range(50)]
    ours, theirs = (
        with_studies(record, lambda s, i: replace(s, facts={**s.facts, "sex": sexes[i]})) for record in (good, champion)
    )
    assert ruled(policy, ours, theirs).decision == "PROMOTE"
    hurt = moved(ours, lambda i: sexes[i] == "F", 4.5)
    verdict = ruled(policy, hurt, theirs)
    broken = [r for r in verdict.refusals if r.code == "SUBGROUP_WORSE" and r.kind == "comparison"]
    assert verdict.decision == "REJECT"
    assert {r.group for r in broken} == {"sex: F"}
    assert all(r.n == 20 for r in broken)
    assert "sex: F" in explain(verdict)
    fewer = moved(ours, lambda i: i in (0, 1, 5, 6), 4.5)
    assert not [r for r in ruled(policy, fewer, theirs).refusals if r.group == "sex: M"]


def test_a_first_champion_must_keep_the_ceilings_in_groups(policy: Policy, good: EvaluationRecord) -> None:
    verdict = ruled(policy, moved(good, lambda i: i % 3 == 0 or i % 3 == 1, 0.1))
    assert verdict.decision == "PROMOTE"
    hurt = ruled(policy, moved(good, lambda i: i % 3 > 0, 4.4))
    groups = {(r.subject, r.group) for r in hurt.refusals if r.rule.endswith("/mae") and r.group != "all"}
    assert ("cobb", "condition: scoliosis") in groups
    assert ("cobb", "condition: normal") not in groups


def test_small_groups_are_reported_and_not_judged(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord
) -> None:
    """Seventeen normal patients are fewer than the required twenty, so large errors in this group do not count."""
    verdict = ruled(policy, moved(good, lambda i: i % 3 == 0, 6.0), champion)
    assert not [r for r in verdict.results if r.group == "condition: normal"]
    small = next(d for d in verdict.differences if (d.subject, d.group) == ("cobb", "condition: normal"))
    assert (small.n, small.judged) == (17, False)
    assert small.mean > 2
    assert any("condition: normal (17)" in r.found for r in verdict.results)


def test_small_steps_down_are_stopped_by_the_approved_baseline(policy: Policy) -> None:
    """G12: each model is worse than the one before by 0.8 of the smallest margin, and passes the comparison with it."""
    steps = [build_record("challenger", str(k) * 64, noise=0.3, bias=0.6 * k) for k in range(4)]
    gainless = policy.model_copy(update={"comparison": policy.comparison.model_copy(update={"required_gain": 0.0})})
    approved = replace(steps[0], model_role="baseline")
    outcomes = []
    for before, after in pairwise(steps):
        verdict = ruled(gainless, after, replace(before, model_role="champion"), baseline=approved)
        by_rival = {
            rival: {r.outcome for r in verdict.results if r.rule.endswith(f"/{name}") and r.kind == "comparison"}
            for rival, name in (("champion", "paired_loss"), ("baseline", "baseline_loss"))
        }
        outcomes.append((by_rival["champion"] <= {"PASS"}, "REJECT" in by_rival["baseline"], verdict.decision))
    assert [passed for passed, _, _ in outcomes] == [True, True, True], "never worse than the champion by a margin"
    assert [refused for _, refused, _ in outcomes] == [False, True, True], (
        "but worse than the model that a person approved"
    )
    assert outcomes[-1][2] == "REJECT"


def test_without_a_baseline_the_verdict_reports_it(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord
) -> None:
    verdict = ruled(policy, good, champion)
    assert "no person has approved a model yet" in {r.found for r in verdict.results}
    assert (verdict.baseline_model, verdict.baseline_evidence) == (None, None)
    assert policy.baseline
    strict = policy.baseline.model_copy(update={"absent": "insufficient"})
    refused = ruled(policy.model_copy(update={"baseline": strict}), good, champion)
    assert (refused.decision, codes(refused)) == ("INSUFFICIENT", {"NO_BASELINE"})
    same = ruled(policy, good, champion, baseline=champion)
    assert same.decision == "PROMOTE"
    assert "BASELINE_IS_CHAMPION" in {r.code for r in same.results}


def test_a_baseline_on_other_terms_is_no_evidence(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord, scored: Scored
) -> None:
    """G9, S3: the baseline was evaluated on a larger test set, by other code, or in another role."""
    approved = scored("baseline", C, noise=2.0, seed=4)
    assert ruled(policy, good, champion, baseline=approved).decision == "PROMOTE"
    cases = {
        "OTHER_TEST_SET": scored("baseline", C, noise=2.0, seed=4, n=51),
        "ROLES_SWAPPED": scored("challenger", C, noise=2.0, seed=4),
        "NO_EVIDENCE": replace(approved, studies=()),
    }
    for code, other in cases.items():
        verdict = ruled(policy, good, champion, baseline=other)
        assert verdict.decision == "INSUFFICIENT"
        assert code in codes(verdict)
    grown = ruled(policy, good, scored("champion", B, noise=2.0, seed=2, n=51))
    assert "OTHER_TEST_SET" in codes(grown), "the champion must be evaluated again on the larger test set"


def test_the_seed_spread_is_reported_as_unknown_or_compared_with_the_margins(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord, scored: Scored
) -> None:
    assert policy.seeds
    assert policy.seeds.known.keys() == policy.comparison.margins.keys(), "the default policy knows them all"

    def asking(**changes: Any) -> Policy:
        asked = {"known": {}, "times_spread": 1.0, **changes}
        return policy.model_copy(update={"seeds": policy.seeds.model_copy(update=asked)})  # type: ignore[union-attr]

    unknown = next(r for r in ruled(asking(), good, champion).results if r.code == "SEED_SPREAD_UNKNOWN")
    assert "the spread between seeds is not known for cobb" in unknown.found
    assert codes(ruled(asking(unknown="insufficient"), good, champion)) == {"SEED_SPREAD_UNKNOWN"}
    known = {name: SeedSpread(sd=0.4, source="five fits on virtual patients") for name in PAPER_PARAMETERS}
    verdict = ruled(asking(unknown="insufficient", known=known), good, champion)
    assert verdict.decision == "PROMOTE"
    assert "source: five fits on virtual patients" in " ".join(r.found for r in verdict.results)
    wide = {**known, "pelvic_tilt": SeedSpread(sd=0.8, source="five fits on virtual patients")}
    refused = ruled(asking(known=wide), good, champion)
    assert (refused.decision, codes(refused)) == ("INSUFFICIENT", {"WITHIN_SEED_SPREAD"})


def test_seed_spread_is_measured_on_fits_of_other_seeds(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord, scored: Scored, tmp_path: Any
) -> None:
    near = [scored(model=str(k) * 64, noise=0.5, seed=10 + k) for k in range(3)]
    verdict = ruled(policy, good, champion, other_seeds=tuple(near))
    assert verdict.decision == "PROMOTE"
    assert verdict.seed_evidence == tuple(r.digest for r in near)
    assert sum(r.code == "ABOVE_SEED_SPREAD" for r in verdict.results) == len(PAPER_PARAMETERS)
    write_verdict(verdict, tmp_path / "verdict.json")
    assert read_verdict(tmp_path / "verdict.json") == verdict
    apart = [near[0], scored(model="9" * 64, noise=6.0, seed=9)]
    assert "WITHIN_SEED_SPREAD" in codes(ruled(policy, good, champion, other_seeds=tuple(apart)))
    twins = [near[0], near[0]]
    found = {r.code: r.found for r in ruled(policy, good, champion, other_seeds=tuple(twins)).results}
    assert "fits of other seeds" not in found["ABOVE_SEED_SPREAD"], "one model twice has no spread"
    foreign = ruled(policy, good, champion, other_seeds=(near[0], scored(model="9" * 64, n=51)))
    assert "OTHER_TEST_SET" in codes(foreign)


def test_the_verdict_reports_what_the_policy_does_not_ask(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord
) -> None:
    bare = reduce(lambda p, name: p.model_copy(update={name: None}), ("subgroups", "baseline", "seeds"), policy)
    reported = {r.code for r in ruled(bare, good, champion).results if r.kind == "informational"}
    assert reported == {"SUBGROUPS_NOT_ASKED", "BASELINE_NOT_ASKED", "SEEDS_NOT_ASKED"}


def test_the_text_names_sides_groups_power_and_what_is_not_known(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord
) -> None:
    verdict = ruled(policy, good, champion)
    listed = [line for line in explain(verdict, every_rule=True).splitlines() if line.startswith("- ")]
    assert len(listed) == len(verdict.evaluated) + len(verdict.unasked)
    passed = explain(verdict)
    for phrase in (
        "0 of 50 views are mirrored",
        "50 of 50 true values are inside their 90% intervals",
        "power 100%",
        "source: six fits",
        "no person has approved a model yet",
        "upper bound of the paired difference in a group",
    ):
        assert phrase in passed, phrase
    assert re.search(r"\b(4\d|50) of \1 curves of 10 degrees or more", passed)
    mirrored = with_studies(good, lambda s, _: replace(s, found_side="right"))
    text = explain(ruled(policy, mirrored, champion))
    assert text.startswith("REJECT")
    assert "1 of " in text
    assert re.search(r"\b0 of (4\d|50) curves", text)
    assert "mirroring does not change the size of the Cobb angle" in text

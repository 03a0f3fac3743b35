"""A challenger outside the plan of what a retraining may change needs a person, and nothing else changes."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from tests.validation.gates.records import FACTS, B, Scored, codes, ruled
from validation.evaluation.model_facts import ModelFacts, TrainingFacts, new_patients
from validation.evaluation.record import EvaluationRecord, read_record, write_record
from validation.gates.change_terms import AllowedValues
from validation.gates.comparison_terms import Equal
from validation.gates.policy import DEFAULT_POLICY, FRONTAL_RADIOGRAPHS_POLICY, Policy, read_policy
from validation.promotion.approval import may_be_promoted, needs_approval

assert FACTS.training is not None
TRAINING = FACTS.training


def made(record: EvaluationRecord, facts: ModelFacts | None) -> EvaluationRecord:
    return replace(record, model_facts=facts)


def fitted(**changes: str) -> ModelFacts:
    return replace(FACTS, training=replace(TRAINING, parameters={**TRAINING.parameters, **changes}))


OUTSIDE = {
    "landmark_set": replace(FACTS, landmark_set="margins175"),
    "landmarks": replace(FACTS, landmarks=FACTS.landmarks[:-1]),
    "input_shape": replace(FACTS, input_shape=(1024, 512)),
    "sources": replace(FACTS, training=replace(TRAINING, sources=("aasce", "virtual"))),
    "training_parameters": fitted(learning_rate="0.5"),
}


def test_a_challenger_inside_the_plan_is_promoted(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord
) -> None:
    verdict = ruled(policy, made(good, fitted(learning_rate="0.005")), champion)
    assert verdict.decision == "PROMOTE"
    assert sum(r.code == "INSIDE_CHANGE_PLAN" for r in verdict.passed) == 5
    assert not needs_approval(policy, verdict)


@pytest.mark.parametrize("aspect", OUTSIDE)
def test_a_challenger_outside_the_plan_needs_a_person(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord, aspect: str
) -> None:
    verdict = ruled(policy, made(good, OUTSIDE[aspect]), champion)
    assert (verdict.decision, codes(verdict)) == ("HOLD", {"OUTSIDE_CHANGE_PLAN"})
    assert [r.rule for r in verdict.refusals] == [f"change/model/{aspect}"]
    assert needs_approval(policy, verdict) and may_be_promoted(verdict)


@pytest.mark.parametrize("facts", [None, replace(FACTS, training=None), fitted(learning_rate="fast"),
                                   replace(FACTS, training=replace(TRAINING, parameters={}))])  # fmt: skip
def test_an_unknown_fact_counts_as_outside(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord, facts: ModelFacts | None
) -> None:
    verdict = ruled(policy, made(good, facts), champion)
    assert verdict.decision == "HOLD"
    assert codes(verdict) <= {"CHANGE_UNKNOWN", "OUTSIDE_CHANGE_PLAN"}


@pytest.mark.parametrize("facts", [*OUTSIDE.values(), None])
def test_an_approval_replaces_no_other_rule(
    policy: Policy, scored: Scored, champion: EvaluationRecord, facts: ModelFacts | None
) -> None:
    """Outside the plan no verdict becomes milder: REJECT stays REJECT, and it may not be promoted."""
    bad = scored(noise=6.0, seed=3)
    inside, outside = ruled(policy, bad, champion), ruled(policy, made(bad, facts), champion)
    assert inside.decision == outside.decision == "REJECT"
    assert codes(inside) < codes(outside)
    assert not may_be_promoted(outside)


def test_without_a_champion_nothing_is_changed(policy: Policy, good: EvaluationRecord) -> None:
    verdict = ruled(policy, made(good, OUTSIDE["sources"]))
    assert verdict.decision == "PROMOTE"
    assert "CHANGE_NOT_ASKED" in {r.code for r in verdict.unasked}


def test_without_the_section_the_verdict_says_so(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord
) -> None:
    verdict = ruled(policy.model_copy(update={"change_control": None}), made(good, None), champion)
    assert verdict.decision == "PROMOTE"
    assert "CHANGE_NOT_ASKED" in {r.code for r in verdict.unasked}


def test_the_facts_are_sealed_with_the_record(good: EvaluationRecord, tmp_path: Any) -> None:
    write_record(good, tmp_path / "record.json")
    assert read_record(tmp_path / "record.json").model_facts == FACTS
    assert made(good, OUTSIDE["sources"]).digest != good.digest


def test_allowed_values_are_a_range_or_a_list() -> None:
    between = AllowedValues(at_least=0.1, at_most=1.0)
    assert [between.permits(v) for v in ("0.1", "1.0", "0.09", "1.01", "nan", "none")] == [True] * 2 + [False] * 4
    assert str(between) == "at least 0.1 and at most 1"
    assert AllowedValues(one_of=["shared"]).permits("shared") and not AllowedValues(one_of=["shared"]).permits("other")
    for wrong in ({}, {"at_least": 1.0, "one_of": ["a"]}):
        with pytest.raises(ValidationError):
            AllowedValues(**wrong)  # type: ignore[arg-type]


def test_both_shipped_policies_have_a_plan() -> None:
    for path in (DEFAULT_POLICY, FRONTAL_RADIOGRAPHS_POLICY):
        control = read_policy(path).change_control
        assert control is not None and set(control.same_as_champion) == {"landmark_set", "landmarks", "input_shape"}


EQUAL = Equal(within=0.3, new_patients=2, reason="an equal model that learnt from more data", source="a decision")


def with_new(count: int) -> ModelFacts:
    patients = (*TRAINING.patients, *(f"new{i}" for i in range(count)))
    return replace(FACTS, training=replace(TRAINING, patients=patients))


@pytest.fixture
def lenient(policy: Policy) -> Policy:
    return policy.model_copy(update={"comparison": policy.comparison.model_copy(update={"equal": EQUAL})})


def test_an_equal_model_with_more_data_needs_a_person(lenient: Policy, policy: Policy, scored: Scored) -> None:
    ours, theirs = made(scored(noise=1.0, seed=3), with_new(2)), scored("champion", B, noise=1.0, seed=2)
    verdict = ruled(lenient, ours, theirs)
    assert (verdict.decision, codes(verdict)) == ("HOLD", {"EQUAL_WITH_MORE_DATA"})
    assert may_be_promoted(verdict) and needs_approval(lenient, verdict)
    for other in (
        ruled(policy, ours, theirs),  # the policy has no such path
        ruled(lenient, made(ours, with_new(1)), theirs),  # too few new patients
        ruled(lenient, ours, made(theirs, replace(FACTS, training=None))),  # the champion's patients are not known
        ruled(lenient, made(scored(noise=1.6, seed=3), with_new(2)), theirs),  # not equal
    ):
        assert "NO_GAIN" in codes(other) and not may_be_promoted(other)


def test_a_better_model_needs_no_person(lenient: Policy, good: EvaluationRecord, champion: EvaluationRecord) -> None:
    assert ruled(lenient, made(good, with_new(2)), champion).decision == "PROMOTE"


def test_a_worse_model_never_enters_the_path_of_equal_models(lenient: Policy, scored: Scored) -> None:
    theirs = scored("champion", B, noise=1.0, seed=2)
    verdicts = [ruled(lenient, made(scored(noise=1.0, scale=s, seed=3), with_new(2)), theirs)
                for s in (0.7, 0.9, 1.0, 1.2, 1.5, 2.0, 4.0)]  # fmt: skip
    ranks = [0 if v.decision == "PROMOTE" else 1 if may_be_promoted(v) else 2 for v in verdicts]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}


def test_new_patients_are_those_of_the_challenger_alone() -> None:
    assert new_patients(with_new(3), FACTS) == 3
    assert new_patients(FACTS, with_new(3)) == 0
    assert new_patients(FACTS, None) is None
    assert new_patients(FACTS, replace(FACTS, training=TrainingFacts((), (), {}))) == 2

"""Groups of patients: the groups of each study, and the paired differences in each group."""

from dataclasses import replace

import numpy as np
import pytest

from tests.validation.gates.records import Scored, with_outcomes
from validation.evaluation.record import EvaluationRecord
from validation.gates.paired import paired_difference, patients_needed, pooled_difference, power_at
from validation.gates.policy import Policy
from validation.gates.subgroups import groups_of, paired_differences


def test_groups_follow_from_facts_and_truth_alone(scored: Scored) -> None:
    good, bad = scored(noise=0.5), scored(noise=30.0, abstain=9)
    assert [groups_of(s) for s in good.studies] == [groups_of(s) for s in bad.studies]
    by_truth = {round(s.parameter("cobb").truth or 0): groups_of(s)["severity"] for s in good.studies}
    assert by_truth[min(by_truth)] != by_truth[max(by_truth)]
    assert set(by_truth.values()) <= {"Cobb below 10", "Cobb 10 to 25", "Cobb 25 to 45", "Cobb 45 and more"}


def test_every_parameter_and_group_has_its_difference(
    policy: Policy, good: EvaluationRecord, champion: EvaluationRecord
) -> None:
    rows = {(d.subject, d.group): d for d in paired_differences(good, champion, policy)}
    groups = {group for _, group in rows}
    assert {"all", "condition: normal", "condition: scoliosis", "severity: Cobb 25 to 45"} <= groups
    assert {subject for subject, _ in rows} == {*policy.comparison.margins, "all parameters"}
    whole = paired_difference(good, champion, "cobb", policy.comparison)
    assert whole is not None
    cobb = rows["cobb", "all"]
    assert (cobb.n, cobb.mean, cobb.low, cobb.high) == (whole.n, whole.mean, whole.low, whole.high)
    assert (cobb.unit, cobb.margin) == ("deg", 1.0)
    parts = [rows["cobb", f"condition: {name}"] for name in ("normal", "scoliosis")]
    assert sum(d.n for d in parts) == cobb.n == 50
    assert sum(d.n * d.mean for d in parts) / 50 == pytest.approx(cobb.mean)
    pooled = pooled_difference(good, champion, policy.comparison)
    assert pooled is not None and rows["all parameters", "all"].high == pooled.high


def test_a_bound_covers_the_true_difference_as_often_as_claimed(policy: Policy, scored: Scored) -> None:
    """For equal models, the upper bound of the group of about 33 lies below 0 in about 2.5 % of the cases."""
    quick = policy.model_copy(update={"comparison": policy.comparison.model_copy(update={"resamples": 1000})})
    ours, theirs = scored(), scored("champion", "b" * 64)
    below = 0
    for seed in range(60):
        one, other = (with_errors(record, seed + offset) for record, offset in ((ours, 0), (theirs, 1000)))
        rows = {(d.subject, d.group): d for d in paired_differences(one, other, quick)}
        below += rows["cobb", "condition: scoliosis"].high < 0
    assert below <= 6


def with_errors(record: EvaluationRecord, seed: int) -> EvaluationRecord:
    """The record with new random errors of 1 degree."""
    random = np.random.default_rng(seed)
    return with_outcomes(record, lambda o, _: replace(o, predicted=(o.truth or 0) + random.normal()))


def test_power_is_that_of_the_normal_test() -> None:
    """docs/sources.md: at an SD of 2.5, a power of 80 % takes 50 patients for a margin of 1.0 and 197 for 0.5."""
    assert patients_needed(1.0, 2.5, 0.8) == 50
    assert patients_needed(0.5, 2.5, 0.8) == 197
    assert power_at(1.0, 2.5 / np.sqrt(50)) == pytest.approx(0.807, abs=0.002)
    assert power_at(1.0, 0.0) == 1.0

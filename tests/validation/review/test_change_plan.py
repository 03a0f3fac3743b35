"""The change control plan has the numbers of the policy, and the same content as Markdown and as JSON."""

import json

import pytest

from spine.measurement.registry import PARAMETERS
from validation.gates.comparison_terms import Equal
from validation.gates.policy import DEFAULT_POLICY, FRONTAL_RADIOGRAPHS_POLICY, Policy, read_policy
from validation.review.change_plan import change_plan, planned_parameters
from validation.review.change_plan_text import plan_json, plan_markdown

DATA = {"source of the studies": "virtual"}


@pytest.mark.parametrize("path", [DEFAULT_POLICY, FRONTAL_RADIOGRAPHS_POLICY])
def test_every_rule_and_margin_of_the_policy_is_in_the_plan(path) -> None:  # type: ignore[no-untyped-def]
    policy = read_policy(path)
    plan = change_plan(policy, DATA)
    assert len(plan.limits) == len(policy.rules)
    for rule, limit in zip(policy.rules, plan.limits, strict=True):
        assert f" {rule.threshold:g}" in limit.limit
        assert (limit.reason, limit.source) == (rule.reason, rule.source)
    planned = {c.subject: c.limit for c in plan.comparisons if c.test.startswith("paired difference from the champion")}
    for name, margin in policy.comparison.margins.items():
        assert planned[PARAMETERS[name].label] == f"below {margin.margin:g} deg"
    text = plan_markdown(plan)
    for limit in (*plan.limits, *plan.comparisons):
        assert limit.limit in text and " ".join(limit.reason.split()).replace("|", "\\|") in text
    assert policy.hash in text


def test_the_envelope_is_in_the_plan(policy: Policy) -> None:
    plan = change_plan(policy, DATA)
    assert plan.modifications["input shape"] == "must stay as in the champion"
    assert plan.modifications["training parameter learning_rate"] == "at least 1e-06 and at most 0.005"
    assert "virtual, folder" in plan.modifications["training studies"]
    assert "OUTSIDE_CHANGE_PLAN" in plan_markdown(plan)
    bare = change_plan(policy.model_copy(update={"change_control": None}), DATA)
    assert not bare.modifications
    assert "OUTSIDE_CHANGE_PLAN" not in plan_markdown(bare)


def test_json_and_markdown_have_the_same_content(policy: Policy) -> None:
    plan = change_plan(policy, DATA)
    stored = json.loads(plan_json(plan))
    assert stored["schema"] == "plumbline.change_plan/1"
    assert len(stored["limits"]) == len(plan.limits)
    text = plan_markdown(plan)
    for value in (*stored["modifications"].values(), *stored["outside"], *stored["update"], *stored["data"].values()):
        assert value in text


def test_the_path_of_equal_models_is_in_the_plan(policy: Policy) -> None:
    equal = Equal(within=0.3, new_patients=20, reason="an equal model with more data", source="a decision")
    lenient = policy.model_copy(update={"comparison": policy.comparison.model_copy(update={"equal": equal})})
    assert "below 0.3 margins, with 20 new training patients and an approval" in plan_markdown(
        change_plan(lenient, DATA)
    )


def test_parameters_outside_the_plan_are_named(policy: Policy) -> None:
    assert planned_parameters(policy, {"learning_rate": "0.001", "minutes": "900"}) == []
    (line,) = planned_parameters(policy, {"learning_rate": "0.5"})
    assert line == "learning_rate is 0.5; the plan permits at least 1e-06 and at most 0.005"

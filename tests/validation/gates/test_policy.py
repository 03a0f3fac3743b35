"""The policy file: shipped ones are sound, typos and holes are refused, the hash follows the meaning."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from spine.errors import ParametersRejected
from spine.measurement.registry import PAPER_PARAMETERS
from validation.gates.policy import DEFAULT_POLICY, FRONTAL_FILMS_POLICY, Policy, read_policy
from validation.gates.rule_kinds import ParameterRule


def ceilings(policy: Policy) -> dict[str, float]:
    return {
        rule.parameter: rule.threshold
        for rule in policy.rules
        if isinstance(rule, ParameterRule) and rule.figure == "standard_error_of_estimate"
    }


def test_default_asks_for_the_papers_level_on_every_parameter() -> None:
    """Published: 2.7 and 11.5. The others: SD of the difference of two readers, inside the published range."""
    found = ceilings(read_policy(DEFAULT_POLICY))
    assert found == {
        "pelvic_tilt": 2.7,
        "lumbar_lordosis_l1_l5": 11.5,
        "cobb": round(7.2 / 1.96, 1),
        "thoracic_kyphosis_t4_t12": round(8.7 / 1.96, 1),
        "sacral_slope": round(11 / 1.96, 1),
        "pelvic_incidence": round(14 / 1.96, 1),
    }
    assert found.keys() == set(PAPER_PARAMETERS)
    assert all(2.7 <= ceiling <= 11.5 for ceiling in found.values())


def test_frontal_films_judge_cobb_alone_on_real_patients() -> None:
    policy = read_policy(FRONTAL_FILMS_POLICY)
    assert ceilings(policy).keys() == {"cobb"} == policy.comparison.margins.keys()
    assert policy.evidence.patients == "real"


@pytest.mark.parametrize("path", [DEFAULT_POLICY, FRONTAL_FILMS_POLICY], ids=lambda p: p.stem)
def test_every_rule_states_reason_and_source(path: Path) -> None:
    policy = read_policy(path)
    assert policy.name == path.stem
    for rule in [*policy.rules, *policy.comparison.margins.values()]:
        assert len(rule.reason) > 20 and len(rule.source) > 8, rule


def edited(change: Any) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(DEFAULT_POLICY.read_text())
    change(content)
    return content


def see(content: dict[str, Any]) -> dict[str, Any]:
    return next(r for r in content["rules"] if r.get("figure") == "standard_error_of_estimate")  # type: ignore[no-any-return]


def drop(content: dict[str, Any], **wanted: str) -> None:
    content["rules"] = [r for r in content["rules"] if any(r.get(k) != v for k, v in wanted.items())]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.update(treshold=3), "treshold"),
        (lambda c: see(c).update(at_mots=3.0), "at_mots"),
        (lambda c: see(c).update(parameter="cob"), "unknown parameter"),
        (lambda c: see(c).update(figure="see"), "unknown figure"),
        (lambda c: see(c).update(kind="parametre"), "kind"),
        (lambda c: see(c).update(at_most=float("nan")), "finite"),
        (lambda c: see(c).update(at_most=float("inf")), "finite"),
        (lambda c: see(c).update(at_most="3.7"), "number"),
        (lambda c: see(c).update(at_least=1.0), "exactly one"),
        (lambda c: see(c).pop("at_most"), "exactly one"),
        (lambda c: see(c).update(compare="low"), "cautious end"),
        (lambda c: see(c).update(reason=""), "reason"),
        (lambda c: see(c).pop("source"), "source"),
        (lambda c: c.update(rules=[]), "rules"),
        (lambda c: drop(c, figure="standard_error_of_estimate"), "without any error ceiling"),
        (lambda c: drop(c, figure="coverage", kind="parameter"), "coverage floor can be gamed"),
        (lambda c: drop(c, kind="truths"), "least number of truths"),
        (lambda c: drop(c, kind="test_set"), "least size"),
        (lambda c: c["comparison"].update(margins={}), "margins"),
        (lambda c: c["comparison"]["margins"]["cobb"].update(margin=0.0), "greater than 0"),
        (lambda c: c["first_champion"].update(decision="yes"), "decision"),
        (lambda c: c.pop("comparison"), "comparison"),
        (lambda c: c.update(schema="plumbline.policy/2"), "schema"),
    ],
)
def test_holes_and_typos_are_refused(tmp_path: Path, change: Any, says: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(edited(change)))
    with pytest.raises(ParametersRejected) as refusal:
        read_policy(path)
    assert refusal.value.code == "POLICY_INVALID"
    assert says in refusal.value.found


@pytest.mark.parametrize(
    ("text", "code"), [("a: [", "POLICY_UNREADABLE"), ("", "POLICY_INVALID"), ("- 1", "POLICY_INVALID")]
)
def test_unreadable_files(tmp_path: Path, text: str, code: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(ParametersRejected, match=code):
        read_policy(path)
    with pytest.raises(ParametersRejected, match="POLICY_MISSING"):
        read_policy(tmp_path / "none.yaml")


def test_hash_follows_the_meaning_not_the_layout(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    original = read_policy(DEFAULT_POLICY).hash
    path.write_text(yaml.safe_dump(edited(lambda c: None)))
    assert read_policy(path).hash == original, "comments, order and quotes do not matter"
    for change in (
        lambda c: see(c).update(at_most=3.71),
        lambda c: see(c).update(reason="another reason, quite another"),
        lambda c: c.update(version=99),
        lambda c: c["comparison"].update(seed=1),
    ):
        path.write_text(yaml.safe_dump(edited(change)))
        assert read_policy(path).hash != original

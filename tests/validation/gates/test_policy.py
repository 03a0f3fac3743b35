"""The policy file: shipped ones are sound, typos and holes are refused, the hash follows the meaning."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from spine.errors import ParametersRejected
from spine.measurement.registry import PAPER_PARAMETERS
from validation.gates.policy import DEFAULT_POLICY, FRONTAL_RADIOGRAPHS_POLICY, Policy, read_policy
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


def test_frontal_radiographs_judge_cobb_alone_on_real_patients() -> None:
    policy = read_policy(FRONTAL_RADIOGRAPHS_POLICY)
    assert ceilings(policy).keys() == {"cobb"} == policy.comparison.margins.keys()
    assert policy.evidence.patients == "real"


@pytest.mark.parametrize("path", [DEFAULT_POLICY, FRONTAL_RADIOGRAPHS_POLICY], ids=lambda p: p.stem)
def test_every_rule_states_reason_and_source(path: Path) -> None:
    policy = read_policy(path)
    assert policy.name == path.stem
    sections = [policy.comparison.power, policy.subgroups, policy.baseline]
    for stated in [*policy.rules, *policy.comparison.margins.values(), *sections]:
        assert stated is not None
        assert len(stated.reason) > 20 and len(stated.source) > 8, stated
    assert policy.seeds and len(policy.seeds.reason) > 20


def edited(change: Any) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(DEFAULT_POLICY.read_text())
    change(content)
    return content


def see(content: dict[str, Any]) -> dict[str, Any]:
    return next(r for r in content["rules"] if r.get("figure") == "standard_error_of_estimate")  # type: ignore[no-any-return]


def rule(content: dict[str, Any], kind: str, **wanted: str) -> dict[str, Any]:
    matching = (r for r in content["rules"] if r["kind"] == kind and all(r[k] == v for k, v in wanted.items()))
    return next(matching)  # type: ignore[no-any-return]


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
        (lambda c: rule(c, "penalised").update(penalty=0.0), "greater than 0"),
        (lambda c: rule(c, "penalised").update(figure="mean"), "figure"),
        (lambda c: rule(c, "penalised", figure="mae").update(figure="explained"), "a floor"),
        (lambda c: rule(c, "penalised").pop("penalty"), "penalty"),
        (lambda c: rule(c, "curve_side").update(least=0), "least"),
        (lambda c: rule(c, "curve_side").update(at_leest=1.0), "at_leest"),
        (lambda c: rule(c, "orientation").pop("reason"), "reason"),
        (lambda c: rule(c, "intervals").update(parameter="cob"), "unknown parameter"),
        (lambda c: rule(c, "failures").update(parameters=[]), "parameters"),
        (lambda c: rule(c, "cost").update(figure="price"), "figure"),
        (lambda c: c["subgroups"].update(by=["colour"]), "by"),
        (lambda c: c["subgroups"].update(by=[]), "by"),
        (lambda c: c["subgroups"].update(minimum=3), "minimum"),
        (lambda c: c["subgroups"]["mae_at_most"].update(cobb_midline=3.0), "without a margin: cobb_midline"),
        (lambda c: c["subgroups"].update(times_margin=float("inf")), "finite"),
        (lambda c: c["baseline"].update(absent="pass"), "absent"),
        (lambda c: c["baseline"].pop("source"), "source"),
        (lambda c: c["seeds"].update(unknown="allowed"), "unknown"),
        (lambda c: c["seeds"].update(known={"cobb": {"sd": 0.1}}), "source"),
        (lambda c: c["comparison"]["power"].update(at_least=1.0), "less than 1"),
        (lambda c: c["comparison"]["margins"]["cobb"].pop("planned_sd"), "planned_sd of cobb"),
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


@pytest.mark.parametrize(
    ("found", "twice"),
    [
        ("    at_most: 3.7\n", "    at_most: 3.7\n    at_most: 99.0\n"),
        ("  required_gain: 0.02\n", "  required_gain: 0.02\n  required_gain: 0.0\n"),
        ("version: 3\n", "version: 3\nversion: 4\n"),
    ],
)
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, found: str, twice: str) -> None:
    """YAML lets the later of two limits win without a word."""
    path = tmp_path / "policy.yaml"
    text = DEFAULT_POLICY.read_text()
    assert found in text
    path.write_text(text.replace(found, twice, 1))
    assert yaml.safe_load(path.read_text()), "the plain reader sees nothing"
    with pytest.raises(ParametersRejected, match="POLICY_UNREADABLE") as refusal:
        read_policy(path)
    assert "stands twice" in refusal.value.found


def test_a_policy_cannot_make_objects(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("!!python/object/apply:os.system ['true']\n")
    with pytest.raises(ParametersRejected, match="POLICY_UNREADABLE"):
        read_policy(path)


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


@pytest.mark.parametrize("section", ["evidence", "first_champion", "rules", "comparison"])
def test_what_a_gate_needs_cannot_be_left_out(section: str, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(edited(lambda c: c.pop(section))))
    with pytest.raises(ParametersRejected, match="POLICY_INVALID") as refused:
        read_policy(tmp_path / "p.yaml")
    assert f"{section}: must be there" in refused.value.found
    assert "only subgroups, baseline, seeds, approval, virtual_study may be left out" in refused.value.found


@pytest.mark.parametrize("section", ["subgroups", "baseline", "seeds"])
def test_what_may_be_left_out_is_not_filled_in(section: str, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(edited(lambda c: c.pop(section, None))))
    assert getattr(read_policy(tmp_path / "p.yaml"), section) is None


@pytest.mark.parametrize(
    ("text", "said"), [("", "the file is empty"), ("# nothing\n", "the file is empty"), ("- a\n", "the whole file: ")]
)
def test_a_file_that_is_no_policy_at_all_is_called_so(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ParametersRejected, match="POLICY_INVALID") as refusal:
        read_policy(path)
    assert refusal.value.found.startswith(f"mine.yaml: {said}")

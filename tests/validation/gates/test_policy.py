"""The policy file: the shipped policies are complete, mistakes are refused, and the hash follows the content."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from spine.errors import ParametersRejected
from spine.measurement.registry import PAPER_PARAMETERS
from validation.gates.policy import DEFAULT_POLICY, FRONTAL_RADIOGRAPHS_POLICY, Policy, read_policy
from validation.gates.rule_kinds import ParameterRule

VERSION = f"version: {read_policy(DEFAULT_POLICY).version}\n"


def ceilings(policy: Policy) -> dict[str, float]:
    return {
        rule.parameter: rule.threshold
        for rule in policy.rules
        if isinstance(rule, ParameterRule) and rule.figure == "standard_error_of_estimate"
    }


def test_default_policy_requires_the_papers_level_in_every_parameter() -> None:
    """2.7 and 11.5 are published. The others are SDs of the difference of two readers, inside the published range."""
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


def dumped(content: Any) -> str:
    """The content as YAML without comments and in another layout. The parameters of a rule keep their order."""
    return yaml.safe_dump(content, sort_keys=False)


def reorder_keys(content: dict[str, Any]) -> None:
    content["rules"] = [dict(reversed(r.items())) for r in content["rules"]]
    for key in sorted(content):
        content[key] = content.pop(key)


def see(content: dict[str, Any]) -> dict[str, Any]:
    return next(r for r in content["rules"] if r.get("figure") == "standard_error_of_estimate")  # type: ignore[no-any-return]


def rule(content: dict[str, Any], kind: str, **wanted: str) -> dict[str, Any]:
    matching = (r for r in content["rules"] if r["kind"] == kind and all(r[k] == v for k, v in wanted.items()))
    return next(matching)  # type: ignore[no-any-return]


def drop(content: dict[str, Any], **wanted: str) -> None:
    content["rules"] = [r for r in content["rules"] if any(r.get(k) != v for k, v in wanted.items())]


def figure(content: dict[str, Any], name: str) -> dict[str, Any]:
    return rule(content, "penalised")["figures"][name]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(treshold=3), "treshold: unknown key"),
        (lambda c: see(c).update(at_mots=3.0), "at_mots: unknown key"),
        (
            lambda c: see(c).update(at_most={"cob": 3.7}, reason="a reason for it", source="a source"),
            "unknown parameter 'cob'",
        ),
        (lambda c: see(c).update(figure="see"), "rule 3 (parameter see), cobb, figure: unknown figure 'see'"),
        (lambda c: see(c).update(kind="parametre"), "unknown kind 'parametre'; the known kinds are"),
        (lambda c: see(c)["at_most"].update(cobb=float("nan")), "cobb, at_most: Input should be a finite number"),
        (lambda c: see(c)["at_most"].update(cobb=float("inf")), "cobb, at_most: Input should be a finite number"),
        (lambda c: see(c)["at_most"].update(cobb="3.7"), "number"),
        (lambda c: see(c).update(at_least=1.0), "exactly one"),
        (lambda c: see(c).pop("at_most"), "exactly one"),
        (lambda c: see(c).update(compare="low"), "cautious end"),
        (lambda c: see(c).update(reason=""), "reason"),
        (lambda c: see(c).pop("source"), "source"),
        (lambda c: c.update(rules=[]), "rules"),
        (lambda c: drop(c, figure="standard_error_of_estimate"), "needs an error ceiling"),
        (lambda c: drop(c, figure="coverage", kind="parameter"), "needs a coverage floor; it is missing for"),
        (lambda c: drop(c, kind="truths"), "needs a minimum number of truths; it is missing for"),
        (lambda c: drop(c, kind="test_set"), "minimum size"),
        (lambda c: c["comparison"].update(margins={}), "margins"),
        (
            lambda c: c["comparison"]["margins"]["margin"].update(cobb=0.0),
            "margins.cobb.margin: Input should be greater",
        ),
        (lambda c: c["first_champion"].update(decision="yes"), "decision"),
        (lambda c: c.pop("comparison"), "comparison"),
        (lambda c: c.update(schema="plumbline.policy/1"), "schema"),
        (lambda c: rule(c, "penalised")["penalty"].update(cobb=0.0), "cobb, rmse, penalty: Input should be greater"),
        (lambda c: rule(c, "penalised")["figures"].update(mean=figure(c, "mae")), "cobb, mean, figure"),
        (lambda c: rule(c, "penalised")["figures"].update(explained=figure(c, "mae")), "a floor"),
        (lambda c: rule(c, "penalised").pop("penalty"), "rule 9 (penalised): a penalised rule needs a penalty"),
        (lambda c: rule(c, "penalised").pop("figures"), "needs figures"),
        (lambda c: rule(c, "penalised").update(figures={"rmse": 3.0}), "needs figures"),
        (lambda c: rule(c, "curve_side").update(min_curves=0), "min_curves"),
        (lambda c: rule(c, "curve_side").update(at_leest=1.0), "at_leest"),
        (lambda c: rule(c, "orientation").pop("reason"), "reason"),
        (lambda c: rule(c, "intervals").update(parameters=["cob"]), "unknown parameter"),
        (lambda c: rule(c, "failures").update(parameters=[]), "parameters"),
        (lambda c: rule(c, "cost").update(figure="price"), "figure"),
        (lambda c: c["subgroups"].update(by=["colour"]), "by"),
        (lambda c: c["subgroups"].update(by=[]), "by"),
        (lambda c: c["subgroups"].update(minimum=3), "minimum"),
        (lambda c: c["subgroups"]["mae_at_most"].update(cobb_midline=3.0), "it is missing for cobb_midline"),
        (lambda c: c["subgroups"].update(times_margin=float("inf")), "finite"),
        (lambda c: c["baseline"].update(absent="pass"), "absent"),
        (lambda c: c["baseline"].pop("source"), "source"),
        (lambda c: c["seeds"].update(unknown="allowed"), "unknown"),
        (lambda c: c["seeds"]["known"].pop("source"), "known.cobb.source: is missing"),
        (lambda c: c["comparison"]["power"].update(at_least=1.0), "less than 1"),
        (lambda c: c["comparison"]["margins"].pop("planned_sd"), "planned_sd for cobb"),
    ],
)
def test_gaps_and_typos_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    assert message in refused(tmp_path, edited(change))


def refused(tmp_path: Path, content: Any) -> str:
    """The violations that the refusal of a policy with this content lists."""
    return found_in(tmp_path, dumped(content), "POLICY_INVALID")


def found_in(tmp_path: Path, text: str, code: str) -> str:
    """The finding of the refusal of a policy file with this text."""
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(ParametersRejected) as refusal:
        read_policy(path)
    assert refusal.value.code == code
    return str(refusal.value.found)


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [
        ("a: [", "POLICY_UNREADABLE", "policy.yaml: "),
        ("!!python/object/apply:os.system ['true']\n", "POLICY_UNREADABLE", "policy.yaml: "),
        ("", "POLICY_INVALID", "policy.yaml: the file is empty"),
        ("# nothing\n", "POLICY_INVALID", "policy.yaml: the file is empty"),
        ("- a\n", "POLICY_INVALID", "policy.yaml: the whole file: "),
    ],
)
def test_a_file_without_a_policy_is_refused(tmp_path: Path, text: str, code: str, found: str) -> None:
    """The second file would make an object: reading it runs no code."""
    assert found_in(tmp_path, text, code).startswith(found)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParametersRejected, match="POLICY_MISSING"):
        read_policy(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("found", "repeated"),
    [
        ("{cobb: 3.7, thoracic", "{cobb: 3.7, cobb: 99.0, thoracic"),
        ("  required_gain: 0.02\n", "  required_gain: 0.02\n  required_gain: 0.0\n"),
        (VERSION, VERSION + "version: 99\n"),
    ],
)
def test_a_repeated_key_is_refused(tmp_path: Path, found: str, repeated: str) -> None:
    """In plain YAML, the second of two limits silently replaces the first."""
    text = DEFAULT_POLICY.read_text().replace(found, repeated, 1)
    assert repeated in text and yaml.safe_load(text), "the plain reader accepts it"
    assert "is repeated" in found_in(tmp_path, text, "POLICY_UNREADABLE")


def test_hash_follows_the_meaning_not_the_layout(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    original = read_policy(DEFAULT_POLICY).hash
    path.write_text(dumped(edited(reorder_keys)))
    assert read_policy(path).hash == original, "comments, the order of keys and quotes do not matter"
    for change in (
        lambda c: see(c)["at_most"].update(cobb=3.71),
        lambda c: see(c).update(reason="another reason, quite another"),
        lambda c: c.update(version=99),
        lambda c: c["comparison"].update(seed=1),
    ):
        path.write_text(dumped(edited(change)))
        assert read_policy(path).hash != original


@pytest.mark.parametrize("section", ["evidence", "first_champion", "rules", "comparison"])
def test_required_sections_cannot_be_left_out(section: str, tmp_path: Path) -> None:
    found = refused(tmp_path, edited(lambda c: c.pop(section)))
    assert f"{section}: is missing" in found
    assert "only subgroups, baseline, seeds, change_control, shadow, approval, virtual_study may be omitted" in found


@pytest.mark.parametrize("section", ["subgroups", "baseline", "seeds"])
def test_optional_sections_are_not_filled_in(section: str, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(dumped(edited(lambda c: c.pop(section, None))))
    assert getattr(read_policy(tmp_path / "p.yaml"), section) is None


def test_the_default_policy_requires_no_approval_and_hashes_a_written_section(tmp_path: Path) -> None:
    policy = read_policy(DEFAULT_POLICY)
    assert policy.approval.required == "never"
    content = yaml.safe_load(DEFAULT_POLICY.read_text())
    content["approval"] = {"required": "never", "ttl_hours": 48.0, "reason": "a person answers for it"}
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(content))
    assert read_policy(path).hash != policy.hash
    path.write_text(path.read_text().replace("ttl_hours", "ttl_houres"))
    with pytest.raises(ParametersRejected, match="POLICY_INVALID"):
        read_policy(path)

"""Expansion of rules for many parameters: the limits of the shipped policies, and errors with their place."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from spine.measurement.registry import PAPER_PARAMETERS
from tests.validation.gates.test_policy import dumped, edited, figure, refused, rule, see
from validation.gates.expansion import for_each_parameter
from validation.gates.policy import DEFAULT_POLICY, FRONTAL_RADIOGRAPHS_POLICY, Policy, read_policy
from validation.gates.rule_kinds import Bound

SIX = ("cobb", "thoracic_kyphosis_t4_t12", "lumbar_lordosis_l1_l5", "pelvic_incidence", "sacral_slope", "pelvic_tilt")

TABLE: dict[str, tuple[tuple[float, ...], str]] = {
    # figure: the limits of the six parameters, in their order above, and the direction
    "truths": ((25.0,) * 6, "at_least"),
    "parameter standard_error_of_estimate": ((3.7, 4.4, 11.5, 7.1, 5.6, 2.7), "at_most"),
    "parameter bias": ((3.7, 4.4, 5.0, 5.0, 5.0, 2.7), "at_most"),
    "parameter icc_a1": ((0.5,) * 6, "at_least"),
    "parameter coverage": ((0.9,) * 6, "at_least"),
    "penalised rmse": ((3.514, 4.179, 10.924, 6.744, 5.319, 2.564), "at_most"),
    "penalised mae": ((3.7, 4.4, 5.0, 5.0, 5.0, 2.7), "at_most"),
    "penalised p95": ((7.4, 8.8, 23.0, 14.2, 11.2, 5.4), "at_most"),
    "penalised explained": ((0.5,) * 6, "at_least"),
    "intervals": ((0.75,) * 6, "at_least"),
    "interval_score": ((17.6, 20.9, 31.3, 31.3, 26.6, 12.8), "at_most"),
}
PENALTIES = {
    "penalised": (7.4, 8.8, 23.0, 14.2, 11.2, 5.4),
    "interval_score": (70.4, 83.6, 125.2, 125.2, 106.4, 51.2),
}
OTHERS: list[dict[str, Any]] = [
    {"kind": "test_set", "figure": "patients", "at_least": 40.0},
    {"kind": "landmarks", "space": "any_view", "group": "all", "figure": "coverage", "at_least": 0.95},
    {"kind": "level_shift", "at_most": 0.1},
    {"kind": "landmarks", "space": "any_view", "group": "all", "figure": "mean_mm", "at_most": 5.0},
    {"kind": "penalised_landmarks", "space": "any_view", "penalty_mm": 20.0, "at_most": 4.75},
    {"kind": "curve_side", "min_cobb_deg": 10.0, "min_curves": 10, "at_least": 0.95},
    {"kind": "orientation", "at_least": 0.95},
    {"kind": "failures", "parameters": list(SIX), "at_most": 0.15},
    {"kind": "cost", "figure": "p95_seconds", "at_most": 30.0},
    {"kind": "cost", "figure": "model_mb", "at_most": 500.0},
    {"kind": "cost_beside_champion", "figure": "median_seconds", "within_hours": 12.0, "at_most": 2.0},
]
ORDER = [
    "test_set patients", "truths", "parameter standard_error_of_estimate", "parameter bias", "parameter icc_a1",
    "parameter coverage", "landmarks coverage", "level_shift", "penalised", "landmarks mean_mm", "penalised_landmarks",
    "curve_side", "orientation", "failures", "intervals", "interval_score", "cost p95_seconds", "cost model_mb",
    "cost_beside_champion median_seconds",
]  # fmt: skip
"""The order of the results in the report and in `plumbline explain`."""


def label(bound: Bound) -> str:
    return " ".join(filter(None, (bound.kind, getattr(bound, "figure", ""))))  # type: ignore[attr-defined]


def limits(policy: Policy) -> dict[str, dict[str, tuple[float, str]]]:
    """Figure -> parameter -> (limit, direction)."""
    found: dict[str, dict[str, tuple[float, str]]] = {}
    for bound in policy.rules:
        if parameter := getattr(bound, "parameter", None):
            direction = "at_most" if bound.at_most is not None else "at_least"
            assert parameter not in found.setdefault(label(bound), {})
            found[label(bound)][parameter] = (bound.threshold, direction)
    return found


def test_the_default_policy_expands_to_these_limits() -> None:
    policy = read_policy(DEFAULT_POLICY)
    assert set(SIX) == set(PAPER_PARAMETERS)
    expected = {name: {p: (x, way) for p, x in zip(SIX, values, strict=True)} for name, (values, way) in TABLE.items()}
    assert limits(policy) == expected
    for kind, values in PENALTIES.items():
        found = {(r.parameter, r.penalty) for r in policy.rules if r.kind == kind}  # type: ignore[union-attr]
        assert found == set(zip(SIX, values, strict=True))
    others = [r.model_dump(exclude={"reason", "source"}, exclude_none=True) for r in policy.rules]
    assert [r for r in others if "parameter" not in r] == [{**r, "compare": "value"} for r in OTHERS]
    assert {r["compare"] for r in others} == {"value"}
    assert {label(r) for r in policy.rules if getattr(r, "magnitude", False)} == {"parameter bias"}
    assert len(policy.rules) == 77


def test_rules_keep_the_order_of_the_file_and_penalised_ones_go_parameter_by_parameter() -> None:
    rules = read_policy(DEFAULT_POLICY).rules
    names = ["penalised" if r.kind == "penalised" else label(r) for r in rules]
    assert list(dict.fromkeys(names)) == ORDER
    assert all(names.index(n) + Counter(names)[n] - 1 == len(names) - 1 - names[::-1].index(n) for n in ORDER)
    for name in TABLE:
        assert tuple(r.parameter for r in rules if label(r) == name) == SIX  # type: ignore[union-attr]
    penalised = [(r.parameter, r.figure) for r in rules if r.kind == "penalised"]
    assert penalised == [(name, figure) for name in SIX for figure in ("rmse", "mae", "p95", "explained")]


def test_margins_and_spreads_of_the_default_policy() -> None:
    policy = read_policy(DEFAULT_POLICY)
    margins = {name: (m.margin, m.planned_sd, m.penalty) for name, m in policy.comparison.margins.items()}
    numbers = zip((1.0, 1.5, 1.5, 1.5, 1.0, 0.75), (2.0, 2.5, 3.0, 2.5, 2.0, 1.0), (30.0,) * 6, strict=True)
    assert margins == dict(zip(SIX, numbers, strict=True))
    assert policy.seeds is not None
    spreads = (0.116, 0.156, 0.213, 0.332, 0.274, 0.078)
    assert {name: s.sd for name, s in policy.seeds.known.items()} == dict(zip(SIX, spreads, strict=True))
    assert policy.subgroups is not None
    assert tuple(policy.subgroups.mae_at_most.values()) == (3.7, 4.4, 5.0, 7.1, 5.6, 2.7)
    assert (policy.comparison.required_gain, policy.seeds.times_spread) == (0.02, 2.0)
    assert (policy.subgroups.min_studies, policy.subgroups.times_margin) == (20, 2.0)


def test_the_policy_for_frontal_radiographs_has_the_default_limits_of_cobb() -> None:
    found, default = limits(read_policy(FRONTAL_RADIOGRAPHS_POLICY)), limits(read_policy(DEFAULT_POLICY))
    default["truths"]["cobb"] = (40.0, "at_least")
    assert found == {name: {"cobb": values["cobb"]} for name, values in default.items()}
    penalties = {(r.kind, r.penalty) for r in read_policy(FRONTAL_RADIOGRAPHS_POLICY).rules if hasattr(r, "penalty")}
    assert penalties == {("penalised", 7.4), ("interval_score", 70.4)}


@pytest.mark.parametrize("path", [DEFAULT_POLICY, FRONTAL_RADIOGRAPHS_POLICY], ids=lambda p: p.stem)
def test_a_reason_is_written_once(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 210, "each reason once; a new section needs a few lines"
    reasons = [line.strip() for line in lines if line.strip().startswith('reason: "')]
    assert len(reasons) == len(set(reasons)) > 15


def test_a_value_is_for_all_parameters_or_for_each() -> None:
    assert for_each_parameter({"margin": {"cobb": 1.0, "pelvic_tilt": 0.75}, "penalty": 30.0}) == {
        "cobb": {"margin": 1.0, "penalty": 30.0},
        "pelvic_tilt": {"margin": 0.75, "penalty": 30.0},
    }
    assert for_each_parameter({"parameters": ["cobb"], "at_most": 3.7}) == {"cobb": {"at_most": 3.7}}


def test_ways_to_write_one_rule_have_one_hash(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(dumped(edited(lambda c: spell_out(rule(c, "truths"), "at_least"))))
    assert read_policy(path).hash == read_policy(DEFAULT_POLICY).hash


def spell_out(written: dict[str, Any], field: str) -> None:
    written[field] = dict.fromkeys(written.pop("parameters"), written[field])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: rule(c, "truths").pop("parameters"), "rule 2 (truths): no parameter is named: add a list"),
        (lambda c: rule(c, "truths").update(parameters=[]), "rule 2 (truths): no parameter is named: add a list"),
        (
            lambda c: rule(c, "truths").update(parameters="cobb"),
            "rule 2 (truths): the key parameters must have a list of names",
        ),
        (
            lambda c: rule(c, "truths").update(parameters=["cobb", "cobb"]),
            "(truths): the list of the key parameters contains cobb twice",
        ),
        (lambda c: rule(c, "truths").update(parameter="cobb"), "rule 2 (truths): the key parameter is unknown"),
        (lambda c: rule(c, "truths").pop("at_least"), "rule 2 (truths), cobb: a rule needs exactly one of at_most"),
        (
            lambda c: see(c)["at_most"].pop("cobb"),
            "3 (parameter standard_error_of_estimate): at_most has no value for cobb",
        ),
        (lambda c: see(c)["reason"].pop("cobb"), "reason has no value for cobb, which another field"),
        (lambda c: see(c)["at_most"].update(tilt=2.7), "reason has no value for tilt, which another field"),
        (lambda c: see(c).update(parameters=["cobb"]), "parameters has no value for thoracic_kyphosis_t4_t12, lumbar"),
        (
            lambda c: figure(c, "mae")["at_most"].pop("cobb"),
            "9 (penalised): figures.mae: at_most has no value for cobb",
        ),
        (lambda c: c["comparison"]["margins"]["margin"].pop("cobb"), "margins: margin has no value for cobb"),
        (lambda c: c["comparison"]["margins"]["margin"].update(cob=1.0), "planned_sd has no value for cob"),
        (lambda c: c["seeds"]["known"].update(sd=0.1), "seeds.known: no parameter is named"),
        (lambda c: rule(c, "level_shift").pop("kind"), "rule 8: kind is missing"),
        (lambda c: c["rules"].append("cobb"), "rule 20: a rule must be a mapping with kind, limit, reason and source"),
        (lambda c: c.update(rules="none"), "rules: Input should be a valid list"),
        (
            lambda c: c["rules"].append({**rule(c, "truths"), "parameters": ["cobb"], "at_least": 5.0}),
            "rules: rules 2 and 20 limit the same figure (truths, cobb): delete one",
        ),
        (
            lambda c: c["rules"].append({**see(c), "at_most": 9.0}),
            "rules 3 and 20 limit the same figure (parameter, cobb)",
        ),
        (lambda c: c["rules"].append(rule(c, "level_shift")), "rules 8 and 20 limit the same figure (level_shift"),
    ],
)
def test_mistakes_in_the_parameters_of_a_rule_are_refused_by_place(tmp_path: Path, change: Any, message: str) -> None:
    assert message in refused(tmp_path, edited(change))


def test_limits_of_two_directions_or_of_two_ends_are_no_repetition(tmp_path: Path) -> None:
    def slopes(content: dict[str, Any]) -> None:
        common = {**rule(content, "parameter", figure="icc_a1"), "figure": "slope", "parameters": ["cobb"]}
        content["rules"] += [common, {**common, "at_least": None, "at_most": 1.1}]
        content["rules"].append({**common, "at_least": None, "at_most": 1.3, "compare": "high"})

    path = tmp_path / "policy.yaml"
    path.write_text(dumped(edited(slopes)))
    assert len(read_policy(path).rules) == 80


def test_one_mistake_in_a_rule_for_six_parameters_is_reported_once(tmp_path: Path) -> None:
    found = refused(tmp_path, edited(lambda c: rule(c, "truths").update(reason="")))
    assert found.count("reason") == 1

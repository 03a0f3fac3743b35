"""Sampling of virtual patients: distributions, determinism, refused parameters."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from simulation.anatomy import vertebral_column
from simulation.body.patient import build_patient
from simulation.parameters import (
    ALLOWED,
    MAX_SEGMENT_DEG,
    CoronalCurve,
    Instrumentation,
    PatientParameters,
    WedgeFracture,
)
from simulation.population import moment_constants
from simulation.population.alignment import can_stand, sample_alignment, sample_angles
from simulation.population.curve_patterns import sample_ais
from simulation.population.moment_fit import COVARIANCE_TARGETS, constants_module, target_moments
from simulation.population.published import ALIGNMENT, LL, LL5, PI, PT, SS, TK
from simulation.population.sampling import ANATOMY_SHARES, CONDITION_SHARES, sample_patient
from simulation.population.statistics import Row, correlation_rows, measure_patient, population_rows, survey
from simulation.vocabulary import Anatomy, FieldOfView
from spine.errors import ParametersRejected

COUNT = 1500


@pytest.fixture(scope="module")
def people() -> list[PatientParameters]:
    return [sample_patient(seed) for seed in range(COUNT)]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return population_rows(survey(900, seed=5))


def those(people: list[PatientParameters], condition: str) -> list[PatientParameters]:
    return [p for p in people if p.condition == condition]


def test_a_seed_gives_the_same_patient_and_another_seed_another() -> None:
    assert all(sample_patient(seed) == sample_patient(seed) for seed in range(40))
    assert sample_patient(17) != sample_patient(18)


def test_incidence_is_tilt_plus_slope(people) -> None:
    for p in people:
        assert p.pelvic_incidence_deg == pytest.approx(p.pelvic_tilt_deg + p.sacral_slope_deg, abs=1e-9)


@pytest.mark.parametrize(("name", "shares"), [("condition", CONDITION_SHARES), ("anatomy", ANATOMY_SHARES)])
def test_every_kind_of_patient_has_its_documented_share(people, name, shares) -> None:
    assert sum(shares.values()) == pytest.approx(1.0)
    for kind, share in shares.items():
        found = np.mean([getattr(p, name) == kind for p in people])
        assert abs(found - share) < 4 * np.sqrt(share * (1 - share) / COUNT), kind


def test_the_population_agrees_with_the_published_one(rows) -> None:
    assert {r.group for r in rows} == set(ALIGNMENT)
    assert {r.kind for r in rows} == {"angle", "length", "correlation", "share"}
    assert [f"{r.group} {r.quantity}: {r.mean} for {r.published_mean}" for r in rows if r.agreement == "off"] == []
    assert sum(r.agreement == "within" for r in rows) > 0.65 * len(rows)


@pytest.mark.parametrize("group", sorted(ALIGNMENT))
def test_samples_of_each_group_have_the_published_moments(group) -> None:
    rng = np.random.default_rng(4)
    angles, wanted = sample_angles(rng, group, rng.uniform(18, 75, 20_000))
    accepted, _ = can_stand(angles, wanted, group, "standard")
    found = dict(zip((PI, PT, LL, LL5, TK), angles[accepted].T, strict=True))
    found[SS] = found[PI] - found[PT]
    for quantity, figure in ALIGNMENT[group].items():
        assert found[quantity].mean() == pytest.approx(figure.mean, abs=1.0), quantity
        assert found[quantity].std() == pytest.approx(figure.sd, rel=0.15), quantity


def test_a_sampled_alignment_is_consistent_and_differs_from_the_next() -> None:
    rng = np.random.default_rng(4)
    first, second = (sample_alignment(rng, "healthy_adult", 40.0, "six_lumbar") for _ in range(2))
    assert first.incidence == pytest.approx(first.tilt + first.slope)
    assert first != second


def test_a_row_agrees_within_tolerance_or_by_chance() -> None:
    good = Row("g", "q", "angle", 400, 50.0, 10.0, "s", "published", 50.4, 10.5)
    assert good.agreement == "within"
    assert replace(good, mean=90.0, count=9).agreement == "too few"
    assert replace(good, mean=51.3).agreement == "chance"  # standard error 0.5
    assert replace(good, mean=52.0).agreement == "off"
    assert replace(good, mean=52.0, count=40).agreement == "chance"
    assert replace(good, sd=11.6, count=4000).agreement == "off"
    assert replace(good, kind="length", mean=52.4, sd=10.0).agreement == "within"
    correlation = replace(good, kind="correlation", published_mean=0.8, published_sd=None, mean=0.65, sd=None)
    assert correlation.agreement == "off"


def test_correlations_are_those_of_the_measured_angles() -> None:
    healthy = [s for s in range(400) if sample_patient(s).condition == "healthy_adult"]
    measured = [measure_patient(sample_patient(s), s) for s in healthy]
    found = {r.quantity: r.mean for r in correlation_rows(measured)}
    drawn = np.corrcoef(
        [sample_patient(s).pelvic_incidence_deg for s in healthy], [sample_patient(s).sacral_slope_deg for s in healthy]
    )[0, 1]
    assert found[f"r({PI}, {SS})"] == pytest.approx(drawn, abs=1e-9)
    assert 0.6 < found[f"r({PI}, {LL})"] < 0.85


@pytest.mark.parametrize("group", sorted(COVARIANCE_TARGETS))
def test_targets_of_the_fit_are_the_published_values(group) -> None:
    mean, covariance = target_moments(group)
    sd = np.sqrt(np.diag(covariance))
    slope_sd = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    figures = ALIGNMENT[group]
    for found, figure in zip(mean, [figures[PI], figures[PT]], strict=False):
        assert abs(found - figure.mean) < 0.5
    assert abs(mean[0] - mean[1] - figures[SS].mean) < 0.5
    for found, figure in ((sd[0], figures[PI]), (sd[1], figures[PT]), (slope_sd, figures[SS]), (sd[2], figures[LL])):
        assert abs(found / figure.sd - 1) < 0.12


def test_the_fit_writes_the_module_of_its_constants() -> None:
    fitted = {g: (np.array(moment_constants.MEANS[g]), np.array(moment_constants.ROOTS[g])) for g in COVARIANCE_TARGETS}
    assert constants_module(fitted) == Path(moment_constants.__file__).read_text()


def test_scoliotic_curves_span_ten_to_ninety_degrees(people) -> None:
    major = np.array([max(c.cobb_deg for c in p.curves) for p in those(people, "adolescent_scoliosis")])
    assert major.min() >= 10.0
    assert major.max() <= 90.0
    assert (major < 30).mean() > 0.4
    assert 0.2 < (major > 40).mean() < 0.4
    assert {len(p.curves) for p in those(people, "adolescent_scoliosis")} == {1, 2, 3}
    healthy = those(people, "healthy_adult") + those(people, "healthy_adolescent")
    assert max(c.cobb_deg for p in healthy for c in p.curves) < 10.0


def test_each_condition_shows_its_signs(people) -> None:
    mean = {c: np.mean([p.thoracic_kyphosis_t4_t12_deg for p in those(people, c)]) for c in CONDITION_SHARES}
    assert mean["adolescent_scoliosis"] < mean["healthy_adolescent"] - 5  # hypokyphosis
    assert mean["osteoporotic"] > mean["healthy_adult"] + 5
    deformed = those(people, "adult_deformity")
    assert all(10 <= max(c.cobb_deg for c in p.curves) <= 60 for p in deformed)
    assert 0.3 < np.mean([p.lateral_listhesis_mm != 0 for p in deformed]) < 0.7
    worn = those(people, "degenerative")
    assert all(p.disc_narrowing >= 0.3 for p in worn)
    assert {p.listhesis_level for p in worn if p.listhesis_mm and p.anatomy == "standard"} == {"L4", "L5"}
    brittle = those(people, "osteoporotic")
    assert {len(p.fractures) for p in brittle} == {1, 2, 3}
    assert all(0.2 <= f.loss <= 0.4 for p in brittle for f in p.fractures)
    assert np.mean([p.bone_density for p in brittle]) < 0.75
    assert not any(p.fractures or p.instrumentation for p in people if p.condition.startswith("healthy"))


def test_only_operated_patients_have_implants(people) -> None:
    assert all((p.instrumentation is not None) == (p.condition == "instrumented") for p in people)
    operated = those(people, "instrumented")
    lengths = []
    for p in operated:
        levels, implants = (*vertebral_column(p.anatomy).mobile, "S1"), p.instrumentation
        first, last = levels.index(implants.upper), levels.index(implants.lower)
        assert {(level, side) for level in (implants.upper, implants.lower) for side in ("left", "right")} <= set(
            implants.screws
        )
        lengths.append(last - first)
    assert min(lengths) == 1
    assert max(lengths) >= 12
    assert {p.instrumentation.rod_metal for p in operated} == {"titanium", "cobalt_chrome"}
    assert any(p.instrumentation.cages for p in operated)
    assert any(p.instrumentation.laminectomy for p in operated)
    assert max(c.cobb_deg for p in operated for c in p.curves) < 70


def test_a_quarter_of_the_scans_are_truncated(people) -> None:
    share = np.mean([p.field_of_view not in ("full", "whole_body") for p in people])
    assert 0.19 < share < 0.31
    assert {p.field_of_view for p in people} == set(get_args(FieldOfView))


def test_implausible_values_are_refused_with_their_ranges() -> None:
    good = sample_patient(1)
    with pytest.raises(ParametersRejected) as caught:
        replace(
            good,
            pelvic_incidence_deg=5.0,
            bmi=90.0,
            curves=(CoronalCurve("T5", "T12", 200.0, "right"),),
            fractures=(WedgeFracture("L1", 0.9),),
            instrumentation=Instrumentation("L4", "L1", "titanium", ()),
        )
    text = str(caught.value)
    assert caught.value.code == "PATIENT_IMPLAUSIBLE"
    assert "pelvic_incidence_deg = 5 (allowed 15 to 100)" in text
    assert "bmi = 90 (allowed 13 to 45)" in text
    assert "cobb_deg = 200 (allowed 0 to 100)" in text
    assert "fracture loss = 0.9 (allowed 0.05 to 0.5)" in text
    assert "construct L4-L1 (allowed: the upper end above the lower)" in text


@pytest.mark.parametrize("name", sorted(ALLOWED))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e6, "fat"])
def test_every_number_is_checked(name: str, value: Any) -> None:
    with pytest.raises(ParametersRejected, match=rf"{name} = 'fat' \(a number, " if value == "fat" else f"{name} = "):
        replace(sample_patient(2), **{name: value})


def test_the_cobb_angle_is_limited_by_the_number_of_vertebrae() -> None:
    person = replace(sample_patient(4), anatomy="standard", curves=())
    assert replace(person, curves=(CoronalCurve("T7", "T9", 75.0, "right"),)).curves[0].cobb_deg == 75.0
    with pytest.raises(ParametersRejected, match=r"cobb_deg = 76 over 3 vertebrae \(allowed 0 to 75, 15 a body"):
        replace(person, curves=(CoronalCurve("T7", "T9", 76.0, "right"),))


@pytest.mark.parametrize("anatomy", get_args(Anatomy))
def test_sampled_curves_stay_below_that_limit(anatomy: Anatomy) -> None:
    """The steepest sampled curve has 90 degrees over four vertebrae."""
    rng, column = np.random.default_rng(11), vertebral_column(anatomy)
    for curve in (curve for _ in range(5000) for curve in sample_ais(rng, column)):
        spanned = column.mobile.index(curve.lower_end) - column.mobile.index(curve.upper_end) + 1
        assert curve.cobb_deg <= 90 / 7 * (2 * spanned - 1) < MAX_SEGMENT_DEG * (2 * spanned - 1)


def test_a_text_in_place_of_an_angle_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cobb_deg = 'steep' \(a number, 0 to 100\)"):
        replace(sample_patient(3), anatomy="standard", curves=(CoronalCurve("T7", "T9", "steep", "right"),))  # type: ignore[arg-type]


def test_numpy_numbers_are_accepted() -> None:
    assert replace(sample_patient(3), bmi=np.float32(21.5)).bmi == 21.5  # type: ignore[arg-type]


def test_angles_that_contradict_each_other_are_refused() -> None:
    good = sample_patient(3)
    with pytest.raises(ParametersRejected, match="they must be equal"):
        replace(good, pelvic_tilt_deg=good.pelvic_tilt_deg + 1.0)
    with pytest.raises(ParametersRejected, match="L1-S1 minus L1-L5 = 60"):
        replace(good, lumbar_lordosis_l1_s1_deg=70.0, lumbar_lordosis_l1_l5_deg=10.0)


@pytest.mark.parametrize(
    "curves",
    [
        (CoronalCurve("T5", "C3", 20.0, "right"),),
        (CoronalCurve("T5", "T6", 20.0, "right"),),
        (CoronalCurve("L3", "T9", 20.0, "right"),),
        (CoronalCurve("T5", "L6", 20.0, "right"),),
        (CoronalCurve("T5", "T12", 20.0, "right", 0.95),),
        (CoronalCurve("T7", "T9", 80.0, "right"),),
        (CoronalCurve("T5", "T11", 20.0, "right"), CoronalCurve("T12", "L4", 20.0, "left")),
        (CoronalCurve("T5", "T11", 20.0, "right"), CoronalCurve("T11", "L4", 20.0, "right")),
    ],
)
def test_impossible_curves_are_refused(curves: tuple[CoronalCurve, ...]) -> None:
    with pytest.raises(ParametersRejected, match="allowed"):
        replace(sample_patient(4), anatomy="standard", curves=curves)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"condition": "well"}, "condition = 'well'"),
        ({"anatomy": "seven_lumbar"}, "anatomy = 'seven_lumbar'"),
        ({"fractures": (WedgeFracture("L6", 0.3),)}, "fracture of L6"),
        ({"fractures": (WedgeFracture("L1", 0.3), WedgeFracture("L1", 0.2))}, "two fractures of one level"),
        ({"listhesis_mm": 6.0, "listhesis_level": "T4"}, "listhesis_level = 'T4'"),
        ({"lateral_listhesis_mm": -6.0, "lateral_listhesis_level": "L6"}, "lateral_listhesis_level = 'L6'"),
        ({"instrumentation": Instrumentation("T4", "L7", "titanium", ())}, "construct end L7"),
        ({"instrumentation": Instrumentation("T4", "L1", "steel", ())}, "rod_metal = 'steel'"),  # type: ignore[arg-type]
        ({"instrumentation": Instrumentation("T4", "L1", "titanium", (("L2", "left"),))}, "screw L2 left"),
        ({"instrumentation": Instrumentation("L3", "L5", "titanium", (), cages=("L5",))}, "cage below L5"),
        ({"instrumentation": Instrumentation("L3", "L5", "titanium", (), rods=("left", "left"))}, "rods"),
    ],
)
def test_impossible_levels_and_implants_are_refused(change, words) -> None:
    plain = replace(sample_patient(4), anatomy="standard", curves=())
    with pytest.raises(ParametersRejected, match=words):
        replace(plain, **change)


def test_varied_patients_cover_flat_backs_steep_slips_and_fractures_in_every_condition() -> None:
    varied = [sample_patient(seed, varied=True) for seed in range(300)]
    lordosis = np.array([p.lumbar_lordosis_l1_s1_deg for p in varied])
    assert lordosis.min() < 15
    assert lordosis.max() > 85
    slips = [p for p in varied if p.listhesis_mm]
    assert 0.4 < len(slips) / len(varied) < 0.6
    assert max(p.listhesis_mm for p in slips) > 25
    assert {p.listhesis_level for p in slips if p.anatomy == "standard"} == {"L3", "L4", "L5"}
    assert {p.condition for p in varied if p.fractures} >= {"healthy_adult", "degenerative", "adolescent_scoliosis"}
    assert sample_patient(7) != sample_patient(7, varied=True)
    assert build_patient(max(slips, key=lambda p: p.listhesis_mm), 1).reconstruction.points

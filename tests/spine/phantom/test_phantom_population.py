"""Who the virtual patients are: distributions, determinism, refusals."""

from dataclasses import replace

import numpy as np
import pytest

from spine.errors import ParametersRejected
from spine.phantom.limits import ALLOWED
from spine.phantom.population import CoronalCurve, PatientParameters, sample_patient

COUNT = 600


@pytest.fixture(scope="module")
def people() -> list[PatientParameters]:
    return [sample_patient(seed) for seed in range(COUNT)]


def values(people: list[PatientParameters], condition: str, name: str) -> np.ndarray:
    return np.array([getattr(p, name) for p in people if p.condition == condition])


def test_a_seed_gives_the_same_patient_and_another_seed_another() -> None:
    assert sample_patient(17) == sample_patient(17)
    assert sample_patient(17) != sample_patient(18)


def test_incidence_is_tilt_plus_slope(people: list[PatientParameters]) -> None:
    for p in people:
        assert p.pelvic_incidence_deg == pytest.approx(p.pelvic_tilt_deg + p.sacral_slope_deg, abs=1e-9)


@pytest.mark.parametrize(
    ("condition", "name", "mean", "tolerance"),
    [
        # Published means (docs/sources.md, population and anatomy); tolerance covers 130 to 240 draws.
        ("normal", "pelvic_incidence_deg", 50.6, 3.0),
        ("normal", "pelvic_tilt_deg", 12.0, 2.0),
        ("normal", "lumbar_lordosis_l1_s1_deg", 54.6, 3.0),
        ("normal", "thoracic_kyphosis_t4_t12_deg", 37.7, 3.0),
        ("scoliotic", "pelvic_incidence_deg", 47.3, 3.0),
        ("scoliotic", "pelvic_tilt_deg", 7.5, 2.0),
        ("scoliotic", "lumbar_lordosis_l1_s1_deg", 54.9, 3.5),
        ("scoliotic", "thoracic_kyphosis_t4_t12_deg", 27.1, 4.0),
        ("degenerative", "pelvic_tilt_deg", 22.0, 3.0),
    ],
)
def test_means_follow_the_literature(
    people: list[PatientParameters], condition: str, name: str, mean: float, tolerance: float
) -> None:
    assert values(people, condition, name).mean() == pytest.approx(mean, abs=tolerance)


def test_spreads_and_relations_follow_the_literature(people: list[PatientParameters]) -> None:
    incidence = values(people, "normal", "pelvic_incidence_deg")
    slope = values(people, "normal", "sacral_slope_deg")
    lordosis = values(people, "normal", "lumbar_lordosis_l1_s1_deg")
    assert 8.0 < incidence.std() < 12.5
    assert 0.65 < np.corrcoef(incidence, slope)[0, 1] < 0.95  # UCI normals: .84
    assert 0.45 < np.corrcoef(incidence, lordosis)[0, 1] < 0.9  # UCI normals: .70


def test_scoliotic_curves_span_ten_to_eighty_degrees(people: list[PatientParameters]) -> None:
    major = np.array([max(c.cobb_deg for c in p.curves) for p in people if p.condition == "scoliotic"])
    assert major.min() >= 10.0
    assert major.max() <= 80.0
    assert (major > 50).mean() > 0.05
    assert 25 < major.mean() < 40
    mild = np.array([max(c.cobb_deg for c in p.curves) for p in people if p.condition == "normal"])
    assert mild.max() < 10.0


def test_a_quarter_of_the_scans_is_truncated(people: list[PatientParameters]) -> None:
    share = np.mean([p.field_of_view != "full" for p in people])
    assert 0.19 < share < 0.31
    assert {p.field_of_view for p in people} == {"full", "without_hips", "without_t1", "thoracolumbar"}


def test_implausible_values_are_refused_together_with_their_ranges() -> None:
    good = sample_patient(1)
    with pytest.raises(ParametersRejected) as caught:
        replace(good, pelvic_incidence_deg=5.0, bmi=90.0, curves=(CoronalCurve("T5", "T12", 200.0, "right"),))
    text = str(caught.value)
    assert caught.value.code == "PATIENT_IMPLAUSIBLE"
    assert "pelvic_incidence_deg = 5 (allowed 25 to 95)" in text
    assert "bmi = 90 (allowed 13 to 45)" in text
    assert "cobb_deg = 200 (allowed 0 to 100)" in text


@pytest.mark.parametrize("name", sorted(ALLOWED))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e6])
def test_every_number_is_guarded(name: str, value: float) -> None:
    with pytest.raises(ParametersRejected, match=name):
        replace(sample_patient(2), **{name: value})


def test_incidence_that_is_not_tilt_plus_slope_is_refused() -> None:
    good = sample_patient(3)
    with pytest.raises(ParametersRejected, match="they are equal"):
        replace(good, pelvic_tilt_deg=good.pelvic_tilt_deg + 1.0)


@pytest.mark.parametrize(
    "curves",
    [
        (CoronalCurve("T5", "C3", 20.0, "right"),),
        (CoronalCurve("T5", "T6", 20.0, "right"),),
        (CoronalCurve("L3", "T9", 20.0, "right"),),
        (CoronalCurve("T5", "T11", 20.0, "right"), CoronalCurve("T12", "L4", 20.0, "left")),
        (CoronalCurve("T5", "T11", 20.0, "right"), CoronalCurve("T11", "L4", 20.0, "right")),
    ],
)
def test_impossible_curves_are_refused(curves: tuple[CoronalCurve, ...]) -> None:
    with pytest.raises(ParametersRejected, match="allowed"):
        replace(sample_patient(4), curves=curves)

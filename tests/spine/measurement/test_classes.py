"""Classes that follow from parameters: published limits, probabilities from intervals, reasons of absence."""

from dataclasses import replace
from math import erf, sqrt

import numpy as np
import pytest

from spine.measurement.classes import CLASSES, Classified
from spine.measurement.classify import classify
from spine.measurement.planes import PlanePoints
from spine.measurement.plausible_values import INTERVAL_SIGMAS, plausible_values
from spine.measurement.registry import PARAMETERS, Measured
from spine.measurement.sagittal_classes import lordotic_vertebrae

SIGMA = 2.0
HALF = SIGMA * INTERVAL_SIGMAS


def deg(value, *, sigma=SIGMA, **detail):
    half = INTERVAL_SIGMAS * sigma
    return Measured(value, "deg", detail=detail or None, interval=(value - half, value + half) if sigma else None)


def parameters(**given):
    """The parameters with these values; pelvic incidence and PI - LL follow. All others are absent."""
    none = {n: Measured(None, p.unit, "not visible", absent_code="LANDMARKS_NOT_SEEN") for n, p in PARAMETERS.items()}
    found = none | given
    slope, tilt, lordosis = (found[n].value for n in ("sacral_slope", "pelvic_tilt", "lumbar_lordosis_l1_s1"))
    if slope is not None and tilt is not None:
        found["pelvic_incidence"] = deg(slope + tilt)
        if lordosis is not None:
            found["pi_minus_ll"] = deg(slope + tilt - lordosis)
    return found


def sagittal(slope, tilt, lordosis=50.0, lower=33.0, sigma=SIGMA):
    return parameters(
        sacral_slope=deg(slope, sigma=sigma),
        pelvic_tilt=deg(tilt, sigma=sigma),
        lumbar_lordosis_l1_s1=deg(lordosis, sigma=sigma and sigma * 1.5),
        lumbar_lordosis_l4_s1=deg(lower, sigma=sigma and sigma * 1.2),
    )


def curve(angle, upper, lower, apex, side, sigma=SIGMA):
    return deg(angle, sigma=sigma, upper_end_vertebra=upper, lower_end_vertebra=lower, apex=apex, side=side)


WHOLE = {"coronal": PlanePoints("coronal", {f"{v}_sup": np.zeros(2) for v in ("T1", "T5", "L4")})}


def test_every_class_has_a_value_or_a_reason_and_known_values():
    found = classify(sagittal(40.0, 12.0), {})
    assert list(found) == list(CLASSES)
    for name, each in found.items():
        assert each.value is not None or each.absent_reason
        if each.value is not None and CLASSES[name].values:
            assert each.value in CLASSES[name].values
    with pytest.raises(ValueError, match="either a value or a reason"):
        Classified("T", "no")


@pytest.mark.parametrize(
    ("tilt", "lordosis", "grades"),
    [(19.9, 50.1, ("0", "0")), (20.0, 50.0, ("+", "+")), (30.0, 50.0, ("+", "+")), (30.1, 49.0, ("++", "++"))],
)
def test_schwab_grades_change_at_the_published_limits(tilt, lordosis, grades):
    found = classify(sagittal(40.0, tilt, lordosis), {})
    assert (found["srs_schwab_pi_ll"].value, found["srs_schwab_pt"].value) == grades


def test_the_probability_of_a_grade_is_that_of_the_normal_distribution():
    found = classify(sagittal(40.0, 21.0), {})["srs_schwab_pt"]

    def below(limit):
        return 0.5 * (1 + erf((limit - 21.0) / (SIGMA * sqrt(2))))

    assert found.probability == pytest.approx(below(30.0) - below(20.0), abs=1e-4)
    assert found.number == 21.0
    assert classify(sagittal(40.0, 21.0, sigma=0), {})["srs_schwab_pt"].probability is None


@pytest.mark.parametrize(
    ("slope", "tilt", "kind"),
    [
        (36.0, 4.0, "type 3 anteverted"),
        (36.0, 14.0, "type 3"),
        (45.0, 12.0, "type 4"),
        (46.0, 3.0, "type 3 anteverted"),
    ],
)
def test_roussouly_types_from_35_degrees(slope, tilt, kind):
    assert classify(sagittal(slope, tilt), {})["roussouly"].value == kind


@pytest.mark.parametrize(("turn", "count", "kind"), [("L3_sup", 3, "type 1"), ("L1_sup", 5, "type 2")])
def test_types_1_and_2_differ_by_the_number_of_lordotic_vertebrae(turn, count, kind):
    plane = sagittal_plane(turn)
    assert lordotic_vertebrae(plane) == count
    found = classify(sagittal(30.0, 10.0), {"sagittal": plane})["roussouly"]
    assert (found.value, found.detail["lordotic_vertebrae"]) == (kind, str(count))
    assert "T9 to L5" in classify(sagittal(30.0, 10.0), {})["roussouly"].absent_reason


def sagittal_plane(turn):
    """Plates whose tilt falls to -20 degrees at ``turn`` and rises again on both sides of it."""
    levels = [*(f"T{i}" for i in range(9, 13)), *(f"L{i}" for i in range(1, 6))]
    plates = [f"{level}_{side}" for level in levels for side in ("sup", "inf")]
    points = {}
    for i, plate in enumerate(plates):
        tilt = np.radians(-20.0 + 4.0 * abs(i - plates.index(turn)))
        middle, along = np.array([0.0, -15.0 * i]), 15.0 * np.array([np.cos(tilt), -np.sin(tilt)])
        points |= {f"{plate}_ant": middle + along, f"{plate}_post": middle - along, plate: middle}
    return PlanePoints("sagittal", points)


def test_the_parts_of_the_gap_score():
    found = classify(sagittal(20.0, 40.0, lordosis=30.0, lower=25.0), {})
    assert found["gap_pelvic_version"].number == pytest.approx(20.0 - (0.59 * 60 + 9))
    assert found["gap_pelvic_version"].value == "severe retroversion"
    assert found["gap_lumbar_lordosis"].number == pytest.approx(30.0 - (0.62 * 60 + 29))
    assert found["gap_lumbar_lordosis"].value == "severe hypolordosis"
    assert found["gap_lordosis_share"].number == pytest.approx(100 * 25 / 30)
    assert found["gap_lordosis_share"].value == "hyperlordotic maldistribution"
    assert found["gap_score"].value == "severely disproportioned" and found["gap_score"].number == 9
    proportioned = classify(sagittal(40.0, 12.0, lordosis=58.0, lower=38.0), {})
    assert [proportioned[n].value for n in ("gap_pelvic_version", "gap_lumbar_lordosis", "gap_lordosis_share")] == [
        "aligned"
    ] * 3
    assert "C7" in proportioned["gap_score"].absent_reason and "0 to 4" in proportioned["gap_score"].absent_reason
    assert "below 10 degrees" in classify(sagittal(40.0, 12.0, lordosis=5.0), {})["gap_lordosis_share"].absent_reason


def test_incidence_follows_from_slope_and_tilt_in_every_draw():
    values = plausible_values(sagittal(40.0, 12.0), "sacral_slope", "pelvic_tilt", "pelvic_incidence")
    np.testing.assert_allclose(values[:, 0] + values[:, 1], values[:, 2], atol=1e-9)
    spread = plausible_values(sagittal(40.0, 12.0), "sacral_slope", "lumbar_lordosis_l1_s1")[1:].std(axis=0)
    np.testing.assert_allclose(spread, [SIGMA, 1.5 * SIGMA], rtol=0.05)


def test_the_probability_of_a_part_follows_from_slope_and_tilt():
    """Relative version is 0.41 SS - 0.59 PT - 9, so its standard deviation is known."""
    found = classify(sagittal(35.0, 20.0), {})["gap_pelvic_version"]
    spread = SIGMA * np.hypot(0.41, 0.59)
    expected = 0.5 * (1 + erf((found.number + 7.1) / (spread * sqrt(2))))
    assert found.value == "aligned" and found.probability == pytest.approx(expected, abs=0.02)


def test_the_curve_pattern_names_regions_sides_and_end_vertebrae():
    found = classify(
        parameters(
            cobb=curve(42.0, "T5", "T11", "T8", "right"),
            cobb_secondary_cranial=curve(12.0, "T1", "T5", "T3", "left"),
            cobb_secondary_caudal=curve(28.0, "T11", "L4", "L1/L2", "left"),
        ),
        WHOLE,
    )
    pattern = found["curve_pattern"]
    assert pattern.value == "proximal thoracic left + main thoracic right + lumbar left"
    assert pattern.detail["curve_2"] == "T5 to T11, apex T8, 42 degrees"
    at_12 = 1 - 0.5 * (1 + erf((10.0 - 12.0) / (SIGMA * sqrt(2))))
    assert pattern.probability == pytest.approx(at_12, abs=1e-3)
    assert found["srs_schwab_curve"].value == "T"


@pytest.mark.parametrize(
    ("thoracic", "lumbar", "kind"), [(42.0, 28.0, "T"), (20.0, 35.0, "L"), (42.0, 31.0, "D"), (29.0, 28.0, "N")]
)
def test_schwab_curve_types(thoracic, lumbar, kind):
    given = parameters(
        cobb=curve(thoracic, "T5", "T11", "T9", "right"), cobb_secondary_caudal=curve(lumbar, "T11", "L4", "L2", "left")
    )
    assert classify(given, WHOLE)["srs_schwab_curve"].value == kind
    part = {"coronal": PlanePoints("coronal", {"L4_sup": np.zeros(2)})}
    assert "T5" in classify(given, part)["srs_schwab_curve"].absent_reason


def test_a_curve_that_may_go_on_has_no_probability():
    cut = replace(curve(42.0, "T7", "T11", "T9", "right"), detail=curve(42.0, "T7", "T11", "T9", "right").detail | EDGE)
    found = classify(parameters(cobb=cut), WHOLE)
    assert found["curve_pattern"].probability is None and found["srs_schwab_curve"].probability is None
    assert "42 degrees, or more" in found["curve_pattern"].detail["curve_1"]


def test_a_straight_spine_has_no_curve():
    straight = parameters(cobb=curve(4.0, "T5", "T11", "T8", "right"))
    assert classify(straight, WHOLE)["curve_pattern"].value == "no curve of 10 degrees or more"
    unknown = parameters(cobb=replace(curve(40.0, "T5", "T11", "T8", "right"), detail={"side": "left"} | ENDS))
    assert classify(unknown, WHOLE)["curve_pattern"].absent_reason == "the apex of a curve is not known"


EDGE = {"edge": "may go on"}
ENDS = {"upper_end_vertebra": "T5", "lower_end_vertebra": "T11"}


@pytest.mark.parametrize(("turned", "value"), [(15.0, "to the left"), (-15.0, "to the right"), (0.0, "none")])
def test_axial_rotation_is_the_angle_between_pedicles_and_hips(turned, value):
    """The pelvis is turned by 5 degrees, the apex by ``turned`` more; a positive turn brings its front to the left."""
    points = {}
    for names, angle in ((("HIP_L", "HIP_R"), 5.0), (("T8_ped_left", "T8_ped_right"), 5.0 + turned)):
        along = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle)), 0.3])
        points |= {names[0]: 10 * along, names[1]: -10 * along}
    found = classify(parameters(cobb=curve(42.0, "T5", "T11", "T8", "right")), WHOLE, points)["apical_rotation"]
    assert found.number == pytest.approx(turned, abs=1e-6) and found.value == value
    del points["T8_ped_left"]
    lacking = classify(parameters(cobb=curve(42.0, "T5", "T11", "T8", "right")), WHOLE, points)["apical_rotation"]
    assert lacking.value is None and "T8_ped_left" in lacking.absent_reason

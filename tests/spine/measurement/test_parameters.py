"""Every parameter against its analytic value on spines constructed plate by plate, and its invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.landmarks import HIPS, PLATES, VERTEBRAE, mirrored_name
from spine.measurement.coronal import EDGE
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_points_3d, planes_from_view
from spine.measurement.registry import PARAMETERS, Measured
from spine.measurement.tilts import plate_tilts
from tests.spine.measurement.constructed import constructed

EXACT = 1e-6  # degrees; what the project promises


def values(points):
    return measure(planes_from_points_3d(points))


def test_sagittal_parameters_equal_their_construction():
    tilts = {"T4_sup": 27.25, "T12_inf": -13.5, "L1_sup": -21.125, "L5_inf": 24.75}
    found = values(constructed(tilts, {}, s1_deg=41.5, pt_deg=-6.25))
    expected = {
        "thoracic_kyphosis_t4_t12": 27.25 + 13.5,
        "lumbar_lordosis_l1_l5": 24.75 + 21.125,
        "lumbar_lordosis_l1_s1": 41.5 + 21.125,
        "sacral_slope": 41.5,
        "pelvic_tilt": -6.25,
        "pelvic_incidence": 41.5 - 6.25,
        "pi_minus_ll": 41.5 - 6.25 - (41.5 + 21.125),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=EXACT), name


def test_t1_pelvic_angle_is_tilt_plus_inclination_of_t1():
    points = constructed({}, {}, pt_deg=14.0)
    hips = (points["HIP_L"] + points["HIP_R"]) / 2
    t1 = (points["T1_sup"] + points["T1_inf"]) / 2
    inclination = np.degrees(np.arctan2(-(t1 - hips)[1], (t1 - hips)[2]))
    assert values(points)["t1_pelvic_angle"].value == pytest.approx(14.0 + inclination, abs=EXACT)


def three_curves():
    """A right thoracic curve T5-T11 of 52 degrees, 30 to the left below, 21 to the left above."""
    coronal = dict.fromkeys(PLATES, 0.0)
    turning = {"T1": 0.0, "T5": -21.0, "T8": 5.0, "T11": 31.0, "L4": 1.0, "L5": 1.0}
    knots = [VERTEBRAE.index(v) for v in turning]
    for i, v in enumerate(VERTEBRAE):
        coronal[f"{v}_sup"] = coronal[f"{v}_inf"] = float(np.interp(i, knots, list(turning.values())))
    return constructed({}, coronal)


def test_a_curve_that_the_image_cuts_is_a_lower_limit_and_what_lies_beyond_is_absent():
    """From T7 down, the right curve of 52 degrees shows its last part only, and nothing is known above."""
    seen = {n: p for n, p in three_curves().items() if n.split("_")[0] not in VERTEBRAE[: VERTEBRAE.index("T7")]}
    found = values(seen)
    assert 20 < found["cobb"].value < 52 and found["cobb"].detail["edge"] == EDGE
    assert found["cobb"].detail["upper_end_vertebra"] == "T7"
    above = found["cobb_secondary_cranial"]
    assert (above.absent_code, above.absent_reason) == ("LANDMARKS_NOT_SEEN", "no whole vertebra is visible above T7")
    assert found["cobb_secondary_caudal"].value == pytest.approx(30.0, abs=EXACT)
    assert "edge" not in values(three_curves())["cobb"].detail


def test_cobb_names_end_vertebrae_side_and_secondary_curves():
    found = values(three_curves())
    assert found["cobb"].value == pytest.approx(52.0, abs=EXACT)
    detail = found["cobb"].detail
    assert (detail["upper_end_vertebra"], detail["lower_end_vertebra"], detail["side"]) == ("T5", "T11", "right")
    assert found["cobb_midline"].value == pytest.approx(52.0, abs=EXACT)
    assert found["cobb_secondary_cranial"].value == pytest.approx(21.0, abs=EXACT)
    assert found["cobb_secondary_caudal"].value == pytest.approx(30.0, abs=EXACT)
    assert found["cobb_secondary_caudal"].detail["side"] == "left"


def arc(turn_deg, *, plane="coronal", count=34, length=450.0):
    """Plate centres on a circular arc that is convex to the left (or to the back), without margins."""
    s = np.linspace(-0.5, 0.5, count) * length
    radius = length / np.radians(turn_deg)
    points = np.zeros((count, 3))
    points[:, 0 if plane == "coronal" else 1] = radius * (np.cos(s / radius) - 1)
    points[:, 2] = -radius * np.sin(s / radius)
    return dict(zip(PLATES, points, strict=True))


def test_curve_bulging_left_is_called_left_with_its_apex_in_the_middle():
    found = values(arc(40.0))
    assert found["cobb"].detail["side"] == "left"
    assert found["cobb"].detail["apex"] in {"T8", "T9", "T8/T9", "T9/T10"}


def test_centre_line_reads_a_circular_arc():
    """Tangents of the line of centres on an arc, where the analytic tilt at plate i is linear in i."""
    found = values(arc(60.0, plane="sagittal"))
    share = (PLATES.index("T12_inf") - PLATES.index("T4_sup")) / 33
    assert found["thoracic_kyphosis_t4_t12"].value == pytest.approx(60.0 * share, abs=0.05)
    assert values(arc(60.0))["cobb"].value == pytest.approx(60.0, abs=0.3)  # free ends straighten a little


def test_centre_line_is_exact_on_a_leaning_straight_spine():
    points = {p: np.array([0.1 * i, -0.2 * i, -14.0 * i]) for i, p in enumerate(PLATES)}
    tilts = plate_tilts(planes_from_points_3d(points)["sagittal"])
    expected = -np.degrees(np.arctan2(0.2, 14.0))  # going down it runs forward, so going up it leans back
    assert set(tilts.method.values()) == {"centre_line"}
    assert list(tilts.degrees.values()) == pytest.approx([expected] * 34, abs=EXACT)


def test_s1_direction_steers_the_lower_end_only():
    """A steeper sacral plate turns L5 the same way, and leaves the thorax alone."""
    centres = arc(50.0, plane="sagittal")
    s1 = centres[PLATES[-1]] + np.array([0.0, -3.0, -10.0])

    def tilts(s1_deg):
        tau = np.radians(s1_deg)
        half = 17 * np.array([0, -np.cos(tau), -np.sin(tau)])
        points = {**centres, "S1_sup": s1, "S1_ant": s1 + half, "S1_post": s1 - half}
        return plate_tilts(planes_from_points_3d(points)["sagittal"]).degrees

    flat, steep = tilts(10.0), tilts(50.0)
    assert steep["S1_sup"] - flat["S1_sup"] == pytest.approx(40.0, abs=EXACT)
    assert 2.0 < steep["L5_inf"] - flat["L5_inf"] < 40.0
    assert steep["L5_inf"] - flat["L5_inf"] > steep["L1_sup"] - flat["L1_sup"] > -4.0
    assert steep["T4_sup"] == pytest.approx(flat["T4_sup"], abs=0.5)


def test_absent_landmarks_make_parameters_absent_with_their_names():
    points = constructed({}, {})
    for name in (*HIPS, "T4_sup", "T4_sup_ant", "T4_sup_post"):
        del points[name]
    found = values(points)
    assert found["pelvic_tilt"].absent_reason == "not visible: HIP_L, HIP_R"
    assert found["thoracic_kyphosis_t4_t12"].absent_reason == "not visible: T4_sup"
    assert found["sacral_slope"].value is not None
    assert set(found) == set(PARAMETERS)


def test_a_frontal_view_yields_exactly_the_frontal_parameters():
    pixels = {name: np.array([100 + p[0], 600 - p[2]]) for name, p in constructed({}, {}).items()}
    found = measure(planes_from_view("frontal", pixels, None, "NONE"))
    for name, parameter in PARAMETERS.items():
        if parameter.plane == "sagittal":
            assert found[name].absent_reason == "needs a lateral view", name
        elif parameter.unit == "deg":
            assert found[name].value is not None, name
    assert found["coronal_balance_t1"].absent_reason == "the image has no pixel spacing"


def test_lengths_need_a_calibration_to_the_patient():
    pixels = {name: np.array([100 + p[0] / 2, 600 - p[2]]) for name, p in constructed({}, {}).items()}
    allowed = measure(planes_from_view("frontal", pixels, (1.0, 2.0), "GEOMETRY"))
    refused = measure(planes_from_view("frontal", pixels, (1.0, 2.0), "PROJECTION"))
    t1 = (constructed({}, {})["T1_sup"] + constructed({}, {})["T1_inf"]) / 2
    assert allowed["coronal_balance_t1"].value == pytest.approx(t1[0] - 1.0, abs=1e-9)
    assert "PROJECTION" in refused["coronal_balance_t1"].absent_reason


def test_unequal_spacing_is_undone_before_angles_are_taken():
    coronal = {plate: 12.0 * np.sin(i / 6) for i, plate in enumerate(PLATES)}
    points = constructed({}, coronal)
    truth = values(points)["cobb"].value
    pixels = {name: np.array([p[0] / 0.8, -p[2] / 1.3]) for name, p in points.items()}
    found = measure(planes_from_view("frontal", pixels, (1.3, 0.8), "GEOMETRY"))["cobb"].value
    assert found == pytest.approx(truth, abs=EXACT)


def test_lateral_pixels_give_the_angles_of_the_patient():
    points = constructed({"T4_sup": 20.0, "T12_inf": -11.0}, {})
    pixels = {name: np.array([p[1], -p[2]]) for name, p in points.items()}
    found = measure(planes_from_view("lateral", pixels, (1.0, 1.0), "GEOMETRY"))
    assert found["thoracic_kyphosis_t4_t12"].value == pytest.approx(31.0, abs=EXACT)
    assert found["pelvic_tilt"].value == pytest.approx(14.0, abs=EXACT)


angles = st.floats(-25.0, 25.0)


@settings(max_examples=40, deadline=None)
@given(turn=angles, tilt=st.lists(angles, min_size=34, max_size=34))
def test_turning_the_patient_moves_slope_and_tilt_but_not_incidence(turn, tilt):
    points = constructed(dict(zip(PLATES, tilt, strict=True)), {})
    a = np.radians(turn)  # lean forward by ``turn``: x axis rotation
    matrix = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    before, after = values(points), values({n: matrix @ p for n, p in points.items()})
    assert after["pelvic_incidence"].value == pytest.approx(before["pelvic_incidence"].value, abs=EXACT)
    moved = after["sacral_slope"].value - before["sacral_slope"].value
    assert abs(moved) == pytest.approx(abs(turn), abs=EXACT)
    assert after["pelvic_tilt"].value - before["pelvic_tilt"].value == pytest.approx(-moved, abs=EXACT)
    name = "thoracic_kyphosis_t4_t12"
    assert after[name].value == pytest.approx(before[name].value, abs=EXACT)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(tilt=st.lists(angles, min_size=34, max_size=34), scale=st.floats(0.2, 5.0))
def test_mirroring_keeps_cobb_and_swaps_the_side_and_scaling_keeps_angles(tilt, scale):
    points = constructed({}, dict(zip(PLATES, tilt, strict=True)))
    mirrored = {mirrored_name(n): p * [-1, 1, 1] for n, p in points.items()}
    scaled = {n: p * scale for n, p in points.items()}
    here, there, larger = values(points), values(mirrored), values(scaled)
    assert there["cobb"].value == pytest.approx(here["cobb"].value, abs=EXACT)
    if here["cobb"].value > 1e-3:
        assert {here["cobb"].detail["side"], there["cobb"].detail["side"]} == {"left", "right"}
    for name, parameter in PARAMETERS.items():
        if parameter.unit == "deg":
            assert larger[name].value == pytest.approx(here[name].value, abs=EXACT), name


def test_incidence_is_tilt_plus_slope_though_computed_apart():
    for slope, tilt in ((10.0, 30.0), (60.0, -12.0), (-5.0, 20.0), (85.0, 15.0)):
        found = values(constructed({}, {}, s1_deg=slope, pt_deg=tilt))
        assert found["pelvic_incidence"].value == pytest.approx(slope + tilt, abs=EXACT)


def test_a_measured_value_is_finite_or_has_a_reason():
    with pytest.raises(ValueError, match="finite"):
        Measured(float("nan"), "deg")
    with pytest.raises(ValueError, match="either"):
        Measured(None, "deg")
    with pytest.raises(ValueError, match="either"):
        Measured(1.0, "deg", "why")
    for code in (None, "NO_SUCH_CODE"):
        with pytest.raises(ValueError, match="known codes"):
            Measured(None, "deg", "why", absent_code=code)


def test_reversed_margins_make_no_angle():
    """Front and back of S1 exchanged, left and right of T7 exchanged: absent, not an angle beyond 90 degrees."""
    points = constructed({}, dict.fromkeys(PLATES, 4.0))
    for first, second in (("S1_ant", "S1_post"), ("T7_sup_left", "T7_sup_right")):
        points[first], points[second] = points[second], points[first]
    found = values(points)
    assert "reversed" in found["sacral_slope"].absent_reason
    assert "reversed" in found["pelvic_incidence"].absent_reason
    assert found["lumbar_lordosis_l1_s1"].absent_reason == "margins reversed: S1_sup"
    assert found["cobb"].value == pytest.approx(0.0, abs=EXACT)


def test_few_vertebrae_make_no_cobb_angle():
    short = {n: p for n, p in constructed({}, {}).items() if n.split("_")[0] in VERTEBRAE[:4]}
    assert "fewer than 5" in values(short)["cobb"].absent_reason

"""Posed spines: measured on the plates, every target comes out; anatomy is in order."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from spine.landmarks import GALBUSERA39, PLATES, VERTEBRAE, mirrored_name
from spine.phantom.landmarks3d import landmarks_of
from spine.phantom.patient import build_spine
from spine.phantom.population import CoronalCurve, PatientParameters, sample_patient

COUNT = 200


def posed(parameters: PatientParameters, seed: int = 0) -> dict[str, np.ndarray]:
    return landmarks_of(build_spine(parameters, np.random.default_rng([seed, 1])))


@pytest.fixture(scope="module")
def skeletons() -> list[tuple[PatientParameters, dict[str, np.ndarray]]]:
    return [(p, posed(p, seed)) for seed in range(COUNT) for p in [sample_patient(seed)]]


def sagittal_tilt(points: dict[str, np.ndarray], plate: str) -> float:
    """docs/sources.md, definitions and signs, from the anterior and posterior margins."""
    a, p = points[f"{plate}_ant"], points[f"{plate}_post"]
    return float(np.rad2deg(np.arctan2(p[2] - a[2], p[1] - a[1])))


def coronal_tilt(points: dict[str, np.ndarray], plate: str) -> float:
    left, right = points[f"{plate}_left"], points[f"{plate}_right"]
    return float(np.rad2deg(np.arctan2(left[2] - right[2], left[0] - right[0])))


def heading(points: dict[str, np.ndarray], plate: str) -> float:
    front = points[f"{plate}_ant"] - points[f"{plate}_post"]
    return float(np.rad2deg(np.arctan2(front[0], -front[1])))


def test_sagittal_targets_are_met_exactly_even_in_rotated_spines(skeletons) -> None:
    for p, points in skeletons:
        s1, l1 = sagittal_tilt(points, "S1"), sagittal_tilt(points, "L1_sup")
        kyphosis = sagittal_tilt(points, "T4_sup") - sagittal_tilt(points, "T12_inf")
        hips, s = (points["HIP_L"] + points["HIP_R"]) / 2, points["S1_sup"]
        tilt = np.rad2deg(np.arctan2(s[1] - hips[1], s[2] - hips[2]))
        found = (s1, s1 - l1, kyphosis, tilt)
        wanted = (
            p.sacral_slope_deg,
            p.lumbar_lordosis_l1_s1_deg,
            p.thoracic_kyphosis_t4_t12_deg,
            p.pelvic_tilt_deg,
        )
        assert found == pytest.approx(wanted, abs=1e-6)


def test_cobb_targets_are_met_exactly_and_no_pair_exceeds_the_major_by_much(skeletons) -> None:
    for p, points in skeletons:
        for curve in p.curves:
            upper = coronal_tilt(points, f"{curve.upper_end}_sup")
            lower = coronal_tilt(points, f"{curve.lower_end}_inf")
            assert abs(upper - lower) == pytest.approx(curve.cobb_deg, abs=1e-6)
        tilts = np.array([coronal_tilt(points, plate) for plate in PLATES])
        largest = max(abs(tilts[2 * i] - tilts[2 * j + 1]) for i in range(17) for j in range(i + 1, 17))
        major = max(c.cobb_deg for c in p.curves)
        assert major - 1e-6 <= largest < major + 6.0


def test_every_landmark_is_there_and_finite(skeletons) -> None:
    extra = {f"{plate}_{side}" for plate in PLATES for side in ("ant", "post", "left", "right")}
    extra |= {"S1_left", "S1_right"} | {f"{v}_{part}" for v in VERTEBRAE for part in ("body", "ped_left", "ped_right")}
    for _, points in skeletons[:20]:
        assert set(points) == set(GALBUSERA39.names) | extra
        assert all(np.isfinite(xyz).all() and xyz.shape == (3,) and xyz.dtype == np.float64 for xyz in points.values())


def test_left_is_left_and_the_spine_is_in_order(skeletons) -> None:
    for p, points in skeletons:
        for name in points:
            partner = mirrored_name(name)
            if name.endswith(("_left", "_L")):
                assert points[name][0] > points[partner][0], (p, name)
        heights = [points[plate][2] for plate in (*PLATES, "S1_sup")]
        assert all(a > b for a, b in itertools.pairwise(heights))
        assert points["S1_sup"][2] > points["HIP_L"][2]


def test_margins_lie_symmetrically_about_their_centre(skeletons) -> None:
    _, points = skeletons[5]
    for plate in (*PLATES, "S1"):
        centre = points["S1_sup" if plate == "S1" else plate]
        for one, other in (("ant", "post"), ("left", "right")):
            assert (points[f"{plate}_{one}"] + points[f"{plate}_{other}"]) / 2 == pytest.approx(centre, abs=1e-9)


def test_sizes_are_human(skeletons) -> None:
    length = np.array([np.linalg.norm(q["T1_sup"] - q["S1_sup"]) for _, q in skeletons])
    hips = np.array([np.linalg.norm(q["HIP_L"] - q["HIP_R"]) for _, q in skeletons])
    plate = np.array([np.linalg.norm(q["L3_sup_left"] - q["L3_sup_right"]) for _, q in skeletons])
    assert 380 < length.mean() < 500
    assert length.min() > 280
    assert length.max() < 600
    assert 145 < hips.min()
    assert hips.max() < 205
    assert 36 < plate.mean() < 48


def test_everybody_stands_above_the_hips(skeletons) -> None:
    forward = np.array([(q["HIP_L"][1] + q["HIP_R"][1]) / 2 - q["T1_sup"][1] for _, q in skeletons])
    aside = np.array([q["T1_sup"][0] - q["S1_sup"][0] for _, q in skeletons])
    assert np.abs(forward).max() < 130
    assert np.abs(aside).max() < 75
    assert np.median(np.abs(aside)) < 15


@pytest.mark.parametrize(("side", "sign"), [("right", -1.0), ("left", 1.0)])
def test_the_apex_lies_and_turns_to_the_convex_side(side, sign) -> None:
    base = replace(sample_patient(1), coronal_shift_mm=0.0, pelvic_rotation_deg=0.0, pelvic_obliquity_deg=0.0)
    curved = replace(base, curves=(CoronalCurve("T5", "T12", 60.0, side),), rotation_per_cobb=0.32)
    points = posed(curved)
    chord = (points["T5_sup"] + points["T12_inf"]) / 2
    apex = points["T9_sup"]
    assert sign * (apex[0] - chord[0]) > 15.0
    assert sign * heading(points, "T9_sup") == pytest.approx(0.32 * 60, abs=3.0)


def test_the_same_seed_poses_the_same_spine_and_another_differs() -> None:
    p = sample_patient(9)
    first, again, other = posed(p, 9), posed(p, 9), posed(p, 10)
    assert all(np.array_equal(first[n], again[n]) for n in first)
    assert not np.allclose(first["T1_sup"], other["T1_sup"])


def test_listhesis_slips_l4_forward_on_l5() -> None:
    p = replace(sample_patient(1), condition="normal", listhesis_mm=0.0, curves=())
    still, slipped = posed(p), posed(replace(p, listhesis_mm=8.0))

    def step(points):
        axis = points["L5_sup_post"] - points["L5_sup_ant"]
        return (points["L5_sup"] - points["L4_inf"]) @ axis / np.linalg.norm(axis)

    assert step(slipped) - step(still) == pytest.approx(8.0, abs=0.1)  # the disc makes room for the slip

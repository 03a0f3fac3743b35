import numpy as np
import pytest

from spine.errors import ReconstructionRejected
from spine.landmarks import GALBUSERA39, VERTEBRAE, mirrored_name
from spine.reconstruction.checks import check_reconstruction, level_centres
from spine.reconstruction.names import canonical_name, known_names
from tests.spine.reconstruction.constructed_reconstructions import reconstruction, spine_points


def refusal(points, **fields):
    with pytest.raises(ReconstructionRejected) as caught:
        check_reconstruction(reconstruction(points, **fields))
    return caught.value


def changed(**points):
    return spine_points() | {name: np.array(xyz, dtype=float) for name, xyz in points.items()}


def every(transform):
    return {name: transform(xyz) for name, xyz in spine_points().items()}


def numbered_from_below():
    split = {name: name.split("_", 1) for name in spine_points() if name.split("_")[0] in VERTEBRAE}
    return {f"{VERTEBRAE[16 - VERTEBRAE.index(v)]}_{part}": spine_points()[n] for n, (v, part) in split.items()}


def test_a_spine_passes_and_so_does_each_part_of_it():
    check_reconstruction(reconstruction())
    check_reconstruction(reconstruction({n: spine_points()[n] for n in GALBUSERA39}))
    check_reconstruction(reconstruction({n: p for n, p in spine_points().items() if n.endswith("_body")}))
    check_reconstruction(reconstruction({n: p for n, p in spine_points().items() if n[0] == "L"}))
    check_reconstruction(reconstruction(spine_points(curve_mm=70.0)))


@pytest.mark.parametrize(
    ("points", "code"),
    [
        (every(lambda p: p / 1000), "UNITS_SUSPECT_METRES"),
        (every(lambda p: p / 10), "UNITS_SUSPECT_CENTIMETRES"),
        (every(lambda p: p * 10), "SIZE_IMPLAUSIBLE"),
        (every(lambda p: p * (1, 1, -1)), "LEVELS_REVERSED"),
        (numbered_from_below(), "LEVELS_REVERSED"),
        (every(lambda p: p[[0, 2, 1]]), "AXES_SUSPECT"),
        (every(lambda p: p * (-1, 1, 1)), "SIDES_SWAPPED"),
        (every(lambda p: p * (-1, -1, 1)), "SIDES_SWAPPED"),
        (every(lambda p: p * (1, -1, 1)), "FRONT_BACK_SWAPPED"),
        (changed(T3_sup=[np.nan, 0, 0]), "NOT_FINITE"),
        (changed(T3_sup=[np.inf, 0, 0]), "NOT_FINITE"),
        (changed(T14_sup=[0, 0, 0]), "POINT_UNKNOWN"),
        ({n: p for n, p in spine_points().items() if n.startswith(("T1_", "T2_"))}, "TOO_FEW_POINTS"),
        ({}, "TOO_FEW_POINTS"),
        (spine_points() | {"T5_sup": spine_points()["T5_inf"], "T5_inf": spine_points()["T5_sup"]}, "PLATES_REVERSED"),
        (changed(T5_body=spine_points()["T6_body"]), "POINTS_COINCIDE"),
        (changed(HIP_L=[90, 0, 0]), "HIPS_MISPLACED"),
        (changed(HIP_L=[-60, -10, -215]), "HIPS_MISPLACED"),
        (changed(HIP_L=[-95, -10, -215]), "SIDES_SWAPPED"),
        ({n: p + ((95, 0, 0) if n[:3] == "T8_" else 0) for n, p in spine_points().items()}, "POINT_OUTLIER"),
        ({n: p + ((0, 0, 60) if n[:3] == "T8_" else 0) for n, p in spine_points().items()}, "LEVELS_OUT_OF_ORDER"),
    ],
)
def test_points_that_cannot_be_a_spine_have_a_code(points, code):
    assert refusal(points).code == code


def test_all_findings_are_listed_and_the_first_gives_the_code():
    points = changed(HIP_L=[-95, -10, -215], T5_body=spine_points()["T6_body"])
    error = refusal(points, hip_radius_mm={"HIP_L": 400.0})
    assert error.code == "SIDES_SWAPPED"
    assert "POINTS_COINCIDE" in error.found
    assert "HIP_RADIUS_IMPLAUSIBLE" in error.found


def test_levels_are_named_and_unknown_names_are_counted():
    points = {n: p + ((0, 0, 60) if n.startswith("T8_") else 0) for n, p in spine_points().items()}
    assert "T8 above T7" in refusal(points).found
    assert "CANARY" not in str(refusal(changed(CANARY_SECRET=[0, 0, 0])))


def test_centres_come_from_top_to_bottom():
    centres = level_centres(spine_points())
    assert list(centres) == [*VERTEBRAE, "S1"]
    z = [c[2] for c in centres.values()]
    assert z == sorted(z, reverse=True)


def test_every_known_name_has_a_known_mirror_partner_and_spells_itself():
    assert {mirrored_name(n) for n in known_names()} == known_names()
    assert all(canonical_name(n.upper()) == n for n in known_names())
    assert canonical_name("T4_sup_centre") == "T4_sup"
    assert canonical_name("L2_ped_R") == "L2_ped_right"
    assert canonical_name("nothing") is canonical_name("L7_sup") is None


def with_extra(level, above, below):
    """``spine_points`` with an extra vertebra; everything below it is one step lower."""
    points = spine_points()
    low = points[f"{below}_sup"][2]
    names = [n for n in points if n.startswith(f"{above}_")]
    moved = {n: p - [0, 0, 25.0] if p[2] <= low + 0.5 else p for n, p in points.items()}
    return moved | {n.replace(above, level, 1): points[n] - [0, 0, 25.0] for n in names}


@pytest.mark.parametrize(("level", "above", "below"), [("T13", "T12", "L1"), ("L6", "L5", "S1")])
def test_an_extra_vertebra_is_known_and_in_its_place(level, above, below):
    points = with_extra(level, above, below)
    check_reconstruction(reconstruction(points))
    order = list(level_centres(points))
    assert order[order.index(level) - 1] == above
    assert order[order.index(level) + 1] == below
    assert canonical_name(f"{level.lower()}_inf_ant") == f"{level}_inf_ant"
    swapped = {n.replace("_sup", "_x").replace("_inf", "_sup").replace("_x", "_inf"): p for n, p in points.items()}
    turned = points | {n: p for n, p in swapped.items() if n.startswith(level)}
    assert refusal(turned).code == "PLATES_REVERSED"
    far = {n: p + np.array([0.0, 150.0, 0.0]) for n, p in points.items() if n.startswith(f"{level}_")}
    assert refusal(points | far).code == "POINT_OUTLIER"

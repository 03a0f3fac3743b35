"""Construction lines of measured parameters: they have the measured angles, and lie at the landmarks of the image."""

import numpy as np
import pytest

from spine.construction_lines import LEAST_CURVE_DEG, DrawnConstruction, drawn_constructions
from spine.landmarks import VIEWS, ViewName
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_view
from spine.measurement.registry import Measured
from spine.types import Floats
from tests.spine.measurement.constructed import constructed

SIZE = (400, 800)
SAGITTAL = {"T4_sup": 24.0, "T12_inf": -14.0, "L1_sup": -16.0, "L5_inf": 21.0}
CORONAL = {"T2_sup": -9.0, "T6_sup": 21.0, "L1_inf": -17.0, "L4_inf": 5.0}
IN_SPACE = constructed(SAGITTAL, CORONAL)
POINTS: dict[ViewName, dict[str, Floats]] = {
    view: {name: np.array([p[axis] + 200.0, 550.0 - p[2]]) for name, p in IN_SPACE.items()}
    for axis, view in enumerate(VIEWS)
}
"""An orthographic image of the spine in each view, with pixels of 1 mm."""

DRAWN = {
    "lateral": {
        *("thoracic_kyphosis_t4_t12", "lumbar_lordosis_l1_l5", "lumbar_lordosis_l1_s1", "lumbar_lordosis_l4_s1"),
        *("pelvic_incidence", "sacral_slope", "pelvic_tilt", "t1_pelvic_angle"),
    },
    "frontal": {"cobb", "cobb_secondary_cranial", "cobb_secondary_caudal", "coronal_balance_t1"},
}


def measured_in(view: ViewName, spacing_mm: tuple[float, float] = (1.0, 1.0)) -> dict[str, Measured]:
    points = {name: point / np.array(spacing_mm[::-1]) for name, point in POINTS[view].items()}
    return measure(planes_from_view(view, points, spacing_mm, "GEOMETRY"))


def drawn_in(view: ViewName, spacing_mm: tuple[float, float] = (1.0, 1.0)) -> dict[str, DrawnConstruction]:
    points = {name: point / np.array(spacing_mm[::-1]) for name, point in POINTS[view].items()}
    found = drawn_constructions(view, points, measured_in(view, spacing_mm), SIZE, spacing_mm)
    return {construction.parameter: construction for construction in found}


def angle_between(first: Floats, second: Floats, spacing_mm: tuple[float, float]) -> float:
    """Angle in degrees between the directions of two (2, 2) lines, in mm; at most 90."""
    one, other = ((line[1] - line[0]) * np.array(spacing_mm[::-1]) for line in (first, second))
    return float(np.degrees(np.arccos(abs(one @ other) / np.linalg.norm(one) / np.linalg.norm(other))))


@pytest.mark.parametrize("view", VIEWS)
def test_every_reported_angle_has_its_lines(view: ViewName) -> None:
    values = measured_in(view)
    flat = {n for n, m in values.items() if m.value is not None and n.startswith("cobb") and m.value < LEAST_CURVE_DEG}
    assert drawn_in(view).keys() == DRAWN[view] - flat
    assert "cobb" not in flat and len(drawn_in(view)) >= 3
    other: ViewName = "lateral" if view == "frontal" else "frontal"
    assert not drawn_constructions(other, POINTS[other], measured_in(view), SIZE), "the other view shows another plane"


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (1.2, 0.9)])
@pytest.mark.parametrize("view", VIEWS)
def test_the_drawn_angle_is_the_measured_one(view: ViewName, spacing_mm: tuple[float, float]) -> None:
    """Also with pixels that are not square, in which the lines have another angle than in the patient."""
    values = measured_in(view, spacing_mm)
    for name, construction in drawn_in(view, spacing_mm).items():
        value = values[name].value
        assert value is not None
        if values[name].unit == "mm":
            across = construction.lines[0][0, 0] - construction.lines[0][1, 0]
            assert across * spacing_mm[1] == pytest.approx(value, abs=1e-6)
            continue
        straight = [line for line in (*construction.lines, *construction.references) if len(line) == 2]
        drawn = angle_between(straight[0], straight[1], spacing_mm)
        assert drawn == pytest.approx(min(abs(value), 180 - abs(value)), abs=0.01), name


def test_plates_meet_where_their_arc_is_and_parallel_ones_have_none() -> None:
    kyphosis = drawn_in("lateral")["thoracic_kyphosis_t4_t12"]
    plates = [line for line in kyphosis.lines if len(line) == 2]
    for line, plate in zip(plates, ("T4_sup", "T12_inf"), strict=True):
        along, to_plate = line[1] - line[0], POINTS["lateral"][plate] - line[0]
        assert abs(along[0] * to_plate[1] - along[1] * to_plate[0]) / np.linalg.norm(along) < 1e-6, "through the plate"
    flat = {
        f"T{i}_{side}": np.array([100.0, 40.0 * i + (side == "inf") * 20])
        for i in range(1, 13)
        for side in ("sup", "inf")
    }
    flat |= {"S1_ant": np.array([90.0, 700.0]), "S1_post": np.array([110.0, 700.0])}
    straight = measure(planes_from_view("lateral", flat, None, "NONE"))
    (level,) = [d for d in drawn_constructions("lateral", flat, straight, SIZE) if d.parameter.startswith("thoracic")]
    assert all(len(line) == 2 for line in level.lines)


def test_nothing_is_drawn_for_absent_parameters_and_landmarks() -> None:
    values = measured_in("lateral")
    without = {name: point for name, point in POINTS["lateral"].items() if name != "HIP_L"}
    names = {d.parameter for d in drawn_constructions("lateral", without, values, SIZE)}
    assert "sacral_slope" in names and not names & {"pelvic_tilt", "pelvic_incidence", "t1_pelvic_angle"}
    absent = {"pelvic_tilt": Measured(None, "deg", "not seen", absent_code="LANDMARKS_NOT_SEEN")}
    assert drawn_constructions("lateral", POINTS["lateral"], absent, SIZE) == ()

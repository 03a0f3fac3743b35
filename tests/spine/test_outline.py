"""The outline of known landmarks: what is drawn, where, and what is left out."""

import numpy as np
import pytest

from spine.landmarks import HIPS, PLATES, S1_MARGINS, S1_PLATE, VIEWS, ViewName
from spine.outline import Label, Line, Outline, outline_of

SIZE = (250, 1150)
"""An image as tall as the labels are designed for: one unit is one pixel."""


def landmarks() -> dict[str, np.ndarray]:
    """A straight spine in column 100 with level plates 20 px apart, and a pelvis."""
    points = {plate: np.array([100.0, 40.0 + 20.0 * i]) for i, plate in enumerate(PLATES)}
    points |= {S1_PLATE: np.array([100.0, 740.0]), "HIP_L": np.array([150.0, 900.0]), "HIP_R": np.array([50.0, 904.0])}
    return points | {name: np.array([100.0 + 9 * i, 745.0]) for i, name in enumerate(S1_MARGINS, start=-1)}


def lines(outline: Outline, kind: str) -> list[Line]:
    return [line for line in outline.lines if line.kind == kind]


def labels(outline: Outline, kind: str) -> list[Label]:
    return [label for label in outline.labels if label.kind == kind]


def test_a_straight_spine_has_a_straight_curve_and_level_plates() -> None:
    points = landmarks()
    outline = outline_of("lateral", points, SIZE)
    (curve,) = lines(outline, "curve")
    assert curve.points[0] == pytest.approx(points["T1_sup"])
    assert curve.points[-1] == pytest.approx(points[S1_PLATE])
    assert np.allclose(curve.points[:, 0], 100.0)
    tilts = lines(outline, "tilt")
    assert len(tilts) == len(PLATES)
    assert all(abs(line.points[0, 1] - line.points[1, 1]) < 3.0 for line in tilts)
    assert len(outline.dots) == len(points)


def test_the_pelvis_is_joined_to_the_spine_in_the_lateral_view_alone() -> None:
    lateral, frontal = (outline_of(view, landmarks(), SIZE) for view in reversed(VIEWS))
    (pelvis,) = lines(lateral, "pelvis")
    assert pelvis.points == pytest.approx(np.array([[100.0, 740.0], [100.0, 902.0]]))
    assert not lines(frontal, "pelvis")
    assert [len(lines(frontal, kind)) for kind in ("sacrum", "hip_axis")] == [1, 1]
    assert len(frontal.rings) == 2


def test_a_plate_with_margins_is_drawn_between_them() -> None:
    points = {"T4_sup_left": np.array([130.0, 80.0]), "T4_sup_right": np.array([70.0, 90.0])}
    outline = outline_of("frontal", points, SIZE)
    (plate,) = lines(outline, "plate")
    assert plate.points == pytest.approx(np.array([[130.0, 80.0], [70.0, 90.0]]))
    assert not lines(outline, "tilt")
    side = {"T4_sup_ant": np.array([70.0, 80.0]), "T4_sup_post": np.array([130.0, 90.0])}
    assert len(lines(outline_of("lateral", side, SIZE), "plate_side")) == 1


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_drawn_for_absent_landmarks(view: ViewName) -> None:
    assert outline_of(view, {}, SIZE) == Outline((), (), (), ())
    alone = outline_of(view, {HIPS[0]: np.array([150.0, 900.0])}, SIZE)
    assert (alone.lines, len(alone.rings), [label.text for label in alone.labels]) == ((), 1, ["hip L"])
    twice = dict.fromkeys(("T1_sup", "T1_inf"), np.array([100.0, 40.0]))
    assert not lines(outline_of(view, twice, SIZE), "curve"), "points that coincide have no curve"


def test_labels_that_would_cover_one_another_are_left_out() -> None:
    points = landmarks()
    assert len(labels(outline_of("frontal", points, SIZE), "level")) == 18
    crowded = points | {name: np.array([100.0, 60.0]) for name in ("T2_sup", "T2_inf")}
    names = [label.text for label in labels(outline_of("frontal", crowded, SIZE), "level")]
    assert "T1" in names and "T2" not in names
    assert {label.text for label in labels(outline_of("frontal", points, SIZE), "hip")} == {"hip L", "hip R"}
    close = points | {"HIP_L": np.array([90.0, 900.0])}
    (hips,) = labels(outline_of("lateral", close, SIZE), "hip")
    assert (hips.text, hips.at[1]) == ("hips", 904.0 + 14.0)


@pytest.mark.parametrize("view", VIEWS)
def test_a_level_has_its_name_left_of_its_landmarks(view: ViewName) -> None:
    points = landmarks() | {"T6_sup_left": np.array([120.0, 240.0]), "T6_sup_right": np.array([70.0, 240.0])}
    names = {label.text: label for label in labels(outline_of(view, points, SIZE), "level")}
    pitch = 40.0
    assert names["T6"].at[0] < 70.0 and names["T5"].at[0] < 100.0 - pitch / 2
    assert names["T6"].at[0] > 70.0 - pitch and names["T6"].anchor == "right"
    assert names["T6"].at[1] == pytest.approx((points["T6_sup"] + points["T6_inf"])[1] / 2)

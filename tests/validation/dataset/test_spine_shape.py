import numpy as np
import pytest

from spine.landmarks import VERTEBRAE
from validation.dataset.spine_shape import (
    centre_measures,
    corner_measures,
    neighbour_residual,
    overlap_share,
    side_profile,
    smallest_sine,
    trend_residual,
    typical_gap,
    vertebrae_of,
)


def ladder(height=20.0, gap=8.0, width=40.0, turn_deg=0.0):
    """Equal upright rectangles, all turned about the origin; corner name -> (2,) pixels."""
    turn = np.radians(turn_deg)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corners = {}
    for i, level in enumerate(VERTEBRAE):
        top = 10.0 + i * (height + gap)
        for plate, row in (("sup", top), ("inf", top + height)):
            for side, column in (("left", width / 2), ("right", -width / 2)):
                corners[f"{level}_{plate}_{side}"] = rotation @ np.array([column, row])
    return corners


def measures(corners):
    vertebrae = vertebrae_of(corners)
    return centre_measures(vertebrae) | corner_measures(vertebrae)


@pytest.mark.parametrize("turn_deg", [0.0, 25.0, -40.0])
def test_measures_of_equal_vertebrae(turn_deg):
    found = measures(ladder(turn_deg=turn_deg))
    upright = np.cos(np.radians(turn_deg))
    assert found["plate_order"] == pytest.approx(upright)
    assert found["level_order"][1:] == pytest.approx(upright)
    assert found["gap"][1:] == pytest.approx(0.4)
    assert found["fill"][1:-1] == pytest.approx(1 / 1.4)
    assert found["left_on_left"] == pytest.approx(upright)
    assert found["corner_sine"] == pytest.approx(1.0)
    zero = ("step_residual", "wedge_deg", "disc_deg", "side_heights", "skew_deg", "overlap", "width_ratio")
    for name in zero:
        assert found[name][1:] == pytest.approx(0.0, abs=1e-9), name
    assert found["sidestep"][1:-1] == pytest.approx(0.0, abs=1e-9)
    assert typical_gap(vertebrae_of(ladder(turn_deg=turn_deg))) == pytest.approx(0.4)


def test_heights_of_end_and_inner_levels_are_separate_columns():
    found = measures(ladder())
    assert np.isfinite(found["height_residual"]).tolist() == [False] + [True] * 15 + [False]
    assert np.isfinite(found["end_height_residual"]).tolist() == [True] + [False] * 15 + [True]


def test_only_the_measures_of_an_absent_level_are_absent():
    corners = {n: p for n, p in ladder().items() if not n.startswith("T5_")}
    found = measures(corners)
    t5 = VERTEBRAE.index("T5")
    assert np.isnan(found["plate_order"][t5])
    assert np.isnan(found["gap"][[t5, t5 + 1]]).all()
    assert np.isfinite(found["gap"][t5 + 2 :]).all()
    assert found["level_order"][t5 + 1] == pytest.approx(1.0), "two levels below T4, and two steps"
    assert np.isfinite(np.delete(found["skew_deg"], t5)).all()


def test_two_levels_at_one_place_overlap_completely():
    corners = ladder()
    for corner in ("sup_left", "sup_right", "inf_left", "inf_right"):
        corners[f"L5_{corner}"] = corners[f"L4_{corner}"]
    found = measures(corners)
    assert found["gap"][-1] == pytest.approx(-1.0)
    assert found["overlap"][-1] == pytest.approx(1.0)
    assert found["step_residual"][-1] < -3


def test_overlap_share():
    square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
    assert overlap_share(square, square + [1.0, 0.0]) == pytest.approx(0.5)
    assert overlap_share(square, square * 0.5 + 0.5) == pytest.approx(1.0)
    assert overlap_share(square, square + [5.0, 0.0]) == 0.0
    turned = np.array([[1.0, -1.0], [3.0, 1.0], [1.0, 3.0], [-1.0, 1.0]])
    assert overlap_share(square, turned) == pytest.approx(1.0)


def test_smallest_sine_of_crossed_and_degenerate_corners():
    square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
    crossed, flat, mirrored = square[[0, 1, 3, 2]], square * [1.0, 0.0], square[::-1]
    found = smallest_sine(np.stack([square, crossed, flat, mirrored]))
    assert found[0] == pytest.approx(1.0)
    assert found[1] < 0
    assert found[2] == pytest.approx(0.0)
    assert found[3] == pytest.approx(-1.0)


def test_residuals_ignore_the_outlier_they_measure():
    values = 0.5 * np.arange(17.0)
    values[6] += 3.0
    residual = trend_residual(values)
    assert residual[6] == pytest.approx(3.0)
    assert np.delete(residual, 6) == pytest.approx(0.0, abs=1e-12)
    flat = np.ones(9)
    flat[4] = 2.0
    assert neighbour_residual(flat)[4] == pytest.approx(1.0)
    assert np.isnan(trend_residual(np.array([1.0, np.nan, 2.0]))).all()


def test_side_profile_is_independent_of_lean_and_size():
    corners = ladder()
    bent = {n: p + [9 * np.sin(p[1] / 150), 0.0] for n, p in corners.items()}
    larger = {n: 3 * p + [0.1 * p[1], 40.0] for n, p in bent.items()}
    mirrored = {n: p * [-1, 1] for n, p in bent.items()}
    course, same, other = (side_profile(c) for c in (bent, larger, mirrored))
    assert np.corrcoef(course, same)[0, 1] > 0.99
    assert np.corrcoef(course, other)[0, 1] < -0.99
    assert side_profile({n: p for n, p in corners.items() if n[:2] in ("T1", "T2", "T3")} | {}) is not None
    assert side_profile({n: p for n, p in corners.items() if n[:3] in ("T2_", "T3_")}) is None

"""The comparison of a second reader's landmarks with the labels, on constructed spines."""

import numpy as np
import pytest

from spine.landmarks import VERTEBRAE
from validation.dataset.second_reading import compared

STEP = 30.0


def spine(curve_px=40.0, first=0, count=17):
    """Plate centres of a curved spine; 30 pixels from one vertebra to the next."""
    points = {}
    for i in range(first, first + count):
        x = 200 + curve_px * np.sin(i / 16 * np.pi)
        y = 50 + STEP * i
        points[f"{VERTEBRAE[i]}_sup"], points[f"{VERTEBRAE[i]}_inf"] = np.array([x, y - 10]), np.array([x, y + 10])
    return points


def plates_named(levels):
    """(position of the new name, plate, point): the plates of a spine, with the names of other levels."""
    for name, point in spine().items():
        level, plate = name.split("_")
        if 0 <= VERTEBRAE.index(level) - levels < len(VERTEBRAE):
            yield VERTEBRAE.index(level) - levels, plate, point


def reading(found, labels, refusal=""):
    return compared("study", "frontal", "reader", found, labels, refusal)


def test_equal_points_agree():
    same = reading(spine(), spine())
    assert same.off_line == pytest.approx(0, abs=1e-9)
    assert same.shift == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("levels", [-2, -1, 1, 2])
def test_a_shift_of_names_is_a_shift_and_not_a_distance(levels):
    named = {f"{VERTEBRAE[i]}_{plate}": point for i, plate, point in plates_named(levels)}
    shifted = reading(named, spine())
    assert shifted.shift == pytest.approx(levels, abs=1e-6)
    assert shifted.off_line == pytest.approx(0, abs=1e-6)


def test_a_mirrored_spine_is_off_the_line():
    assert reading(spine(-40.0), spine(40.0)).off_line > 1.5


@pytest.mark.parametrize("moved", [15.0, -45.0])
def test_the_distance_is_in_steps(moved):
    found = {name: point + [moved, 0.0] for name, point in spine(0.0).items()}
    assert reading(found, spine(0.0)).off_line == pytest.approx(abs(moved) / STEP)


def test_a_part_of_the_spine_is_compared_with_its_levels():
    part = reading(spine(first=12, count=5), spine())
    assert (part.off_line, part.shift) == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))


@pytest.mark.parametrize(
    ("found", "labels", "refusal"),
    [
        ({}, spine(), "no spine is found"),
        (spine(count=2), spine(), ""),
        (spine(), spine(count=2), ""),
        (spine(), {}, ""),
    ],
)
def test_without_enough_vertebrae_or_after_a_refusal_nothing_is_compared(found, labels, refusal):
    none = reading(found, labels, refusal)
    assert (none.off_line, none.shift, none.refusal) == (None, None, refusal)

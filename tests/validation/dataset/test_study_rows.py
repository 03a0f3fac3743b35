"""Millimetres of levels in columns with an extra vertebra."""

import numpy as np
import pytest

from spine.landmarks import VERTEBRAE
from validation.dataset.study_rows import _millimetres

L1 = VERTEBRAE.index("L1")


def column(extra: str | None) -> dict[str, np.ndarray]:
    """Bodies of 22 mm with discs of 12 mm, straight down."""
    levels = [v for level in VERTEBRAE for v in (level, *((extra,) if extra and level == extra_above(extra) else ()))]
    places = (
        (f"{v}_{side}", -34.0 * i - lower) for i, v in enumerate(levels) for side, lower in (("sup", 0), ("inf", 22))
    )
    return {name: np.array([3.0, 5.0, z]) for name, z in places}


def extra_above(extra: str) -> str:
    return {"T13": "T12", "L6": "L5"}[extra]


@pytest.mark.parametrize("extra", [None, "T13", "L6"])
def test_an_extra_vertebra_does_not_change_the_distance_of_neighbours(extra):
    found = _millimetres(column(extra))
    assert found["step_mm"][1:] == pytest.approx(np.full(16, 34.0))
    assert found["below_previous_mm"][1:] == pytest.approx(np.full(16, 34.0))
    assert np.isnan(found["step_mm"][0])
    assert found["height_mm"] == pytest.approx(np.full(17, 22.0))


def test_an_extra_vertebra_without_points_is_ignored():
    points = {n: p for n, p in column("T13").items() if n != "T13_inf"}
    assert _millimetres(points)["step_mm"][L1] == pytest.approx(68.0)


def test_distances_to_a_missing_level_are_absent():
    found = _millimetres({n: p for n, p in column(None).items() if not n.startswith("L1_")})
    assert np.isnan(found["step_mm"][[L1, L1 + 1]]).all()
    assert np.isfinite(np.delete(found["step_mm"], [0, L1, L1 + 1])).all()

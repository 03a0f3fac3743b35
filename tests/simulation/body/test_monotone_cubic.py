"""Monotone cubic interpolation: the same bits as scipy's."""

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from simulation.body.monotone_cubic import monotone_cubic


@pytest.mark.parametrize("count", [3, 4, 7, 17])
def test_values_are_those_of_scipy(count: int) -> None:
    for seed in range(200):
        rng = np.random.default_rng([seed, count])
        x = np.cumsum(rng.uniform(0.01, 30.0, count))
        y = np.round(rng.normal(0, 50, (count, 4)), rng.integers(-1, 3))  # rounded, so that neighbours can be equal
        at = np.linspace(x[0], x[-1], 24)
        assert np.array_equal(monotone_cubic(x, y, at), PchipInterpolator(x, y)(at))


def test_a_rising_table_gives_a_rising_curve_through_its_points() -> None:
    x, y = np.array([0.0, 1.0, 1.5, 4.0]), np.array([[0.0], [0.1], [3.0], [3.1]])
    assert np.allclose(monotone_cubic(x, y, x), y)
    assert (np.diff(monotone_cubic(x, y, np.linspace(0, 4, 99))[:, 0]) >= 0).all()

"""Plausible values of parameters by their 90 % intervals, and how often they fall into a class.

Contract: values are drawn from normal distributions with the width of the intervals, always with the same random
numbers. The errors of sacral slope, pelvic tilt and of the upper plates of L1 and L4 are independent. Pelvic incidence
and lordosis follow from them, so PI = PT + SS holds in every draw. The first value is the measured one.
"""

from collections.abc import Mapping
from functools import cache
from math import erf, sqrt

import numpy as np
from numpy.typing import NDArray

from spine.measurement.registry import Measured

INTERVAL_SIGMAS = 1.6449
"""Half width of a 90 % interval of a normal distribution, in standard deviations."""

_DRAWS = 4000
Values = NDArray[np.float64]


def sigma_of(measured: Measured) -> float | None:
    """Standard deviation of a parameter by its 90 % interval; None without one.

    The upper half is taken, because the lower end of the interval of a curve may be cut at 0.
    """
    if measured.interval is None or measured.value is None:
        return None
    return (measured.interval[1] - measured.value) / INTERVAL_SIGMAS


def probability_below(limit: float, value: float, sigma: float) -> float:
    """Probability that a normal variable with mean ``value`` is below ``limit``."""
    return 0.5 * (1.0 + erf((limit - value) / (max(sigma, 1e-9) * sqrt(2.0))))


def plausible_values(parameters: Mapping[str, Measured], *names: str) -> Values:
    """(N, len(names)) plausible values of sagittal parameters that have values; one row if an interval is missing.

    ``names`` are of ``sacral_slope``, ``pelvic_tilt``, ``pelvic_incidence`` and the lordoses that end at S1.
    """
    measured = np.array([[parameters[name].value for name in names]], dtype=np.float64)
    slope, tilt = (sigma_of(parameters[name]) for name in ("sacral_slope", "pelvic_tilt"))
    if slope is None or tilt is None:
        return measured
    normal = _normal_draws()
    errors = {"sacral_slope": normal[0] * slope, "pelvic_tilt": normal[1] * tilt}
    errors["pelvic_incidence"] = errors["sacral_slope"] + errors["pelvic_tilt"]
    for name, column in (("lumbar_lordosis_l1_s1", normal[2]), ("lumbar_lordosis_l4_s1", normal[3])):
        sigma = sigma_of(parameters[name])
        if sigma is not None:
            errors[name] = errors["sacral_slope"] - column * sqrt(max(sigma**2 - slope**2, 0.0))
    if any(name not in errors for name in names):
        return measured
    return np.vstack([measured, measured + np.stack([errors[name] for name in names], axis=1)])


def share_of_first(classes: NDArray[np.int64]) -> float | None:
    """Share of (N,) plausible classes that equal the first, which is the measured one; None without others."""
    return None if len(classes) == 1 else float(np.mean(classes[1:] == classes[0]))


@cache
def _normal_draws() -> Values:
    return np.random.default_rng(20).standard_normal((4, _DRAWS))

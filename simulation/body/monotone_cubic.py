"""Monotone cubic interpolation of small tables.

``scipy.interpolate.PchipInterpolator`` gives the same values, bit for bit (a test compares them). Its checks took a
fifth of the time of a pose, and the poses limit how many patients a GPU can render.
"""

import numpy as np

from spine.types import Float, Floats


def monotone_cubic(x: Float[Floats, " K"], y: Float[Floats, "K D"], at: Float[Floats, " M"]) -> Float[Floats, "M D"]:
    """The values at ``at`` of a cubic through K >= 3 points that does not overshoot.

    Source: F. N. Fritsch and J. Butland, SIAM J. Sci. Comput. 5 (1984) 300-304; the ends as in C. Moler, Numerical
    Computing with Matlab, 2004.

    Args:
        x: rising positions.
        y: D values at each position.
        at: positions from ``x[0]`` to ``x[-1]``.
    """
    step = np.diff(x)[:, None]
    slope = np.diff(y, axis=0) / step
    tangent = _tangents(step, slope)
    t = (tangent[:-1] + tangent[1:] - 2 * slope) / step
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    s = (at - x[i])[:, None]
    value = y[i] + tangent[i] * s
    power = s * s
    value = value + ((slope - tangent[:-1]) / step - t)[i] * power
    return np.asarray(value + (t / step)[i] * (power * s))


def _tangents(step: Floats, slope: Floats) -> Floats:
    """(K, D) derivatives at the points: weighted harmonic means of the slopes beside a point, 0 at an extremum."""
    before, after = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    turns = (np.sign(slope[1:]) != np.sign(slope[:-1])) | (slope[1:] == 0) | (slope[:-1] == 0)
    first, second = np.where(turns, 1.0, slope[:-1]), np.where(turns, 1.0, slope[1:])
    inner = np.where(turns, 0.0, 1.0 / ((before / first + after / second) / (before + after)))
    ends = (_at_end(step[0], step[1], slope[0], slope[1]), _at_end(step[-1], step[-2], slope[-1], slope[-2]))
    return np.concatenate([ends[0][None], inner, ends[1][None]])


def _at_end(step: Floats, next_step: Floats, slope: Floats, next_slope: Floats) -> Floats:
    """(D,) derivatives at an end: of a parabola through three points, limited so that the curve keeps its shape."""
    tangent = ((2 * step + next_step) * slope - step * next_slope) / (step + next_step)
    wrong = np.sign(tangent) != np.sign(slope)
    steep = (np.sign(slope) != np.sign(next_slope)) & (np.abs(tangent) > 3.0 * np.abs(slope))
    tangent = np.where(~wrong & steep, 3.0 * slope, tangent)
    return np.where(wrong, 0.0, tangent)

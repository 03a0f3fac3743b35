"""Causes of the angle errors: tilts of single vertebrae, level shifts, and the effect of smoothing.

Contract: every radiograph counts. Angles are in degrees, offsets in vertebrae.
"""

import numpy as np
from numpy.typing import NDArray

from benchmarks.sim_to_real.level_matching import centres, match_levels, midline_tilts_deg
from spine.types import Floats


def diagnosis(found: Floats, corners: Floats, visible: NDArray[np.bool_], published_deg: Floats) -> dict[str, object]:
    """(N, 17, 4, 2) found and labelled pixels, (N, 17, 4), (N,) -> figures by name."""
    tilts = midline_tilts_deg(found)
    tilt_errors = np.abs(tilts - _labelled_tilt_there(found, corners))
    smooth = np.median(np.stack([np.roll(tilts, step, axis=1)[:, 1:-1] for step in (-1, 0, 1)]), axis=0)
    smooth = np.concatenate([tilts[:, :1], smooth, tilts[:, -1:]], axis=1)
    errors = {name: np.ptp(t, axis=1) - published_deg for name, t in (("plain", tilts), ("smooth", smooth))}
    shifts = np.array([match_levels(f, c, v).shift for f, c, v in zip(found, corners, visible, strict=True)])
    medians, tails = np.median(tilt_errors, axis=0), np.quantile(tilt_errors, 0.9, axis=0)
    return {
        "tilt error of a vertebra, median, least and most of 17": (float(medians.min()), float(medians.max())),
        "tilt error of a vertebra, 90th percentile, least and most of 17": (float(tails.min()), float(tails.max())),
        "Cobb error by best shift, mean": {
            int(s): float(np.abs(errors["plain"][shifts == s]).mean()) for s in np.unique(shifts)
        },
        "Cobb error, median of three neighbours, mean": float(np.abs(errors["smooth"]).mean()),
        "Cobb error, median of three neighbours, median": float(np.median(np.abs(errors["smooth"]))),
        "slope of the line through a vertebra's neighbours, error, median by level, T2 to L4": _slope_errors(
            found, corners
        ),
        "tilt of a vertebra per slope of the line through its neighbours, labelled, by level": _per_slope(corners),
        "the same for the found corners": _per_slope(found),
        "found below (+) or above (-) its label, vertebrae, median by level": [
            round(float(o), 2) for o in _offsets(found, corners)
        ],
    }


def _labelled_tilt_there(found: Floats, corners: Floats) -> Floats:
    """(N, 17) the labelled tilt at the height of each found vertebra, so that a level shift is not an error."""
    rows, there, labelled = centres(found)[..., 1], centres(corners)[..., 1], midline_tilts_deg(corners)
    return np.array([np.interp(r, t, tilt) for r, t, tilt in zip(rows, there, labelled, strict=True)])


def _line_slopes(corners: Floats) -> Floats:
    """(N, 17, 4, 2) -> (N, 15) slope of the line through the neighbours' centres of T2..L4, as a tilt in degrees."""
    middle = centres(corners)
    way = middle[:, 2:] - middle[:, :-2]
    return np.asarray(np.rad2deg(np.arctan2(-way[..., 0], way[..., 1])))


def _slope_errors(found: Floats, corners: Floats) -> list[float]:
    """Median difference between the slopes of the found and of the labelled line at the same height."""
    rows, there = centres(found)[:, 1:-1, 1], centres(corners)[:, 1:-1, 1]
    labelled = np.array([np.interp(r, t, s) for r, t, s in zip(rows, there, _line_slopes(corners), strict=True)])
    return [round(float(v), 1) for v in np.median(np.abs(_line_slopes(found) - labelled), axis=0)]


def _per_slope(corners: Floats) -> list[float]:
    """Regression of mid-line tilts on the slope of the line of centres, for each of T2..L4.

    It is 1 where plates are perpendicular to the column, and less where the column leans more than they do.
    """
    slopes, tilts = _line_slopes(corners), midline_tilts_deg(corners)[:, 1:-1]
    slopes, tilts = slopes - slopes.mean(axis=0), tilts - tilts.mean(axis=0)
    least = 1e-9  # a single radiograph has no regression
    return [round(float(v), 2) for v in (slopes * tilts).sum(axis=0) / np.maximum((slopes**2).sum(axis=0), least)]


def _offsets(found: Floats, corners: Floats) -> Floats:
    """(17,) median distance of the found vertebra below its label, in distances between labelled neighbours."""
    rows = centres(corners)[..., 1]
    steps = np.diff(rows, axis=1)
    steps = np.concatenate([steps, steps[:, -1:]], axis=1)
    return np.asarray(np.median((centres(found)[..., 1] - rows) / steps, axis=0))

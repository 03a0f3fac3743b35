"""Causes of the angle errors: tilts of single vertebrae, level shifts, and the effect of smoothing.

Contract: no radiograph is left out. Angles are in degrees, offsets in distances between vertebrae.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.sim_to_real.level_matching import centres, match_levels, midline_tilts_deg
from spine.types import Floats


def diagnosis(found: Floats, corners: Floats, visible: NDArray[np.bool_], published_deg: Floats) -> dict[str, Any]:
    """Name -> figure, from (N, 17, 4, 2) found and labelled corners, (N, 17, 4) visibility and (N,) angles."""
    tilts = midline_tilts_deg(found)
    tilt_errors = np.abs(tilts - _labelled_tilt_there(found, corners))
    smooth = np.median(np.stack([np.roll(tilts, step, axis=1)[:, 1:-1] for step in (-1, 0, 1)]), axis=0)
    smooth = np.concatenate([tilts[:, :1], smooth, tilts[:, -1:]], axis=1)
    errors = {name: np.ptp(t, axis=1) - published_deg for name, t in (("plain", tilts), ("smooth", smooth))}
    shifts = np.array([match_levels(f, c, v).shift for f, c, v in zip(found, corners, visible, strict=True)])
    medians, tails = np.median(tilt_errors, axis=0), np.quantile(tilt_errors, 0.9, axis=0)
    return {
        "tilt error of a vertebra, median, smallest and largest of 17": (float(medians.min()), float(medians.max())),
        "tilt error of a vertebra, 90th percentile, smallest and largest of 17": (
            float(tails.min()),
            float(tails.max()),
        ),
        "Cobb error for each best shift, mean": {
            int(s): float(np.abs(errors["plain"][shifts == s]).mean()) for s in np.unique(shifts)
        },
        "Cobb error if tilts are medians of three neighbours, mean": float(np.abs(errors["smooth"]).mean()),
        "Cobb error if tilts are medians of three neighbours, median": float(np.median(np.abs(errors["smooth"]))),
        "error of the slope of the line through the neighbours, median, T2 to L4": _slope_errors(found, corners),
        "ratio of tilt to the slope of the line through the neighbours, labels, T2 to L4": _per_slope(corners),
        "ratio of tilt to the slope of the line through the neighbours, found corners, T2 to L4": _per_slope(found),
        "vertebrae by which a vertebra is found below its label, median, T1 to L5": [
            round(float(o), 2) for o in _offsets(found, corners)
        ],
    }


def _labelled_tilt_there(found: Floats, corners: Floats) -> Floats:
    """(N, 17) labelled tilts at the height of each found vertebra, so that a level shift is not an error."""
    rows, there, labelled = centres(found)[..., 1], centres(corners)[..., 1], midline_tilts_deg(corners)
    return np.array([np.interp(r, t, tilt) for r, t, tilt in zip(rows, there, labelled, strict=True)])


def _line_slopes(corners: Floats) -> Floats:
    """(N, 15) slope of the line through the centres of the neighbours of T2..L4, as a tilt in degrees."""
    middle = centres(corners)
    way = middle[:, 2:] - middle[:, :-2]
    return np.asarray(np.rad2deg(np.arctan2(-way[..., 0], way[..., 1])))


def _slope_errors(found: Floats, corners: Floats) -> list[float]:
    """Median difference between the slopes of the found and of the labelled line at the same height."""
    rows, there = centres(found)[:, 1:-1, 1], centres(corners)[:, 1:-1, 1]
    labelled = np.array([np.interp(r, t, s) for r, t, s in zip(rows, there, _line_slopes(corners), strict=True)])
    return [round(float(v), 1) for v in np.median(np.abs(_line_slopes(found) - labelled), axis=0)]


def _per_slope(corners: Floats) -> list[float]:
    """For each of T2..L4, the regression of mid-line tilts on the slope of the line through the neighbours.

    It is 1 if plates are perpendicular to the column, and less if the column leans more than the plates.
    """
    slopes, tilts = _line_slopes(corners), midline_tilts_deg(corners)[:, 1:-1]
    slopes, tilts = slopes - slopes.mean(axis=0), tilts - tilts.mean(axis=0)
    least = 1e-9  # for a single radiograph, whose regression is undefined
    return [round(float(v), 2) for v in (slopes * tilts).sum(axis=0) / np.maximum((slopes**2).sum(axis=0), least)]


def _offsets(found: Floats, corners: Floats) -> Floats:
    """(17,) median distance of a found vertebra below its label, in distances between labelled vertebrae."""
    rows = centres(corners)[..., 1]
    steps = np.diff(rows, axis=1)
    steps = np.concatenate([steps, steps[:, -1:]], axis=1)
    return np.asarray(np.median((centres(found)[..., 1] - rows) / steps, axis=0))

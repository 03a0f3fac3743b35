"""Errors of found corners against labelled ones: level shift, distances, mid-line Cobb angle.

Contract: (..., 17, 4, 2) pixels (column, row); corners are upper left, upper right, lower left, lower right in the
image. A shift of +1 means that the found vertebra i lies on the labelled vertebra i + 1. The level names of these
labels are not consistent, so no figure compares absolute levels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.types import Floats

SHIFTS = (-2, -1, 0, 1, 2)
FAR_PX = 15.0
"""A vertebra's centre farther than this from its label, in pixels of 896 rows, is on another structure."""


def centres(corners: Floats) -> Floats:
    """(..., 17, 4, 2) -> (..., 17, 2)."""
    return np.asarray(corners, dtype=np.float64).mean(axis=-2)


@dataclass(frozen=True)
class Match:
    """One radiograph after the level shift that fits best.

    Attributes:
        shift: in levels.
        centre_px: (n,) distances of the centres that both columns have at this shift.
        corner_px: (n, 4) distances of their corners.
    """

    shift: int
    centre_px: Floats
    corner_px: Floats


def match_levels(found: Floats, labelled: Floats, visible: NDArray[np.bool_]) -> Match:
    """The match with the least mean distance of centres; shift 0 wins a tie.

    Raises:
        ValueError: no labelled vertebra is visible.
    """
    matches = [_shifted(found, labelled, visible, shift) for shift in sorted(SHIFTS, key=abs)]
    known = [m for m in matches if m.centre_px.size]
    if not known:
        raise ValueError("found no labelled vertebra in the image; expected at least one: leave this radiograph out")
    return min(known, key=lambda m: float(m.centre_px.mean()))


def _shifted(found: Floats, labelled: Floats, visible: NDArray[np.bool_], shift: int) -> Match:
    count = found.shape[0]
    here = np.arange(max(0, -shift), min(count, count - shift))
    here = here[visible[here + shift].all(axis=1)]
    corner_px = np.linalg.norm(found[here] - labelled[here + shift], axis=-1)
    centre_px = np.linalg.norm(centres(found[here]) - centres(labelled[here + shift]), axis=-1)
    return Match(shift, centre_px, corner_px)


def midline_tilts_deg(corners: Floats) -> Floats:
    """(..., 17, 4, 2) -> (..., 17) angle of the mid-line, left to right, with the image's rows, degrees."""
    middle = corners[..., [1, 3], :].mean(axis=-2) - corners[..., [0, 2], :].mean(axis=-2)
    return np.asarray(np.degrees(np.arctan2(middle[..., 1], middle[..., 0])))


def major_cobb_deg(corners: Floats, visible: NDArray[np.bool_]) -> float:
    """Largest angle between two mid-lines of (17, 4, 2) corners, over vertebrae that are completely visible.

    Raises:
        ValueError: fewer than two such vertebrae.
    """
    tilts = midline_tilts_deg(np.asarray(corners, dtype=np.float64))[visible.all(axis=-1)]
    if tilts.size < 2:
        raise ValueError(f"found {tilts.size} vertebrae in the image; expected two or more: leave this radiograph out")
    between = np.abs(tilts[:, None] - tilts[None, :])
    return float(np.minimum(between, 360.0 - between).max())

"""Errors of found corners relative to labelled ones: level shift, distances, mid-line Cobb angle.

Contract: (..., 17, 4, 2) pixels (column, row). Corners are upper left, upper right, lower left, lower right in the
image. With a shift of +1, the found vertebra i is compared with the labelled vertebra i + 1. The level names of these
labels are not consistent, so no figure compares absolute levels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.types import Floats

SHIFTS = (-2, -1, 0, 1, 2)
FAR_PX = 15.0
"""If the centre of a found vertebra is farther than this from its label, in pixels of 896 rows, it is not a match."""


def centres(corners: Floats) -> Floats:
    """(..., 17, 2) centres of vertebrae from (..., 17, 4, 2) corners."""
    return np.asarray(corners, dtype=np.float64).mean(axis=-2)


@dataclass(frozen=True)
class Match:
    """The errors of one radiograph at one level shift.

    Attributes:
        shift: in levels.
        centre_px: (n,) distances between the centres of the vertebrae that found and labelled corners have in common.
        corner_px: (n, 4) distances of their corners.
    """

    shift: int
    centre_px: Floats
    corner_px: Floats


def match_levels(found: Floats, labelled: Floats, visible: NDArray[np.bool_]) -> Match:
    """The match with the smallest mean distance of centres; of equal matches, the smallest shift is chosen.

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
    """(..., 17) angles in degrees between the mid-line of a vertebra, from left to right, and the rows of the image."""
    middle = corners[..., [1, 3], :].mean(axis=-2) - corners[..., [0, 2], :].mean(axis=-2)
    return np.asarray(np.degrees(np.arctan2(middle[..., 1], middle[..., 0])))


def major_cobb_deg(corners: Floats, visible: NDArray[np.bool_]) -> float:
    """Largest angle in degrees between two mid-lines, over the vertebrae that are completely visible.

    Raises:
        ValueError: fewer than two vertebrae are completely visible.
    """
    tilts = midline_tilts_deg(np.asarray(corners, dtype=np.float64))[visible.all(axis=-1)]
    if tilts.size < 2:
        raise ValueError(f"found {tilts.size} vertebrae in the image; expected two or more: leave this radiograph out")
    between = np.abs(tilts[:, None] - tilts[None, :])
    return float(np.minimum(between, 360.0 - between).max())

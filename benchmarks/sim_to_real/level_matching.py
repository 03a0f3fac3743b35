"""From found and labelled corners to errors: level shift, distances, mid-line Cobb angle.

Contract: (..., 17, 4, 2) (column, row) pixels, corners upper left, upper right, lower left, lower right in the image;
a shift of +1 says that the found vertebra i lies on the labelled vertebra i + 1. Level names of these labels are not
consistent (docs and facts/published-results.md), so no figure here compares absolute levels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHIFTS = (-2, -1, 0, 1, 2)
FAR_PX = 15.0
"""A vertebra's centre farther than this (of 896 rows) from its labelled place is on something else."""

Floats = NDArray[np.float64]


def centres(corners: Floats) -> Floats:
    """(..., 17, 4, 2) -> (..., 17, 2)."""
    return np.asarray(corners, dtype=np.float64).mean(axis=-2)


@dataclass(frozen=True)
class Match:
    """One radiograph after its best single level shift.

    Attributes:
        shift: levels.
        centre_px: (n,) distances of the centres that both chains have at this shift.
        corner_px: (n, 4) of their corners.
    """

    shift: int
    centre_px: Floats
    corner_px: Floats


def match_chain(found: Floats, labelled: Floats, visible: NDArray[np.bool_]) -> Match:
    """(17, 4, 2), (17, 4, 2), (17, 4) -> the shift with the least mean distance of centres; 0 wins a tie."""
    matches = [_shifted(found, labelled, visible, shift) for shift in sorted(SHIFTS, key=abs)]
    known = [m for m in matches if m.centre_px.size]
    if not known:
        raise ValueError("no labelled vertebra lies in the image: nothing to match")
    return min(known, key=lambda m: float(m.centre_px.mean()))


def _shifted(found: Floats, labelled: Floats, visible: NDArray[np.bool_], shift: int) -> Match:
    count = found.shape[0]
    here = np.arange(max(0, -shift), min(count, count - shift))
    here = here[visible[here + shift].all(axis=1)]
    corner_px = np.linalg.norm(found[here] - labelled[here + shift], axis=-1)
    centre_px = np.linalg.norm(centres(found[here]) - centres(labelled[here + shift]), axis=-1)
    return Match(shift, centre_px, corner_px)


def midline_tilts_deg(corners: Floats) -> Floats:
    """(..., 17, 4, 2) -> (..., 17) direction of the mid-line, left to right, from the image's rows; degrees."""
    middle = corners[..., [1, 3], :].mean(axis=-2) - corners[..., [0, 2], :].mean(axis=-2)
    return np.asarray(np.degrees(np.arctan2(middle[..., 1], middle[..., 0])))


def major_cobb_deg(corners: Floats, visible: NDArray[np.bool_]) -> float:
    """Largest angle between any two mid-lines of (17, 4, 2) corners, over vertebrae wholly in the image.

    Raises:
        ValueError: fewer than two vertebrae.
    """
    tilts = midline_tilts_deg(np.asarray(corners, dtype=np.float64))[visible.all(axis=-1)]
    if tilts.size < 2:
        raise ValueError("fewer than two vertebrae in the image: no angle between them")
    between = np.abs(tilts[:, None] - tilts[None, :])
    return float(np.minimum(between, 360.0 - between).max())

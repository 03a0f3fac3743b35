"""Finds landmarks in regions of the image without any contrast, for example behind a black bar.

A network also finds landmarks behind a rectangle of one grey value, with the same confidence as elsewhere. But a
radiograph shows contrast around every vertebra. A landmark is therefore dropped if the window around it, half as high
as a vertebra, has a single grey value. At the edge of a blank region, the window is larger.

Contract: grey values are compared after preprocessing, as the network receives them.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inference.vertebral_column import centres_of, pitch_of
from spine.landmarks import HIPS
from spine.types import Float, Floats

SAME_GREY = 0.002
"""Grey values (-1 to 1) that differ by at most this are treated as equal. The number is less than one grey value of an
8-bit radiograph, so dark radiographs keep their contrast."""

_REACH = 0.25
"""Half the side of a window, as a fraction of the distance between the centres of neighbouring vertebrae."""

_MIN_RADIUS = 3
_HEAD = 4
"""A femoral head is about this many windows wide. If it is overexposed, only its rim shows where its centre is."""

_WIDE = 2
"""Factor on the window for a landmark at the edge of a blank region, because overexposed bone has small patches of one
grey value."""


def in_blank_regions(
    pixels: Float[NDArray[np.float32], "H W"], points: Mapping[str, Float[Floats, " 2"]]
) -> tuple[str, ...]:
    """The landmarks that lie in a blank region. ``points`` are (column, row) in ``pixels``."""
    if not points:
        return ()
    names, (height, width) = list(points), pixels.shape
    at = np.rint(np.stack(list(points.values()))).astype(int)
    column, row = np.clip(at[:, 0], 1, width - 2), np.clip(at[:, 1], 1, height - 2)
    # Three neighbours of the same grey value are rare, so few windows have to be cut out.
    here = pixels[row, column]
    like = [np.abs(pixels[row + r, column + c] - here) <= SAME_GREY for r, c in ((0, 1), (1, 0), (-1, -1))]
    candidates = np.flatnonzero(np.logical_and.reduce(like))
    if not len(candidates):
        return ()
    radius = max(_MIN_RADIUS, round(_REACH * (pitch_of(centres_of(points)) or 0.0)))
    places = {names[i]: (int(column[i]), int(row[i])) for i in candidates}
    return tuple(name for name, place in places.items() if _is_blank(pixels, *place, radius, head=name in HIPS))


def _is_blank(pixels: NDArray[np.float32], column: int, row: int, radius: int, *, head: bool) -> bool:
    """Whether a blank window is centred at the position, or a wide blank window has its edge or corner there."""
    if head or _has_one_grey(pixels, column, row, radius):
        return _has_one_grey(pixels, column, row, _HEAD * radius if head else radius)
    wide = _WIDE * radius
    moves = (0, wide - 1, 1 - wide)
    return any(_has_one_grey(pixels, column + across, row + down, wide) for across in moves for down in moves)


def _has_one_grey(pixels: NDArray[np.float32], column: int, row: int, radius: int) -> bool:
    window = pixels[max(row - radius, 0) : row + radius + 1, max(column - radius, 0) : column + radius + 1]
    return window.size > 0 and float(np.ptp(window)) <= SAME_GREY

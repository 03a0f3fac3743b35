"""Landmarks where nothing is drawn: what the network only supposes behind a bar of one grey.

A network that sees a spine go in above a black rectangle and come out below it puts vertebrae into it, as surely as
elsewhere. No radiograph is of one grey around a vertebra: a landmark that lies in any window of half a vertebra with
not the slightest difference of grey is not seen, whether in its middle or at its edge.

Contract: greys are compared as the network gets them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.vertebral_column import centres_of, pitch_of
from spine.landmarks import HIPS, VERTEBRAE, level_of
from spine.measurement.registry import Measured
from spine.types import Floats

SAME_GREY = 0.002
"""Of a range of 2: less than one grey of an 8-bit radiograph, so that no radiograph is too dark to count as drawn."""

_REACH = 0.25
"""A window reaches so far each way, of the distance between the middles of neighbouring vertebrae."""

_LEAST_RADIUS = 3
_HEAD = 4
"""A femoral head is about so many times the window; where beams burn it out, its rim is what shows its middle."""

_WIDE = 2
"""A cover in whose edge a landmark lies is as large as a vertebra and more; bone that is burnt out is not, mostly."""

_HOLE = 2
"""Vertebrae in a row without which a curve is not known."""

_CURVES = ("cobb", "cobb_midline", "cobb_secondary_cranial", "cobb_secondary_caudal")


def in_blank_regions(pixels: NDArray[np.float32], points: Mapping[str, Floats]) -> tuple[str, ...]:
    """The landmarks around which nothing is drawn.

    Args:
        pixels: (H, W) as the network gets them.
        points: landmark -> (2,) (column, row) in them.
    """
    if not points:
        return ()
    names, (height, width) = list(points), pixels.shape
    at = np.rint(np.stack(list(points.values()))).astype(int)
    column, row = np.clip(at[:, 0], 1, width - 2), np.clip(at[:, 1], 1, height - 2)
    # Hardly any landmark has three like neighbours: windows are cut for those alone.
    here = pixels[row, column]
    like = [np.abs(pixels[row + r, column + c] - here) <= SAME_GREY for r, c in ((0, 1), (1, 0), (-1, -1))]
    candidates = np.flatnonzero(np.logical_and.reduce(like))
    if not len(candidates):
        return ()
    radius = max(_LEAST_RADIUS, round(_REACH * (pitch_of(centres_of(points)) or 0.0)))
    places = {names[i]: (int(column[i]), int(row[i])) for i in candidates}
    return tuple(name for name, place in places.items() if _even(pixels, *place, radius, head=name in HIPS))


def _even(pixels: NDArray[np.float32], column: int, row: int, radius: int, *, head: bool) -> bool:
    """Whether a window of one grey lies around the place, or a wide one has it a pixel from its edge or corner."""
    if head or _of_one_grey(pixels, column, row, radius):
        return _of_one_grey(pixels, column, row, _HEAD * radius if head else radius)
    wide = _WIDE * radius
    moves = (0, wide - 1, 1 - wide)
    return any(_of_one_grey(pixels, column + across, row + down, wide) for across in moves for down in moves)


def _of_one_grey(pixels: NDArray[np.float32], column: int, row: int, radius: int) -> bool:
    window = pixels[max(row - radius, 0) : row + radius + 1, max(column - radius, 0) : column + radius + 1]
    return window.size > 0 and float(np.ptp(window)) <= SAME_GREY


def hole_of(lost: Sequence[str], kept: Sequence[str]) -> tuple[str, ...]:
    """Vertebrae inside a chain of which more landmarks were lost than kept, if enough of them lie in a row."""
    if not lost:
        return ()
    gone = [_count(lost, v) > _count(kept, v) for v in VERTEBRAE]
    seen = [i for i, v in enumerate(VERTEBRAE) if _count(kept, v) and not gone[i]]
    if not seen:
        return ()
    inside = [i for i in range(seen[0], seen[-1]) if gone[i]]
    rows = [i for i in inside if any(set(range(k, k + _HOLE)) <= set(inside) for k in range(i - _HOLE + 1, i + 1))]
    return tuple(VERTEBRAE[i] for i in rows)


def _count(names: Sequence[str], vertebra: str) -> int:
    return sum(level_of(name) == vertebra for name in names)


def without_curves(parameters: Mapping[str, Measured], hole: Sequence[str]) -> dict[str, Measured]:
    """The same, without the curves of a spine whose middle is hidden: the largest may be there."""
    if not hole:
        return dict(parameters)
    reason = f"the curve is not known: nothing is drawn at {', '.join(hole)}"
    hidden = {
        n: Measured(None, m.unit, reason, absent_code="LANDMARKS_IN_BLANK_REGION")
        for n, m in parameters.items()
        if n in _CURVES and not m.is_absent
    }
    return {**parameters, **hidden}

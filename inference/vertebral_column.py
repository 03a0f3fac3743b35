"""Positions of the vertebrae on one image: their centres, the distance between them, and the lean of the spine.

Contract: points are (column, row) in pixels of any frame. Too few vertebrae give None.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from spine.landmarks import LEVELS, VERTEBRAE, ViewName, level_of
from spine.types import Float, Floats

MAX_LEAN_DEG: Mapping[ViewName, float] = {"frontal": 11.0, "lateral": 18.0}
"""Warn when the spine leans more than this. Frontal: 0 of 481 real radiographs and 3 of 528 virtual patients lean more.
Lateral: people stoop, so the limit is larger. 0 of 200 virtual patients lean more, and 1 % lean 16 degrees or more. No
real lateral radiograph was available."""

_MIN_VERTEBRAE = 6


def centres_of(points: Mapping[str, Float[Floats, " 2"]]) -> dict[str, Float[Floats, " 2"]]:
    """Vertebra -> (2,) mean of its landmarks, from T1 down; a vertebra without a landmark has no key."""
    of_level: dict[str, list[Floats]] = {}
    for name, point in points.items():
        of_level.setdefault(level_of(name), []).append(point)
    return {v: np.add.reduce(of_level[v]) / len(of_level[v]) for v in VERTEBRAE if v in of_level}


def field_of_view(points: Mapping[str, Float[Floats, " 2"]]) -> str | None:
    """The part of the spine that is found, such as ``lumbar, T12 to S1``; None without a vertebra.

    It is ``whole`` from T4 or higher to L5, ``thoracolumbar`` from T10 or higher and ``lumbar`` from below T10.
    """
    levels = {level_of(name) for name in points}
    found = [level for level in LEVELS if level in levels]
    if not found:
        return None
    first = LEVELS.index(found[0])
    part = "lumbar" if first > LEVELS.index("T10") else "thoracolumbar"
    if first <= LEVELS.index("T4"):
        part = "whole" if found[-1] in ("L5", "S1") else "thoracic"
    return f"{part}, {found[0]} to {found[-1]}"


def pitch_of(centres: Mapping[str, Float[Floats, " 2"]]) -> float | None:
    """Median distance of neighbouring vertebrae; None if no two vertebrae are neighbours."""
    pairs = [(a, b) for a, b in pairwise(VERTEBRAE) if a in centres and b in centres]
    if not pairs:
        return None
    apart = np.stack([centres[b] for _, b in pairs]) - np.stack([centres[a] for a, _ in pairs])
    return float(np.median(np.hypot(apart[:, 0], apart[:, 1])))


def lean_of(points: Mapping[str, Float[Floats, " 2"]], spacing_mm: tuple[float, float] | None = None) -> float | None:
    """Angle in degrees between the line from the highest to the lowest found vertebra and the image's columns.

    Without a (row, column) spacing, pixels are assumed to be square.
    """
    levels = {level_of(name) for name in points}
    found = [vertebra for vertebra in VERTEBRAE if vertebra in levels]
    if len(found) < _MIN_VERTEBRAE:
        return None
    top, bottom = found[0], found[-1]
    row_mm, column_mm = spacing_mm or (1.0, 1.0)
    ends = centres_of({name: point for name, point in points.items() if level_of(name) in (top, bottom)})
    across, down = ends[bottom] - ends[top]
    return float(np.degrees(np.arctan2(across * column_mm, down * row_mm)))


def lean_notes(lean_deg: float | None, view: ViewName) -> Sequence[str]:
    """The warning about a spine with this lean; none if the lean is within its limit."""
    if lean_deg is None or abs(lean_deg) <= MAX_LEAN_DEG[view]:
        return ()
    return (
        f"the spine in the {view} radiograph leans by {abs(lean_deg):.0f} degrees: the radiograph may be turned. Every "
        "angle against the horizontal or vertical would then be wrong by the same amount",
    )

"""Where the vertebrae of one image lie: their middles, how far apart, and how far the whole chain leans.

Contract: (column, row) in pixels of any frame; nothing is told of fewer vertebrae than it takes.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from spine.landmarks import VERTEBRAE, ViewName, level_of
from spine.types import Floats

MAX_LEAN_DEG: Mapping[ViewName, float] = {"frontal": 11.0, "lateral": 18.0}
"""A spine whose ends lie farther from upright than this is told of. Frontal: none of 481 real radiographs and 3 of 528
virtual patients lean so much as they stand. Lateral, where people do stoop: none of 200 virtual patients (one in a
hundred by 16 degrees); no real radiograph was at hand."""

_LEAST_VERTEBRAE = 6


def centres_of(points: Mapping[str, Floats]) -> dict[str, Floats]:
    """Vertebra -> (2,) mean of its landmarks, from T1 down; those with a landmark at least."""
    of_level: dict[str, list[Floats]] = {}
    for name, point in points.items():
        of_level.setdefault(level_of(name), []).append(point)
    return {v: np.add.reduce(of_level[v]) / len(of_level[v]) for v in VERTEBRAE if v in of_level}


def pitch_of(centres: Mapping[str, Floats]) -> float | None:
    """Median distance of neighbouring vertebrae, None where no two are neighbours."""
    pairs = [(a, b) for a, b in pairwise(VERTEBRAE) if a in centres and b in centres]
    if not pairs:
        return None
    apart = np.stack([centres[b] for _, b in pairs]) - np.stack([centres[a] for a, _ in pairs])
    return float(np.median(np.hypot(apart[:, 0], apart[:, 1])))


def lean_of(points: Mapping[str, Floats], spacing_mm: tuple[float, float] | None = None) -> float | None:
    """Degrees by which the line from the highest to the lowest found vertebra departs from the image's columns.

    Args:
        points: landmark -> (2,) (column, row).
        spacing_mm: (row, column) spacing; None takes pixels as square.
    """
    levels = {level_of(name) for name in points}
    chain = [vertebra for vertebra in VERTEBRAE if vertebra in levels]
    if len(chain) < _LEAST_VERTEBRAE:
        return None
    row_mm, column_mm = spacing_mm or (1.0, 1.0)
    ends = centres_of({name: point for name, point in points.items() if level_of(name) in (chain[0], chain[-1])})
    across, down = ends[chain[-1]] - ends[chain[0]]
    return float(np.degrees(np.arctan2(across * column_mm, down * row_mm)))


def turned(lean_deg: float | None, view: ViewName) -> Sequence[str]:
    """What to tell of a radiograph whose spine leans so."""
    if lean_deg is None or abs(lean_deg) <= MAX_LEAN_DEG[view]:
        return ()
    return (
        f"the spine in the {view} radiograph leans by {abs(lean_deg):.0f} degrees: it may be turned, and what is "
        "measured against upright or level is then off by as much",
    )

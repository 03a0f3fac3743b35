"""Where the vertebrae of one picture lie: their middles, and how far apart.

What belongs here: that, of landmarks that were found. What does not: which vertebra is which (``levels``), whether it
is a spine at all (``refusal``), angles (``spine.measurement``). Contract: (column, row) in pixels of any frame; nothing
is told of fewer vertebrae than it takes.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from spine.landmarks import VERTEBRAE, level_of
from spine.scanner import Floats


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

"""Which lateral curves patients have: patterns of end vertebrae, sides and sizes.

What belongs here: the frequency of curve patterns and Cobb angles. What does not: the shape of a curve between
its end vertebrae (``curvature``). Contract: curves cranial to caudal, neighbours share an end vertebra and
alternate in side. Sources (docs/sources.md, curve patterns): Lenke types (thoracic curves convex to the right, lumbar
to the left by convention), Cobb 10-90 degrees in AIS, 10-40 in degenerative lumbar scoliosis; the shares are ours.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from spine.landmarks import VERTEBRAE
from spine.phantom.parameters import Condition, CoronalCurve, Side

# Pattern -> (share, end vertebrae cranial to caudal, convexity of the first curve, Cobb of each relative to the major)
_AIS: Mapping[str, tuple[float, Sequence[str], Side, Sequence[float]]] = {
    "single thoracic": (0.36, ("T5", "T12"), "right", (1.0,)),
    "double": (0.22, ("T5", "T11", "L4"), "right", (1.0, 0.85)),
    "single thoracolumbar": (0.14, ("T9", "L3"), "left", (1.0,)),
    "single lumbar": (0.12, ("T11", "L4"), "left", (1.0,)),
    "double thoracic": (0.08, ("T1", "T5", "T12"), "left", (0.65, 1.0)),
    "triple": (0.08, ("T1", "T5", "T11", "L4"), "left", (0.55, 1.0, 0.8)),
}


def sample_curves(rng: np.random.Generator, condition: Condition) -> tuple[CoronalCurve, ...]:
    """Draw the lateral curves of one patient."""
    if condition == "scoliotic":
        return _sample_ais(rng)
    if condition == "degenerative":
        major = float(np.clip(rng.gamma(1.6, 8.0), 1.0, 42.0))
        ends = (f"T{rng.integers(10, 13)}", f"L{rng.integers(3, 5)}")
        return _curves(ends, "left" if rng.random() < 0.55 else "right", (major,))
    major = float(rng.uniform(0.5, 8.0))
    ends = (f"T{rng.integers(4, 8)}", f"T{rng.integers(10, 13)}")
    return _curves(ends, "right" if rng.random() < 0.6 else "left", (major,))


def _sample_ais(rng: np.random.Generator) -> tuple[CoronalCurve, ...]:
    shares = np.asarray([entry[0] for entry in _AIS.values()])
    _, ends, side, relative = list(_AIS.values())[int(rng.choice(len(_AIS), p=shares / shares.sum()))]
    # A gamma distribution cut at 80: many mild curves, a tail of surgical ones.
    major = 10.0 + float(np.clip(rng.gamma(1.7, 14.0), 0.5, 70.0))
    sizes = [major * r * float(rng.uniform(0.85, 1.15)) if r < 1 else major for r in relative]
    mirrored = rng.random() < 0.12
    return _curves(_shifted(rng, ends), _opposite(side) if mirrored else side, [min(s, major) for s in sizes])


def _shifted(rng: np.random.Generator, ends: Sequence[str]) -> list[str]:
    """End vertebrae moved by up to one level, kept in order and inside T1-L5."""
    moved = [VERTEBRAE.index(end) + int(rng.integers(-1, 2)) for end in ends]
    moved = [int(np.clip(m, 0, len(VERTEBRAE) - 1)) for m in moved]
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + 3)
    return [VERTEBRAE[m] for m in moved]


def _opposite(side: Side) -> Side:
    return "right" if side == "left" else "left"


def _curves(ends: Sequence[str], first: Side, sizes: Sequence[float]) -> tuple[CoronalCurve, ...]:
    sides: list[Side] = [first if i % 2 == 0 else _opposite(first) for i in range(len(sizes))]
    pairs = pairwise(ends)
    return tuple(
        CoronalCurve(upper, lower, float(size), side)
        for (upper, lower), size, side in zip(pairs, sizes, sides, strict=True)
    )

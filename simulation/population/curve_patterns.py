"""Samples the lateral curves of a patient: end vertebrae, side, Cobb angle, and the share of wedged bodies.

Contract: curves are listed from cranial to caudal. Neighbouring curves share an end vertebra and have opposite sides.

Sources (docs/sources.md, curve patterns): the patterns are Lenke types. Most thoracic curves are convex to the right,
most lumbar curves to the left. Cobb angles are 10-90 degrees in adolescent scoliosis (AIS), sampled from the bands of
``published``, and 10-60 degrees in adult deformity. The shares of the patterns are a choice. The share of the Cobb
angle that comes from wedged bodies is also a choice: 0.58 in a thoracic, 0.42 in a lumbar and 0.30 in a degenerative
curve. With these shares, an apical body wedges by 0.1 to 0.2 of the Cobb angle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from simulation.anatomy import VertebralColumn
from simulation.parameters import CoronalCurve, largest_cobb
from simulation.population.published import COBB_BANDS
from simulation.vocabulary import Condition, Side

# Pattern -> share of patients, end vertebrae cranial to caudal, side of the first curve, Cobb angles relative to the
# largest
_AIS: Mapping[str, tuple[float, Sequence[str], Side, Sequence[float]]] = {
    "single thoracic": (0.36, ("T5", "T12"), "right", (1.0,)),
    "double": (0.22, ("T5", "T11", "L4"), "right", (1.0, 0.85)),
    "single thoracolumbar": (0.14, ("T9", "L3"), "left", (1.0,)),
    "single lumbar": (0.12, ("T11", "L4"), "left", (1.0,)),
    "double thoracic": (0.08, ("T1", "T5", "T12"), "left", (0.65, 1.0)),
    "triple": (0.08, ("T1", "T5", "T11", "L4"), "left", (0.55, 1.0, 0.8)),
}
_PATTERN_EDGES = np.cumsum([entry[0] for entry in _AIS.values()])
_BAND_EDGES = np.cumsum([share for share, _ in COBB_BANDS.values()])
# Mean and SD of the normal distribution of each band. After truncation to the band, they equal the published values.
_BAND_NORMALS = ((21.3, 5.4), (17.7, 12.9), (25.3, 27.5))
_BODY_SHARE = {"thoracic": 0.58, "lumbar": 0.42, "degenerative": 0.30}


def sample_curves(rng: np.random.Generator, condition: Condition, column: VertebralColumn) -> tuple[CoronalCurve, ...]:
    """Sample the lateral curves of one patient without surgery. ``surgery`` samples the curves of operated patients."""
    if condition == "adolescent_scoliosis":
        return sample_ais(rng, column)
    if condition == "adult_deformity":
        return _degenerative(rng, column, 10.0 + float(np.clip(rng.gamma(2.0, 8.0), 0.5, 50.0)))
    if condition == "degenerative":
        return _degenerative(rng, column, float(np.clip(rng.gamma(1.6, 5.0), 1.0, 30.0)))
    return _minor(rng, column)


def _minor(rng: np.random.Generator, column: VertebralColumn) -> tuple[CoronalCurve, ...]:
    """One curve of less than ten degrees, because no spine is exactly straight."""
    ends = (f"T{rng.integers(4, 8)}", f"T{rng.integers(10, 13)}")
    side: Side = "right" if rng.random() < 0.6 else "left"
    return _curves(rng, column, ends, side, (float(rng.uniform(0.5, 8.0)),))


def _degenerative(rng: np.random.Generator, column: VertebralColumn, major: float) -> tuple[CoronalCurve, ...]:
    """A lumbar curve from degenerated discs. Above a large lumbar curve, there is often a smaller curve."""
    ends = [f"T{rng.integers(10, 13)}", f"L{rng.integers(3, 5)}"]
    side: Side = "left" if rng.random() < 0.55 else "right"
    if major < 25 or rng.random() < 0.4:
        return _curves(rng, column, ends, side, (major,), "degenerative")
    above = major * float(rng.uniform(0.3, 0.7))
    return _curves(rng, column, [f"T{rng.integers(4, 7)}", *ends], opposite(side), (above, major), "degenerative")


def sample_ais(rng: np.random.Generator, column: VertebralColumn) -> tuple[CoronalCurve, ...]:
    """Sample the curves of adolescent idiopathic scoliosis."""
    place = int(np.searchsorted(_PATTERN_EDGES, rng.random() * _PATTERN_EDGES[-1], side="right"))
    _, ends, side, relative = list(_AIS.values())[min(place, len(_AIS) - 1)]
    major = sample_cobb(rng)
    sizes = [min(major, major * r * float(rng.uniform(0.85, 1.15))) if r < 1 else major for r in relative]
    first = opposite(side) if rng.random() < 0.12 else side
    return _curves(rng, column, _shifted(rng, ends, column), first, sizes)


def sample_cobb(rng: np.random.Generator) -> float:
    """Sample the major Cobb angle of adolescent scoliosis, degrees."""
    band = min(int(np.searchsorted(_BAND_EDGES, rng.random(), side="right")), len(_BAND_NORMALS) - 1)
    (low, high), (mean, deviation) = list(COBB_BANDS)[band], _BAND_NORMALS[band]
    while True:
        value = mean + deviation * float(rng.standard_normal())
        if low <= value <= high:
            return value


def scaled_curves(
    curves: Sequence[CoronalCurve], major_deg: float, column: VertebralColumn
) -> tuple[CoronalCurve, ...]:
    """The curves, scaled so that the largest has ``major_deg``, or as much as its vertebrae allow."""
    factor = major_deg / max(curve.cobb_deg for curve in curves)
    return tuple(
        replace(curve, cobb_deg=min(curve.cobb_deg * factor, largest_cobb(curve, column.mobile))) for curve in curves
    )


def _shifted(rng: np.random.Generator, ends: Sequence[str], column: VertebralColumn) -> list[str]:
    """Move each end vertebra by up to one level; the result stays in order and inside the column."""
    last = len(column.mobile) - 1
    moved = [column.mobile.index(end) + int(rng.integers(-1, 2)) for end in ends]
    moved = [min(max(m, 0), last) for m in moved]
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + 3)
    return [column.mobile[m] for m in moved]


def opposite(side: Side) -> Side:
    """The opposite side."""
    return "right" if side == "left" else "left"


def _curves(
    rng: np.random.Generator,
    column: VertebralColumn,
    ends: Sequence[str],
    first: Side,
    sizes: Sequence[float],
    cause: str | None = None,
) -> tuple[CoronalCurve, ...]:
    curves = []
    for i, ((upper, lower), size) in enumerate(zip(pairwise(ends), sizes, strict=True)):
        middle = (column.mobile.index(upper) + column.mobile.index(lower)) / 2
        kind = cause or ("thoracic" if middle < column.mobile.index("T11") else "lumbar")
        share = _BODY_SHARE[kind] + 0.04 * float(np.clip(rng.standard_normal(), -2.0, 2.0))
        curves.append(CoronalCurve(upper, lower, float(size), first if i % 2 == 0 else opposite(first), share))
    return tuple(curves)

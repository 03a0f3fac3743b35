"""The shape of one labelled spine in one image, in units of itself.

Contract: everything is (column, row) pixels in, ratios and degrees out; 17 rows T1..L5 cranial to caudal; what cannot
be computed is NaN, and only there, because these arrays become columns of a table whose nulls the validation counts.

Directions are taken along the chain of vertebrae, not along the image's rows, so that a severe curve is no
fault. "Residual" is the logarithm of a ratio to a robust trend over the levels (Theil 1950, Sen 1968).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import VERTEBRAE
from spine.projection import derive_points
from spine.study import Points2D
from spine.types import Floats

COUNT = len(VERTEBRAE)


@dataclass(frozen=True)
class Chain:
    """Plates of T1..L5 in one image: (17, 2) (column, row) each, NaN where absent."""

    upper: Floats
    lower: Floats
    upper_left: Floats
    upper_right: Floats
    lower_left: Floats
    lower_right: Floats

    @property
    def centres(self) -> Floats:
        """(17, 2) middle between both plates."""
        middle: Floats = (self.upper + self.lower) / 2
        return middle

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(17,) whether both plates are known."""
        return np.asarray(np.isfinite(self.centres).all(axis=1))

    @property
    def heights(self) -> Floats:
        """(17,) distance between the plates' centres, pixels."""
        return np.asarray(np.linalg.norm(self.lower - self.upper, axis=1), dtype=np.float64)

    @property
    def widths(self) -> Floats:
        """(17,) mean length of both plates, pixels."""
        upper = np.linalg.norm(self.upper_left - self.upper_right, axis=1)
        lower = np.linalg.norm(self.lower_left - self.lower_right, axis=1)
        return np.asarray((upper + lower) / 2, dtype=np.float64)


def chain_of(points: Points2D) -> Chain:
    """Arrange a view's points; plate centres follow from corners where they are not given."""
    known = derive_points(points)

    def stacked(suffix: str) -> Floats:
        absent = np.full(2, np.nan)
        return np.stack([known.get(f"{level}_{suffix}", absent) for level in VERTEBRAE])

    return Chain(
        stacked("sup"),
        stacked("inf"),
        stacked("sup_left"),
        stacked("sup_right"),
        stacked("inf_left"),
        stacked("inf_right"),
    )


def centre_measures(chain: Chain) -> dict[str, Floats]:
    """Measures that need plate centres only; column -> (17,).

    - ``plate_order``: rows from upper to lower plate centre, in heights of the vertebra (1 = upright);
    - ``level_order``: rows from the level above, in median steps of the radiograph;
    - ``height_residual``: log height against the radiograph's trend, T2..L4; ``end_height_residual``: T1 and L5, which
      cropping and lordosis shorten;
    - ``step_residual``: log distance to the level above against the trend of such distances;
    - ``gap``: space to the level above along the chain, in median heights; negative: overlap;
    - ``sidestep``: distance from the middle of both neighbours across the chain, in median steps.
    """
    centres, heights = chain.centres, chain.heights
    steps = np.diff(centres, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    along = steps / np.where(lengths > 0, lengths, np.nan)[:, None]
    step = _median(lengths)
    residual = trend_residual(_log(heights))
    ends = np.isin(np.arange(COUNT), (0, COUNT - 1))
    gaps = np.sum((chain.upper[1:] - chain.lower[:-1]) * along, axis=1)
    # two levels in one place have no direction between them: they overlap by all their height
    gaps = np.where(lengths == 0, -heights[:-1], gaps)
    return {
        "plate_order": (chain.lower - chain.upper)[:, 1] / np.where(heights > 0, heights, np.nan),
        "level_order": _shifted(steps[:, 1] / step),
        "height_residual": np.where(ends, np.nan, residual),
        "end_height_residual": np.where(ends, residual, np.nan),
        "step_residual": _shifted(trend_residual(_log(lengths))),
        "gap": _shifted(gaps / _median(heights)),
        "sidestep": _sidesteps(centres) / step,
    }


def corner_measures(chain: Chain) -> dict[str, Floats]:
    """Measures that need the four corners; column -> (17,).

    - ``left_on_left``: columns from the right to the left corner of the worse plate, in widths of the vertebra;
    - ``corner_sine``: smallest sine of a corner going round; negative: crossed, zero: degenerate;
    - ``width_ratio``: log width against the median of the two neighbours on each side;
    - ``wedge_deg``: angle between both plates; ``disc_deg``: between the upper plate and the lower plate above;
    - ``side_heights``: |log| ratio of the left and right heights;
    - ``skew_deg``: angle between the mid-line and the perpendicular to the chain;
    - ``overlap``: share of the smaller of two neighbouring vertebrae that both cover.
    """
    upper, lower = chain.upper_left - chain.upper_right, chain.lower_left - chain.lower_right
    widths = np.where(chain.widths > 0, chain.widths, np.nan)
    upper_deg, lower_deg = _direction(upper), _direction(lower)
    left = np.linalg.norm(chain.lower_left - chain.upper_left, axis=1)
    right = np.linalg.norm(chain.lower_right - chain.upper_right, axis=1)
    middle_deg = _direction(upper / widths[:, None] + lower / widths[:, None])
    rounds = np.stack([chain.upper_right, chain.upper_left, chain.lower_left, chain.lower_right], axis=1)
    return {
        "left_on_left": np.minimum(upper[:, 0], lower[:, 0]) / widths,
        "corner_sine": smallest_sine(rounds),
        "width_ratio": neighbour_residual(_log(widths)),
        "wedge_deg": np.abs(wrap_deg(upper_deg - lower_deg)),
        "disc_deg": _shifted(np.abs(wrap_deg(upper_deg[1:] - lower_deg[:-1]))),
        "side_heights": np.abs(_log(left) - _log(right)),
        "skew_deg": np.abs(wrap_deg(middle_deg - _perpendicular_deg(chain.centres))),
        "overlap": _shifted(np.array([overlap_share(a, b) for a, b in pairwise(rounds)])),
    }


def typical_gap(chain: Chain) -> float:
    """Median over neighbours of the space between two vertebrae in heights of these; NaN where there are none.

    About 0.4 on radiographs; near or above 1 where discs, or narrow bands of vertebrae, were labelled as vertebrae.
    """
    between = np.linalg.norm(chain.upper[1:] - chain.lower[:-1], axis=1)
    heights = np.sqrt(chain.heights[1:] * chain.heights[:-1])
    return _median(between / np.where(heights > 0, heights, np.nan))


def side_profile(points: Points2D, samples: int = 50) -> Floats | None:
    """(samples,) sideways course of a spine along its length, straight line removed, in spine lengths.

    None where fewer than six levels are known or their rows do not descend.
    """
    centres = chain_of(points).centres
    centres = centres[np.isfinite(centres).all(axis=1)]
    if len(centres) < 6 or np.any(np.diff(centres[:, 1]) <= 0):
        return None
    rows = np.linspace(centres[0, 1], centres[-1, 1], samples)
    columns = np.interp(rows, centres[:, 1], centres[:, 0])
    course: Floats = columns - np.polyval(np.polyfit(rows - rows[0], columns, 1), rows - rows[0])
    return np.asarray(course / (rows[-1] - rows[0]), dtype=np.float64)


def trend_residual(values: Floats) -> Floats:
    """(N,) distance from the Theil-Sen line over the finite values; NaN stays NaN."""
    residual = np.full(len(values), np.nan)
    at = np.flatnonzero(np.isfinite(values))
    if len(at) >= 4:
        first, second = np.triu_indices(len(at), 1)
        slope = np.median((values[at[second]] - values[at[first]]) / (at[second] - at[first]))
        residual[at] = values[at] - slope * at - np.median(values[at] - slope * at)
    return residual


def neighbour_residual(values: Floats) -> Floats:
    """(N,) distance from the median of up to two finite values on each side."""
    residual = np.full(len(values), np.nan)
    for i in np.flatnonzero(np.isfinite(values)):
        around = np.concatenate([values[max(0, i - 2) : i], values[i + 1 : i + 3]])
        if np.isfinite(around).sum() >= 2:
            residual[i] = values[i] - np.nanmedian(around)
    return residual


def smallest_sine(rounds: Floats) -> Floats:
    """(N,) smallest sine of the turns of N polygons (N, M, 2), positive for clockwise in the image."""
    edges = np.roll(rounds, -1, axis=1) - rounds
    following = np.roll(edges, -1, axis=1)
    cross = edges[..., 0] * following[..., 1] - edges[..., 1] * following[..., 0]
    lengths = np.linalg.norm(edges, axis=-1) * np.linalg.norm(following, axis=-1)
    sines: Floats = np.where(lengths > 0, cross / np.where(lengths > 0, lengths, 1.0), 0.0)
    return np.asarray(np.where(np.isfinite(rounds).all(axis=(1, 2)), sines.min(axis=1), np.nan), dtype=np.float64)


def overlap_share(first: Floats, second: Floats) -> float:
    """Area common to two convex polygons (M, 2) over the smaller of both areas (Sutherland-Hodgman clipping)."""
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return float("nan")
    smaller = min(abs(_area(first)), abs(_area(second)))
    if smaller == 0:
        return 0.0
    common = list(first)
    for start, end in zip(second, np.roll(second, -1, axis=0), strict=True):
        common = _clip(common, start, end)
        if not common:
            return 0.0
    return abs(_area(np.array(common))) / smaller


def _clip(polygon: list[Floats], start: Floats, end: Floats) -> list[Floats]:
    """The part of ``polygon`` to the right (clockwise side) of the line from ``start`` to ``end``."""
    edge = end - start
    inside = [edge[0] * (p[1] - start[1]) - edge[1] * (p[0] - start[0]) for p in polygon]
    kept: list[Floats] = []
    for i, here in enumerate(inside):
        before = inside[i - 1]
        if (before >= 0) != (here >= 0):
            kept.append(polygon[i - 1] + (polygon[i] - polygon[i - 1]) * (before / (before - here)))
        if here >= 0:
            kept.append(polygon[i])
    return kept


def _area(polygon: Floats) -> float:
    x, y = polygon[:, 0], polygon[:, 1]
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)


def wrap_deg(angle: Floats) -> Floats:
    """Angles in degrees brought into [-180, 180)."""
    wrapped: Floats = (angle + 180.0) % 360.0 - 180.0
    return wrapped


def merged(*parts: Mapping[str, Floats]) -> dict[str, Floats]:
    """All columns of several sets of measures."""
    return {name: values for part in parts for name, values in part.items()}


def _direction(vectors: Floats) -> Floats:
    return np.asarray(np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])), dtype=np.float64)


def _perpendicular_deg(centres: Floats) -> Floats:
    """(17,) direction to the patient's left across the chain, from the neighbours on both sides."""
    absent = np.full((1, 2), np.nan)
    above, below = np.concatenate([absent, centres[:-1]]), np.concatenate([centres[1:], absent])
    along = np.where(np.isnan(below), centres, below) - np.where(np.isnan(above), centres, above)
    return np.asarray(np.degrees(np.arctan2(-along[:, 0], along[:, 1])), dtype=np.float64)


def _sidesteps(centres: Floats) -> Floats:
    across = np.full(COUNT, np.nan)
    chord = centres[2:] - centres[:-2]
    length = np.linalg.norm(chord, axis=1)
    off = centres[1:-1] - (centres[2:] + centres[:-2]) / 2
    cross = np.abs(off[:, 0] * chord[:, 1] - off[:, 1] * chord[:, 0])
    across[1:-1] = np.where(length > 0, cross / np.where(length > 0, length, 1.0), np.inf)
    across[1:-1][~np.isfinite(length)] = np.nan
    return across


def _shifted(values: Floats) -> Floats:
    """Values between levels, put at the lower of both; NaN at T1."""
    return np.concatenate([[np.nan], values])


def _log(values: Floats) -> Floats:
    return np.log(np.where(values > 0, values, np.where(np.isnan(values), np.nan, 1e-6)))


def _median(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")

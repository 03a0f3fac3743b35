"""The shape of one labelled spine in one image, relative to the size of the spine.

Contract: the input is in (column, row) pixels. The output is in ratios and degrees, in 17 rows T1..L5 from cranial to
caudal. A value is NaN only where it cannot be computed, because the validation counts the nulls of these columns.

Directions follow the vertebral column and not the rows of the image, so that a severe curve is not an error. A
"residual" is the logarithm of the ratio to a robust trend over the levels (Theil 1950, Sen 1968).
"""

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
class Vertebrae:
    """End plates of T1..L5 in one image: centres and corners, (17, 2) (column, row) each, NaN where absent."""

    upper: Floats
    lower: Floats
    upper_left: Floats
    upper_right: Floats
    lower_left: Floats
    lower_right: Floats

    @property
    def centres(self) -> Floats:
        """(17, 2) points midway between the centres of the two plates."""
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
        """(17,) mean length of the two plates, pixels."""
        upper = np.linalg.norm(self.upper_left - self.upper_right, axis=1)
        lower = np.linalg.norm(self.lower_left - self.lower_right, axis=1)
        return np.asarray((upper + lower) / 2, dtype=np.float64)


def vertebrae_of(points: Points2D) -> Vertebrae:
    """Arrange the points of a view by level. A plate centre that is not given is derived from corners."""
    known = derive_points(points)

    def stacked(suffix: str) -> Floats:
        absent = np.full(2, np.nan)
        return np.stack([known.get(f"{level}_{suffix}", absent) for level in VERTEBRAE])

    return Vertebrae(*map(stacked, ("sup", "inf", "sup_left", "sup_right", "inf_left", "inf_right")))


def centre_measures(vertebrae: Vertebrae) -> dict[str, Floats]:
    """Measures that need plate centres only; column -> (17,).

    - ``plate_order``: image rows from the upper to the lower plate centre, in vertebral heights (1 = upright);
    - ``level_order``: image rows from the nearest level above that is known, for each level between the two, in median
      distances between the levels of the radiograph;
    - ``height_residual``: residual of the height, for T2..L4;
    - ``end_height_residual``: residual of the height, for T1 and L5, which cropping and lordosis shorten;
    - ``step_residual``: residual of the distance to the level above;
    - ``gap``: space to the level above along the vertebral column, in median heights; negative for an overlap;
    - ``fill``: height of the vertebra as a share of its height plus the mean space to its two neighbours;
    - ``sidestep``: distance from the line through the two neighbours, in median distances between levels.
    """
    centres, heights = vertebrae.centres, vertebrae.heights
    steps = np.diff(centres, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    along = steps / np.where(lengths > 0, lengths, np.nan)[:, None]
    step = _median(lengths)
    residual = trend_residual(_log(heights))
    ends = np.isin(np.arange(COUNT), (0, COUNT - 1))
    gaps = np.sum((vertebrae.upper[1:] - vertebrae.lower[:-1]) * along, axis=1)
    # two levels at the same place have no direction between them: they overlap by their whole height
    gaps = np.where(lengths == 0, -heights[:-1], gaps)
    return {
        "plate_order": (vertebrae.lower - vertebrae.upper)[:, 1] / np.where(heights > 0, heights, np.nan),
        "level_order": _rows_a_level(centres[:, 1]) / step,
        "height_residual": np.where(ends, np.nan, residual),
        "end_height_residual": np.where(ends, residual, np.nan),
        "step_residual": _shifted(trend_residual(_log(lengths))),
        "gap": _shifted(gaps / _median(heights)),
        "fill": _fills(heights, gaps),
        "sidestep": _sidesteps(centres) / step,
    }


def corner_measures(vertebrae: Vertebrae) -> dict[str, Floats]:
    """Measures that need the four corners; column -> (17,).

    - ``left_on_left``: image columns from the right to the left corner of the worse plate, in vertebral widths;
    - ``corner_sine``: smallest sine of a corner of the outline; negative if the outline crosses itself, zero if it is
      degenerate;
    - ``width_ratio``: logarithm of the width, minus its median over the two neighbours on each side;
    - ``wedge_deg``: angle between the two plates; ``disc_deg``: angle between the two plates of the disc above;
    - ``side_heights``: absolute logarithm of the ratio of the left height to the right height;
    - ``skew_deg``: angle between the mean direction of the plates and the perpendicular to the vertebral column;
    - ``overlap``: common area with the vertebra above, as a share of the smaller vertebra.
    """
    upper, lower = vertebrae.upper_left - vertebrae.upper_right, vertebrae.lower_left - vertebrae.lower_right
    widths = np.where(vertebrae.widths > 0, vertebrae.widths, np.nan)
    upper_deg, lower_deg = _direction(upper), _direction(lower)
    left = np.linalg.norm(vertebrae.lower_left - vertebrae.upper_left, axis=1)
    right = np.linalg.norm(vertebrae.lower_right - vertebrae.upper_right, axis=1)
    middle_deg = _direction(upper / widths[:, None] + lower / widths[:, None])
    order = (vertebrae.upper_right, vertebrae.upper_left, vertebrae.lower_left, vertebrae.lower_right)
    outlines = np.stack(order, axis=1)
    return {
        "left_on_left": np.minimum(upper[:, 0], lower[:, 0]) / widths,
        "corner_sine": smallest_sine(outlines),
        "width_ratio": neighbour_residual(_log(widths)),
        "wedge_deg": np.abs(wrap_deg(upper_deg - lower_deg)),
        "disc_deg": _shifted(np.abs(wrap_deg(upper_deg[1:] - lower_deg[:-1]))),
        "side_heights": np.abs(_log(left) - _log(right)),
        "skew_deg": np.abs(wrap_deg(middle_deg - _perpendicular_deg(vertebrae.centres))),
        "overlap": _shifted(np.array([overlap_share(a, b) for a, b in pairwise(outlines)])),
    }


def typical_gap(vertebrae: Vertebrae) -> float:
    """Median space between neighbouring vertebrae, in vertebral heights; NaN if no neighbours are known.

    The value is about 0.4 on radiographs, and near or above 1 if discs or narrow bands were labelled as vertebrae.
    """
    between = np.linalg.norm(vertebrae.upper[1:] - vertebrae.lower[:-1], axis=1)
    heights = np.sqrt(vertebrae.heights[1:] * vertebrae.heights[:-1])
    return _median(between / np.where(heights > 0, heights, np.nan))


def side_profile(points: Points2D, samples: int = 50) -> Floats | None:
    """(samples,) sideways deviation of a spine from a straight line along its length, in spine lengths.

    None if fewer than six levels are known, or if a level does not lie below the level above it.
    """
    centres = vertebrae_of(points).centres
    centres = centres[np.isfinite(centres).all(axis=1)]
    if len(centres) < 6 or np.any(np.diff(centres[:, 1]) <= 0):
        return None
    rows = np.linspace(centres[0, 1], centres[-1, 1], samples)
    columns = np.interp(rows, centres[:, 1], centres[:, 0])
    course: Floats = columns - np.polyval(np.polyfit(rows - rows[0], columns, 1), rows - rows[0])
    return np.asarray(course / (rows[-1] - rows[0]), dtype=np.float64)


def trend_residual(values: Floats) -> Floats:
    """(N,) difference from the Theil-Sen line of the finite values; NaN stays NaN."""
    residual = np.full(len(values), np.nan)
    at = np.flatnonzero(np.isfinite(values))
    if len(at) >= 4:
        first, second = np.triu_indices(len(at), 1)
        slope = np.median((values[at[second]] - values[at[first]]) / (at[second] - at[first]))
        residual[at] = values[at] - slope * at - np.median(values[at] - slope * at)
    return residual


def neighbour_residual(values: Floats) -> Floats:
    """(N,) difference from the median of the finite values among the two neighbours on each side."""
    residual = np.full(len(values), np.nan)
    for i in np.flatnonzero(np.isfinite(values)):
        around = np.concatenate([values[max(0, i - 2) : i], values[i + 1 : i + 3]])
        if np.isfinite(around).sum() >= 2:
            residual[i] = values[i] - np.nanmedian(around)
    return residual


def smallest_sine(outlines: Floats) -> Floats:
    """(N,) smallest sine of the turns of (N, M, 2) polygons; a clockwise turn in the image is positive."""
    edges = np.roll(outlines, -1, axis=1) - outlines
    following = np.roll(edges, -1, axis=1)
    cross = edges[..., 0] * following[..., 1] - edges[..., 1] * following[..., 0]
    lengths = np.linalg.norm(edges, axis=-1) * np.linalg.norm(following, axis=-1)
    sines: Floats = np.where(lengths > 0, cross / np.where(lengths > 0, lengths, 1.0), 0.0)
    return np.asarray(np.where(np.isfinite(outlines).all(axis=(1, 2)), sines.min(axis=1), np.nan), dtype=np.float64)


def overlap_share(first: Floats, second: Floats) -> float:
    """Common area of two convex (M, 2) polygons, as a share of the smaller polygon (Sutherland-Hodgman)."""
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
    """Angles in degrees, wrapped to [-180, 180)."""
    wrapped: Floats = (angle + 180.0) % 360.0 - 180.0
    return wrapped


def _direction(vectors: Floats) -> Floats:
    return np.asarray(np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])), dtype=np.float64)


def _perpendicular_deg(centres: Floats) -> Floats:
    """(17,) direction to the patient's left across the vertebral column, from the neighbours of each level."""
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


def _fills(heights: Floats, gaps: Floats) -> Floats:
    """(17,) from (17,) heights and (16,) spaces; NaN at T1 and L5."""
    space = np.concatenate([[np.nan], (gaps[:-1] + gaps[1:]) / 2, [np.nan]])
    return np.asarray(heights / np.where(heights + space > 0, heights + space, np.nan), dtype=np.float64)


def _rows_a_level(rows: Floats) -> Floats:
    """(17,) rows from the nearest known level above, divided by the number of levels in between; NaN for the first."""
    found, known = np.full(COUNT, np.nan), np.flatnonzero(np.isfinite(rows))
    found[known[1:]] = np.diff(rows[known]) / np.diff(known)
    return found


def _shifted(values: Floats) -> Floats:
    """Values between two levels, assigned to the lower level; NaN at T1."""
    return np.concatenate([[np.nan], values])


def _log(values: Floats) -> Floats:
    return np.log(np.where(values > 0, values, np.where(np.isnan(values), np.nan, 1e-6)))


def _median(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")

"""Converts heat maps to landmarks, and is the only module that defines the position of a heat-map cell.

Along an axis of n cells, cell i has the normalised coordinate (2 i + 1) / n - 1 (Nibali 2018). For n = 4:

    cell          0      1      2      3
    coordinate  -0.75  -0.25   0.25   0.75        -1 and 1 are the image's edges, half a cell outside

A normalised coordinate c lies at input pixel (c + 1) / 2 * W - 1/2, for every stride. ``training.model.dsnt`` uses the
same functions.

Contract: heat maps must be finite and sum to one. A landmark that is invisible or undecided has no key.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from inference.preprocessing import Affine
from spine.errors import ContractViolation
from spine.study import Points2D
from spine.types import Float, Floats

VISIBILITY_THRESHOLD = 0.5
UNDECIDED_FRACTION = 0.5
"""A landmark is undecided, and therefore absent, if the spread of its map is at least this fraction of a flat map's
spread."""

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Decoded:
    """What the network found in one image.

    Attributes:
        points: landmark -> (2,) (column, row) in pixels of the image; an invisible landmark has no key.
        spread_px: landmark -> standard deviation of its heat map, image pixels; same keys as ``points``.
        visibility: landmark -> probability that it is in the image, for every landmark.
        cell_px: image pixels per heat-map cell.
        cells: landmark -> (2,) (column, row) in heat-map cells; same keys as ``points``.
        dropped: landmark that was found and dropped -> code of the reason (``registry.ABSENT_CODES``).
    """

    points: Points2D
    spread_px: Mapping[str, float]
    visibility: Mapping[str, float]
    cell_px: float
    cells: Points2D = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)

    def without(self, names: Collection[str], code: str) -> "Decoded":
        """This result without the landmarks ``names``, which are listed as dropped with this code."""
        return replace(
            self,
            points={n: p for n, p in self.points.items() if n not in names},
            spread_px={n: s for n, s in self.spread_px.items() if n not in names},
            cells={n: c for n, c in self.cells.items() if n not in names},
            dropped={**self.dropped, **{n: code for n in self.points if n in names}},
        )

    @property
    def spread_cells(self) -> dict[str, float]:
        """Landmark -> standard deviation of its heat map, heat-map cells."""
        return {name: spread / self.cell_px for name, spread in self.spread_px.items()}


def cell_centres(count: int) -> Float[Floats, " {count}"]:
    """(count,) normalised coordinates of the cells along an axis."""
    return (2.0 * np.arange(count) + 1.0) / count - 1.0


def pixels_from_normalised(xy: Float[Floats, "*any 2"], shape: tuple[int, int]) -> Float[Floats, "*any 2"]:
    """(..., 2) normalised (x, y) -> (..., 2) pixels (column, row) of an (H, W) frame."""
    xy_px: Floats = (xy + 1.0) / 2.0 * np.array([shape[1], shape[0]]) - 0.5
    return xy_px


def normalised_from_pixels(xy_px: Float[Floats, "*any 2"], shape: tuple[int, int]) -> Float[Floats, "*any 2"]:
    """(..., 2) pixels (column, row) of an (H, W) frame -> (..., 2) normalised (x, y)."""
    xy: Floats = (xy_px + 0.5) * 2.0 / np.array([shape[1], shape[0]]) - 1.0
    return xy


def expectation(heatmaps: Float[Floats, "*any h w"]) -> tuple[Float[Floats, "*any 2"], Float[Floats, "*any 2"]]:
    """Mean and variance of (..., h, w) maps that sum to one: (..., 2) and (..., 2), normalised, (x, y)."""
    return _moments(heatmaps.sum(axis=-2), heatmaps.sum(axis=-1))


def _moments(columns: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Mean and variance from a map's sums over its rows, (..., w), and over its columns, (..., h)."""
    marginals = columns, rows
    grids = cell_centres(columns.shape[-1]), cell_centres(rows.shape[-1])
    means = [marginal @ grid for marginal, grid in zip(marginals, grids, strict=True)]
    variances = [np.maximum(m @ grid**2 - mean**2, 0.0) for m, grid, mean in zip(marginals, grids, means, strict=True)]
    return np.stack(means, axis=-1), np.stack(variances, axis=-1)


def decode(
    heatmaps: NDArray[np.float32],
    visibility: NDArray[np.float32],
    names: Sequence[str],
    input_shape: tuple[int, int],
    affine: Affine,
    image_shape: tuple[int, int],
) -> Decoded:
    """Find the landmarks of one image.

    Args:
        heatmaps: (K, h, w) heat maps, each of which sums to one.
        visibility: (K,) logits.
        names: names of the K landmarks.
        input_shape: (H, W) of the network's input.
        affine: map from image pixels to input pixels.
        image_shape: (h, w) of the image; a point outside it is absent.

    Raises:
        ContractViolation: a map is not finite or does not sum to one, or the shapes disagree.
    """
    rows = _checked_rows(heatmaps, visibility, names)
    probability = 1.0 / (1.0 + np.exp(-visibility.astype(np.float64)))
    visible = np.flatnonzero(probability >= VISIBILITY_THRESHOLD)  # maps of invisible landmarks have no meaning
    columns = np.ones(heatmaps.shape[1], dtype=np.float32) @ heatmaps  # sums over the rows, ten times faster than sum
    mean, variance = _moments(columns[visible].astype(np.float64), rows[visible])
    points = affine.inverse.apply(pixels_from_normalised(mean, input_shape))
    cells = pixels_from_normalised(mean, (heatmaps.shape[1], heatmaps.shape[2]))
    half = np.array([input_shape[1], input_shape[0]]) / 2.0  # normalised units -> input pixels
    spread_input = np.sqrt((variance * half**2).mean(axis=-1))
    flat = np.sqrt(((2 * half) ** 2 / 12.0).mean())
    limit = np.array([image_shape[1], image_shape[0]]) - 0.5
    inside = ((points >= -0.5) & (points <= limit)).all(axis=-1)
    decided = np.flatnonzero(inside & (spread_input < UNDECIDED_FRACTION * flat))
    found, scale = [(names[visible[i]], i) for i in decided], affine.scale
    return Decoded(
        points={name: points[i] for name, i in found},
        spread_px={name: float(spread_input[i] / scale) for name, i in found},
        visibility=dict(zip(names, probability.tolist(), strict=True)),
        cell_px=float(input_shape[0] / heatmaps.shape[1] / scale),
        cells={name: cells[i] for name, i in found},
    )


def _checked_rows(heatmaps: NDArray[np.float32], visibility: NDArray[np.float32], names: Sequence[str]) -> Floats:
    """(K, h) sums over the columns of valid maps."""
    violations: list[str] = []
    rows: Floats = np.empty((0, 0))
    if heatmaps.ndim != 3 or heatmaps.shape[0] != len(names) or visibility.shape != (len(names),):
        violations.append(f"maps {heatmaps.shape} and visibility {visibility.shape} for {len(names)} landmarks")
    else:
        with np.errstate(invalid="ignore", over="ignore"):  # values that are not finite are listed below
            rows = (heatmaps @ np.ones(heatmaps.shape[2], dtype=np.float32)).astype(np.float64)
        sums = rows.sum(axis=1)
        valid = (np.abs(sums - 1) < _SUM_TOLERANCE) & np.isfinite(visibility)
        bad = [name for name, is_valid in zip(names, valid, strict=True) if not is_valid]
        violations += [f"the map or visibility of {name} is not finite or does not sum to one" for name in bad]
    if violations:
        expected = "finite heat maps that sum to one, and finite visibilities"
        remedy = "the model is damaged or was exported incorrectly: train or export it again"
        raise ContractViolation.gathered("MODEL_OUTPUT_INVALID", violations, expected, remedy)
    return rows

"""Converts an image to the input of a network: one affine map, one warp, one normalisation of grey values.

Contract: pixels are (column, row) with integers at pixel centres, in the image and in the input. The returned affine is
exactly the map that was applied to the pixels, so points can be mapped in both directions without loss. Only numpy is
required. If scipy is installed, it is used.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from inference.contract import DEFAULT_NORMALISATION, Normalisation
from spine.errors import ContractViolation
from spine.types import Float, Floats

GREY_LIMIT = 1.5
"""Normalised grey values are clipped to the range from minus this value to plus this value."""

PERCENTILE_SAMPLES = 16384
"""About this many pixels, on a regular grid, are enough for the percentiles."""


@dataclass(frozen=True)
class Affine:
    """A map between two pixel frames: a matrix for ``(column, row, 1)``, with last row 0 0 1."""

    matrix: Float[Floats, "3 3"]

    def apply(self, xy_px: Float[Floats, "*any 2"]) -> Float[Floats, "*any 2"]:
        """(..., 2) pixels of the first frame -> (..., 2) pixels of the second frame."""
        return xy_px @ self.matrix[:2, :2].T + self.matrix[:2, 2]

    def after(self, first: "Affine") -> "Affine":
        """The map that applies ``first`` and then this map."""
        return Affine(self.matrix @ first.matrix)

    @cached_property
    def inverse(self) -> "Affine":
        """The inverse map."""
        return Affine(np.asarray(np.linalg.inv(self.matrix), dtype=np.float64))

    @property
    def scale(self) -> float:
        """Mean scale: pixels of the second frame per pixel of the first frame."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:2, :2]))))


@dataclass(frozen=True)
class Prepared:
    """The (1, H, W) input within +-GREY_LIMIT, and the affine from image to input pixels that was applied to it."""

    pixels: Float[NDArray[np.float32], "1 H W"]
    affine: Affine


def letterbox(
    shape: tuple[int, int],
    input_shape: tuple[int, int],
    spacing_mm: tuple[float, float] | None = None,
    scale: float = 1.0,
) -> Affine:
    """The affine that fits an (h, w) image into an (H, W) input: centred, nothing cut off, angles kept.

    With ``scale`` 1 the image has the largest size that fits; with 0.5 it has half this height and width. If row and
    column spacing differ, pixels are made square. Without a spacing, pixels are assumed to be square.
    """
    row_mm, column_mm = spacing_mm or (1.0, 1.0)
    tallness = row_mm / column_mm
    height, width = shape
    across = scale * min(input_shape[0] / (height * tallness), input_shape[1] / width)
    down = across * tallness
    # The centre of the image (w / 2 - 1/2 in pixel-centre coordinates) is mapped to the centre of the input.
    shift_x = (input_shape[1] - 1) / 2 - across * (width - 1) / 2
    shift_y = (input_shape[0] - 1) / 2 - down * (height - 1) / 2
    return Affine(np.array([[across, 0.0, shift_x], [0.0, down, shift_y], [0.0, 0.0, 1.0]]))


def prepare(
    image: NDArray[np.uint16],
    input_shape: tuple[int, int],
    *,
    spacing_mm: tuple[float, float] | None = None,
    scale: float = 1.0,
    normalisation: Normalisation = DEFAULT_NORMALISATION,
    extra: Affine | None = None,
) -> Prepared:
    """Convert an (h, w) uint16 image to a (1, H, W) float32 input by one warp.

    Args:
        image: (h, w) uint16 image, bone bright, in canonical orientation.
        input_shape: (H, W) of the input.
        spacing_mm: (row, column) spacing of the image in mm, or None if unknown (see ``letterbox``).
        scale: size of the image in the input (see ``letterbox``).
        normalisation: the percentiles for the grey values.
        extra: map for augmentation, applied after the letterbox in input pixels; None for inference.

    Raises:
        ContractViolation: the image is not an (h, w) uint16 array.
    """
    if image.ndim != 2 or image.dtype != np.uint16 or min(image.shape) < 2:
        found = f"shape {image.shape}, {image.dtype}"
        expected = "an (h, w) uint16 image of at least 2 x 2 pixels"
        raise ContractViolation("IMAGE_INVALID", found, expected, "read the image through spine.radiograph")
    shape = (int(image.shape[0]), int(image.shape[1]))
    fitted = letterbox(shape, input_shape, spacing_mm, scale)
    affine = extra.after(fitted) if extra is not None else fitted
    reduced, reduction = _reduce(image, max(1, int(1.0 / max(fitted.matrix[0, 0], fitted.matrix[1, 1]) + 1e-9)))
    scaled = _normalise(reduced, normalisation)
    return Prepared(_warp(scaled, affine.after(reduction.inverse), input_shape)[None], affine)


def _reduce(image: NDArray[np.uint16], factor: int) -> tuple[NDArray[np.float32], Affine]:
    """The means of ``factor`` x ``factor`` blocks, which avoid aliasing, and the affine of this reduction."""
    if factor == 1:
        return image.astype(np.float32), Affine(np.eye(3))
    height, width = (n // factor * factor for n in image.shape)
    blocks = image[:height, :width].reshape(height // factor, factor, width // factor, factor)
    offset = (1.0 / factor - 1.0) / 2.0  # block i covers pixels factor i .. factor i + factor - 1
    matrix = np.array([[1 / factor, 0.0, offset], [0.0, 1 / factor, offset], [0.0, 0.0, 1.0]])
    return blocks.mean(axis=(1, 3), dtype=np.float32), Affine(matrix)


def _normalise(image: NDArray[np.float32], normalisation: Normalisation) -> NDArray[np.float32]:
    step = max(1, round(np.sqrt(image.size / PERCENTILE_SAMPLES)))
    wanted = [normalisation.low_percentile, normalisation.high_percentile]
    low, high = np.percentile(image[::step, ::step], wanted)
    span = max(float(high - low), 1.0)  # a blank image would give infinite values
    scaled: NDArray[np.float32] = np.clip((image - np.float32(low)) * np.float32(2 / span) - 1, -GREY_LIMIT, GREY_LIMIT)
    return scaled


def _warp(image: NDArray[np.float32], affine: Affine, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resample linearly. ``affine`` maps image pixels to output pixels. Pixels outside the image become black (-1).

    Without scipy, as on a bare training machine, numpy computes the same result more slowly. A test checks this.
    """
    back = affine.inverse.matrix
    if back[0, 1] == 0 and back[1, 0] == 0:
        return _warp_upright(image, back, shape)
    try:
        from scipy import ndimage
    except ImportError:
        return _warp_by_numpy(image, back, shape)
    # scipy counts (row, column) and maps output to input.
    matrix, offset = back[:2, :2][::-1, ::-1], back[:2, 2][::-1]
    warped: NDArray[np.float32] = ndimage.affine_transform(
        image, matrix, offset, output_shape=shape, order=1, mode="constant", cval=-1.0
    )
    return warped


def _warp_upright(image: NDArray[np.float32], back: Floats, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Like ``_warp``, for an affine without rotation, as in all inference. This function needs a third of the time."""
    along = [(back[1, 1], back[1, 2], shape[0], image.shape[0]), (back[0, 0], back[0, 2], shape[1], image.shape[1])]
    (row, down, in_rows), (column, across, in_columns) = (_steps(*axis) for axis in along)
    first, last = np.flatnonzero(in_rows)[[0, -1]] if in_rows.any() else (0, -1)
    kept = slice(first, last + 1)
    upper, lower = image[row[kept]], image[row[kept] + 1]
    between = upper + (lower - upper) * down[kept, None]
    left, right = between[:, column], between[:, column + 1]
    out = np.full(shape, np.float32(-1.0))
    out[kept] = np.where(in_columns, left + (right - left) * across, np.float32(-1.0))
    return out


def _steps(
    scale: float, offset: float, count: int, size: int
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.bool_]]:
    """(image pixel before it, distance from this pixel, whether it is inside) of ``count`` output pixels on an axis."""
    place = scale * np.arange(count) + offset
    before = np.clip(np.floor(place), 0, size - 2).astype(np.intp)
    return before, (place - before).astype(np.float32), (place >= 0) & (place <= size - 1)


def _warp_by_numpy(image: NDArray[np.float32], back: Floats, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Bilinear resampling of (h, w); ``back`` (3, 3) maps output (column, row) to image (column, row)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    x = back[0, 0] * columns + back[0, 1] * rows + back[0, 2]
    y = back[1, 0] * columns + back[1, 1] * rows + back[1, 2]
    height, width = image.shape
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    left = np.clip(np.floor(x), 0, max(width - 2, 0)).astype(np.intp)
    top = np.clip(np.floor(y), 0, max(height - 2, 0)).astype(np.intp)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = x - left, y - top
    upper = image[top, left] * (1 - across) + image[top, right] * across
    lower = image[bottom, left] * (1 - across) + image[bottom, right] * across
    return np.where(inside, upper * (1 - down) + lower * down, -1.0).astype(np.float32)

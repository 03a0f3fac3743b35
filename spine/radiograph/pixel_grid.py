"""Converts colour to grey and rectangular pixels to square ones, a block of rows at a time."""

import numpy as np
from numpy.typing import NDArray

_BLOCK_PIXELS = 2**15
"""Small enough for the cache of a processor."""
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Rec. 601; equal channels, the usual case, keep their value."""
_LUMA_FIRST = ("YBR_FULL", "YBR_FULL_422")
Stored = NDArray[np.generic]


def blocks(shape: tuple[int, ...]) -> list[slice]:
    """Slices of the rows of an image, of about 32768 pixels each."""
    rows = max(1, _BLOCK_PIXELS // max(1, shape[1]))
    return [slice(start, start + rows) for start in range(0, shape[0], rows)]


def grey_of(pixels: Stored, photometric: str) -> Stored:
    """(H, W) grey values of (H, W, 3) samples. The first sample of YBR_FULL is the luma (PS3.3 C.7.6.3.1.2)."""
    if photometric in _LUMA_FIRST:
        return np.ascontiguousarray(pixels[..., 0])
    grey = np.empty(pixels.shape[:2], dtype=pixels.dtype)
    for rows in blocks(pixels.shape):
        grey[rows] = np.rint(pixels[rows].astype(np.float32) @ _LUMA)
    return grey


def with_square_pixels(image: NDArray[np.uint16], aspect: float) -> NDArray[np.uint16]:
    """The (H, W) image with more rows if pixels are higher than wide (``aspect`` above 1), else with more columns.

    The field of view is kept: the outer edges of the first and last pixel stay where they are. New values are
    interpolated linearly between pixel centres.
    """
    if aspect < 1:
        return np.ascontiguousarray(with_square_pixels(image.T, 1 / aspect).T)
    height = image.shape[0]
    places = np.clip((np.arange(round(height * aspect)) + 0.5) * height / round(height * aspect) - 0.5, 0, height - 1)
    above = np.minimum(places.astype(np.intp), height - 1)
    below = np.minimum(above + 1, height - 1)
    share = (places - above).astype(np.float32)[:, None]
    square = np.empty((len(places), image.shape[1]), dtype=np.uint16)
    for rows in blocks(square.shape):
        square[rows] = np.rint(image[above[rows]] * (1 - share[rows]) + image[below[rows]] * share[rows])
    return square

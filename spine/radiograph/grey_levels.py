"""The grey levels of an image: every stored value that occurs, and how many pixels have it.

An image of integers has at most 65536 levels, so its brightness is decided for the levels and not for the pixels. This
bounds the memory for a large image to the result and a block of rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.radiograph.pixel_grid import blocks

Stored = NDArray[np.generic]


@dataclass(frozen=True)
class GreyLevels:
    """The levels of one image.

    Attributes:
        values: (N,) int64, ascending: the stored values that occur.
        counts: (N,) int64: the number of pixels with each value.
    """

    values: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, stored: Stored) -> "GreyLevels":
        """Count the levels of (H, W) integers with at most 16 bits."""
        low, high = int(stored.min()), int(stored.max())
        counts = np.zeros(high - low + 1, dtype=np.int64)
        for _, places in _places(stored, low):
            counts += np.bincount(places.ravel(), minlength=len(counts))
        occurring = np.flatnonzero(counts)
        return cls(occurring + low, counts[occurring])

    def image(self, stored: Stored, grey: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """(H, W) image in which each pixel has the grey value of its level. ``grey`` is (N,)."""
        if stored.dtype == np.uint16 and np.array_equal(grey, self.values):
            return stored.astype(np.uint16)
        image = np.empty(stored.shape, dtype=np.uint16)
        low = int(self.values[0])
        table = np.zeros(int(self.values[-1]) - low + 1, dtype=np.uint16)
        table[self.values - low] = grey
        for rows, places in _places(stored, low):
            np.take(table, places, out=image[rows], mode="clip")
        return image


def quantiles(values: NDArray[np.float64], counts: NDArray[np.int64], shares: tuple[float, ...]) -> list[float]:
    """Quantiles of ``values``, each of which occurs ``counts`` times, as numpy's default method interpolates them."""
    ordered, last = values, np.cumsum(counts)
    if (values[1:] < values[:-1]).any():
        order = np.argsort(values)
        ordered, last = values[order], np.cumsum(counts[order])

    def at(position: int) -> float:
        return float(ordered[np.searchsorted(last, position, side="right")])

    found = []
    for share in shares:
        place = share * (int(last[-1]) - 1)
        below = int(place)
        low, high = at(below), at(min(below + 1, int(last[-1]) - 1))
        found.append(low + (place - below) * (high - low))
    return found


def _places(stored: Stored, low: int) -> Iterator[tuple[slice, NDArray[np.intp]]]:
    """(rows, their levels counted from the value ``low``), a block of rows at a time in one and the same array."""
    buffer: NDArray[np.intp] | None = None
    for rows in blocks(stored.shape):
        block = stored[rows]
        buffer = np.empty(block.shape, dtype=np.intp) if buffer is None else buffer[: block.shape[0]]
        yield rows, np.subtract(block, np.intp(low), out=buffer)

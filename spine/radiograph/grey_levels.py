"""The grey levels of an image: every stored value that may occur, and how many pixels have it.

An image of integers has at most 65536 levels, so its brightness is decided for the levels and not for the pixels. This
bounds the memory for a large image to the result and a block of rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.radiograph.pixel_grid import blocks

Stored = NDArray[np.generic]


@dataclass(frozen=True)
class GreyLevels:
    """The levels from the smallest to the largest stored value.

    Attributes:
        values: (N,) int64, ascending by 1: the stored values.
        counts: (N,) int64: the number of pixels with each value; 0 for a value that does not occur.
    """

    values: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, stored: Stored) -> "GreyLevels":
        """Count the levels of (H, W) integers with at most 16 bits."""
        low, high = int(stored.min()), int(stored.max())
        counts = np.zeros(high - low + 1, dtype=np.int64)
        for rows in blocks(stored.shape):
            counts += np.bincount((stored[rows].astype(np.intp) - low).ravel(), minlength=len(counts))
        return cls(np.arange(low, high + 1), counts)

    def image(self, stored: Stored, grey: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """(H, W) image in which each pixel has the grey value of its level. ``grey`` is (N,)."""
        if stored.dtype == np.uint16 and np.array_equal(grey, self.values):
            return stored.astype(np.uint16)
        image = np.empty(stored.shape, dtype=np.uint16)
        for rows in blocks(stored.shape):
            np.take(grey, stored[rows].astype(np.intp) - self.values[0], out=image[rows])
        return image


def quantiles(values: NDArray[np.float64], counts: NDArray[np.int64], shares: tuple[float, ...]) -> list[float]:
    """Quantiles of ``values``, each of which occurs ``counts`` times, as numpy's default method interpolates them."""
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

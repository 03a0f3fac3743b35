"""Virtual and real radiographs side by side: mean radiographs, straightened along the spine, and close-ups of a level.

Contract: both kinds go through the same code. Greys are in standard deviations of the radiograph about its mean,
without its black margin, so that display settings have no effect. The output shows real radiographs and is not
published.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from benchmarks.sim_to_real.level_matching import centres
from spine.types import Floats

HALF_PX, COLUMNS, ROWS_PER_LEVEL = 130, 53, 8
"""Half-width of a straightened radiograph in pixels of 896 rows, and its sampling."""
_BLACK = 5
_CLOSE_UP = (220, 160)


def straightened(image: NDArray[np.uint8], corners: NDArray[np.floating]) -> Floats:
    """(H, W), (17, 4, 2) -> (rows, columns) greys with the spine straight in the middle, NaN outside the image.

    Rows run from half a level above the centre of T1 to the centre of L5; columns stay horizontal.
    """
    middle, levels = centres(corners), np.arange(-0.5, 16.0 + 1e-9, 1 / ROWS_PER_LEVEL)
    at = np.arange(17)
    x, y = (np.interp(levels, at, middle[:, axis]) for axis in (0, 1))
    y = np.where(levels < 0, middle[0, 1] + levels * (middle[1, 1] - middle[0, 1]), y)
    aside = np.linspace(-HALF_PX, HALF_PX, COLUMNS)
    place = [np.repeat(y[:, None], COLUMNS, axis=1), x[:, None] + aside]
    grey = map_coordinates(image.astype(float), place, order=1, mode="constant", cval=np.nan)
    lit = image[image > _BLACK]
    if lit.size == 0:
        return np.full_like(grey, np.nan)
    return np.asarray((grey - lit.mean()) / max(float(lit.std()), 1.0))


def mean_radiograph(images: NDArray[np.uint8], corners: NDArray[np.floating]) -> Floats:
    """(N, H, W), (N, 17, 4, 2) -> (rows, columns) mean straightened radiograph; NaN where no radiograph has a value."""
    total, count = 0.0, 0.0
    for image, corner in zip(images, corners, strict=True):
        radiograph = straightened(image, corner)
        total, count = total + np.nan_to_num(radiograph), count + np.isfinite(radiograph)
    return np.where(np.asarray(count) > 0, total / np.maximum(count, 1), np.nan)


def mean_table(real: Floats, virtual: Floats) -> str:
    """Greys of both mean radiographs in 1/100 SD, at every second level and every fourth column."""
    levels = [f"T{i + 1}" if i < 12 else f"L{i - 11}" for i in range(17)]
    lines = ["level, then real and virtual greys from the image's left to its right, 1/100 deviation"]
    for level in range(0, 17, 2):
        row = round((level + 0.5) * ROWS_PER_LEVEL)
        for name, radiograph in (("real", real), ("virtual", virtual)):
            values = " ".join(f"{100 * v:+5.0f}" for v in radiograph[row, ::4])
            lines.append(f"{levels[level]:4s}{name:8s}{values}")
    return "\n".join(lines) + "\n"


def as_image(radiographs: Sequence[Floats], scale: int = 6) -> NDArray[np.uint8]:
    """Straightened radiographs side by side as (H, W, 3) greys from -1.5 to 2 SD."""
    joined = np.concatenate(list(radiographs), axis=1)
    grey = np.clip((np.nan_to_num(joined, nan=-1.5) + 1.5) / 3.5 * 255, 0, 255).astype(np.uint8)
    return np.repeat(grey.repeat(scale, axis=0).repeat(scale, axis=1)[..., None], 3, axis=2)


def close_ups(images: NDArray[np.uint8], corners: NDArray[np.floating], level: float) -> NDArray[np.uint8]:
    """(N, H, W), (N, 17, 4, 2) -> (H', N W', 3) close-ups around one level (0 = T1), at full contrast."""
    tiles = []
    high, wide = _CLOSE_UP
    for image, corner in zip(images, corners, strict=True):
        middle = centres(corner)
        x, y = (float(np.interp(level, np.arange(17), middle[:, axis])) for axis in (0, 1))
        left = int(np.clip(x - wide / 2, 0, image.shape[1] - wide))
        top = int(np.clip(y - high / 2, 0, image.shape[0] - high))
        tile = image[top : top + high, left : left + wide].astype(float)
        lit = tile[tile > _BLACK]
        low, bright = np.quantile(lit, [0.01, 0.99]) if lit.size else (0.0, 255.0)
        tiles.append(np.clip((tile - low) / max(bright - low, 1.0) * 255, 0, 255).astype(np.uint8))
    return np.repeat(np.concatenate(tiles, axis=1)[..., None], 3, axis=2)

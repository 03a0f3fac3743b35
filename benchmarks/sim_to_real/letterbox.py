"""The frame of all images: 896 x 384 pixels, aspect ratio kept, black around the image.

Contract: pixels (column, row), integers at pixel centres. The image is scaled by one factor and centred:

    frame = scale * (image + 1/2) + offset - 1/2
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FRAME = (896, 384)
"""(H, W) of every image of the benchmark."""


@dataclass(frozen=True)
class Placement:
    """Position of an image in the frame.

    Attributes:
        scale: frame pixels per image pixel.
        offset: (columns, rows) of the image's upper left corner in the frame, whole pixels.
        size: (columns, rows) of the image in the frame.
    """

    scale: float
    offset: tuple[int, int]
    size: tuple[int, int]

    def apply(self, xy_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 2) frame pixels from (..., 2) image pixels."""
        return self.scale * (xy_px + 0.5) + np.array(self.offset) - 0.5


def placement(shape: tuple[int, int], frame: tuple[int, int] = FRAME) -> Placement:
    """The placement of an (H, W) image. The size is rounded to whole pixels, the scale is exact."""
    scale = min(frame[0] / shape[0], frame[1] / shape[1])
    size = max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))
    return Placement(scale, ((frame[1] - size[0]) // 2, (frame[0] - size[1]) // 2), size)


def letterbox(image: NDArray[np.uint8], frame: tuple[int, int] = FRAME) -> tuple[NDArray[np.uint8], Placement]:
    """The frame with a (H, W) uint8 image, and the placement of the image."""
    from PIL import Image  # the GPU machine may lack Pillow

    placed = placement((image.shape[0], image.shape[1]), frame)
    # The box keeps the scale exact although the size is rounded.
    box = (
        0.0,
        0.0,
        min(placed.size[0] / placed.scale, image.shape[1]),
        min(placed.size[1] / placed.scale, image.shape[0]),
    )
    small = Image.fromarray(image).resize(placed.size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
    out = np.zeros(frame, dtype=np.uint8)
    column, row = placed.offset
    out[row : row + placed.size[1], column : column + placed.size[0]] = np.asarray(small)
    return out, placed

"""Positions in the canonical image and in the image as its file stores it.

Contract: both directions are exact inverses of each other. Points are (column, row). In pixels, integers are pixel
centres. DICOM structured reports and presentation states count from the outer corner of the first pixel, half
a pixel further (PS3.3 C.18.6.1.1, C.10.5.1.2), and ``to_dicom`` adds this half.
"""

from dataclasses import dataclass, replace

import numpy as np

from spine.radiograph.orientation import Orientation
from spine.types import Floats

HALF_PIXEL = 0.5


@dataclass(frozen=True)
class StoredGrid:
    """How a stored image became the canonical one: resampled to square pixels, then turned.

    Attributes:
        stored_shape: (rows, columns) of the image in its file.
        square_shape: (rows, columns) after resampling to square pixels; equal to ``stored_shape`` without it.
        orientation: the turn that made the image canonical.
        mirrored: whether the canonical image was mirrored once more, because the patient faces the other way.
    """

    stored_shape: tuple[int, int]
    square_shape: tuple[int, int]
    orientation: Orientation
    mirrored: bool = False

    def mirror(self) -> "StoredGrid":
        """The same, with the canonical image mirrored left to right."""
        return replace(self, mirrored=not self.mirrored)

    def to_stored(self, points: Floats) -> Floats:
        """(..., 2) positions in the canonical image -> in the stored image, pixels."""
        return self._resampled(self._turned_back(np.asarray(points, dtype=np.float64)), to_stored=True)

    def to_dicom(self, points: Floats) -> Floats:
        """(..., 2) positions in the canonical image -> (column, row) of the stored image as SR and GSPS count them."""
        return self.to_stored(points) + HALF_PIXEL

    def to_canonical(self, points: Floats) -> Floats:
        """(..., 2) positions in the stored image, pixels -> in the canonical image."""
        return self._turned(self._resampled(np.asarray(points, dtype=np.float64), to_stored=False))

    def from_dicom(self, points: Floats) -> Floats:
        """(..., 2) positions as SR and GSPS count them -> in the canonical image, pixels."""
        return self.to_canonical(np.asarray(points, dtype=np.float64) - HALF_PIXEL)

    @property
    def _flips(self) -> tuple[bool, bool]:
        """Whether columns and rows are flipped, after the transposition."""
        return self.orientation.flip_columns != self.mirrored, self.orientation.flip_rows

    @property
    def _last(self) -> Floats:
        """(column, row) of the last pixel of the canonical image."""
        rows, columns = self.square_shape[::-1] if self.orientation.transpose else self.square_shape
        return np.array([columns - 1.0, rows - 1.0])

    def _turned(self, points: Floats) -> Floats:
        turned = points[..., ::-1] if self.orientation.transpose else points
        return np.where(self._flips, self._last - turned, turned)

    def _turned_back(self, points: Floats) -> Floats:
        turned = np.where(self._flips, self._last - points, points)
        return turned[..., ::-1] if self.orientation.transpose else turned

    def _resampled(self, points: Floats, *, to_stored: bool) -> Floats:
        """Resampling keeps the outer edges of the image (``pixel_grid.with_square_pixels``)."""
        scale = np.array(self.stored_shape[::-1], dtype=np.float64) / np.array(self.square_shape[::-1])
        scale = scale if to_stored else 1.0 / scale
        return np.asarray((points + HALF_PIXEL) * scale - HALF_PIXEL, dtype=np.float64)

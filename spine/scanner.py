"""The biplanar slot scanner: exact projection into both views and exact triangulation back.

Two orthogonal pairs of source and detector travel together along z. An image is therefore a parallel projection along z
and a fan-beam projection in the horizontal plane. Patient frame: LPS axes (x left, y posterior, z up), mm, origin at
the isocentre. The image coordinates (u, v), scaled to the isocentre plane, are (Groisser 2019, arXiv:1904.06711)

    frontal, source at y = -f:   u_F = x f / (f + y),   v = z
    lateral, source at x = -g:   u_L = y g / (g + x),   v = z

Conversely, with D = 1 - u_F u_L / (f g), exactly

    x = (u_F + u_F u_L / f) / D,   y = (u_L + u_F u_L / g) / D,   z = (v_F + v_L) / 2.

Image frame: (column, row) in pixels, integers at pixel centres. Columns run to the patient's left in the canonical
frontal image, and to the patient's back in the canonical lateral image. Rows run to the feet.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import ViewName
from spine.types import Floats

# Figures and their sources: docs/sources.md, scanner geometry.
SOURCE_TO_DETECTOR_MM = 1300.0
SOURCE_TO_ISOCENTRE_MM: dict[ViewName, float] = {"frontal": 987.0, "lateral": 918.0}
DETECTOR_PITCH_MM = 0.254
NATIVE_SPACING_MM = DETECTOR_PITCH_MM * SOURCE_TO_ISOCENTRE_MM["lateral"] / SOURCE_TO_DETECTOR_MM
"""0.179363 mm: the isotropic pixel spacing, at the isocentre, of both images that the scanner delivers."""


@dataclass(frozen=True)
class ViewGeometry:
    """The position of one view's image in the scanner, with its size and pixel spacing.

    Attributes:
        shape: (H, W) of the image in pixels.
        spacing_mm: (row, column) pixel spacing at the isocentre plane, in the order of DICOM PixelSpacing.
        source_to_isocentre_mm: distance f (frontal) or g (lateral) from the source to the isocentre.
        u0_mm, z0_mm: isocentre-plane coordinates of the image centre.
    """

    view: ViewName
    shape: tuple[int, int]
    spacing_mm: tuple[float, float]
    source_to_isocentre_mm: float
    u0_mm: float = 0.0
    z0_mm: float = 0.0

    def pixels_from_plane(self, uv_mm: Floats) -> Floats:
        """(..., 2) isocentre-plane (u, v) in mm -> (..., 2) pixels (column, row)."""
        height, width = self.shape
        row_mm, column_mm = self.spacing_mm
        column = (uv_mm[..., 0] - self.u0_mm) / column_mm + width / 2 - 0.5
        row = (self.z0_mm - uv_mm[..., 1]) / row_mm + height / 2 - 0.5
        return np.stack([column, row], axis=-1)

    def plane_from_pixels(self, xy_px: Floats) -> Floats:
        """(..., 2) pixels (column, row) -> (..., 2) isocentre-plane (u, v) in mm."""
        height, width = self.shape
        row_mm, column_mm = self.spacing_mm
        u = (xy_px[..., 0] - width / 2 + 0.5) * column_mm + self.u0_mm
        v = self.z0_mm - (xy_px[..., 1] - height / 2 + 0.5) * row_mm
        return np.stack([u, v], axis=-1)

    def project(self, xyz_mm: Floats) -> Floats:
        """Project (..., 3) LPS mm -> (..., 2) pixels (column, row). A point behind the source raises ``ValueError``."""
        return self.pixels_from_plane(project_to_plane(xyz_mm, self.view, self.source_to_isocentre_mm))


def is_on_image(xy_px: Floats, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(...,) flags: whether the (..., 2) position (column, row) lies on an (H, W) image, outer pixel edges included."""
    height, width = shape
    column, row = xy_px[..., 0], xy_px[..., 1]
    return (column >= -0.5) & (column <= width - 0.5) & (row >= -0.5) & (row <= height - 0.5)


def project_to_plane(xyz_mm: Floats, view: ViewName, source_to_isocentre_mm: float) -> Floats:
    """Project (..., 3) patient points (LPS, mm) -> (..., 2) isocentre-plane (u, v) in mm.

    Raises:
        ValueError: a point lies at or behind the source.
    """
    across, depth = (0, 1) if view == "frontal" else (1, 0)
    distance = source_to_isocentre_mm + xyz_mm[..., depth]
    if np.any(distance <= 0):
        raise ValueError(f"a point lies behind the {view} source: depth {float(np.min(xyz_mm[..., depth])):.1f} mm")
    u = xyz_mm[..., across] * source_to_isocentre_mm / distance
    return np.stack([u, xyz_mm[..., 2]], axis=-1)


@dataclass(frozen=True)
class Triangulation:
    """(..., 3) points in LPS mm, and (...,) v_F - v_L, which is 0 for exact points of a patient who did not move."""

    xyz_mm: Floats
    dz_mm: Floats


def triangulate(frontal_px: Floats, lateral_px: Floats, frontal: ViewGeometry, lateral: ViewGeometry) -> Triangulation:
    """Triangulate (..., 2) + (..., 2) pixels (column, row) into LPS mm by the equations of the module docstring."""
    (u_f, v_f), (u_l, v_l) = (
        np.moveaxis(geometry.plane_from_pixels(pixels), -1, 0)
        for geometry, pixels in ((frontal, frontal_px), (lateral, lateral_px))
    )
    f, g = frontal.source_to_isocentre_mm, lateral.source_to_isocentre_mm
    denominator = 1.0 - u_f * u_l / (f * g)
    x, y = (u_f + u_f * u_l / f) / denominator, (u_l + u_f * u_l / g) / denominator
    return Triangulation(np.stack([x, y, (v_f + v_l) / 2.0], axis=-1), v_f - v_l)

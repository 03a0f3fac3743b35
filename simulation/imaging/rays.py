"""The rays of N images of one view, as tensors.

Contract: the equations and the pixel convention are the same as in ``spine.scanner``; a test compares them. All images
of a batch have one shape. Spacing, centre and source distance can differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spine.landmarks import ViewName
from spine.scanner import ViewGeometry
from spine.types import Float, Floats


@dataclass(frozen=True)
class Rays:
    """The rays of N images of one view.

    Attributes:
        view: ``frontal`` or ``lateral``.
        shape: shape (H, W) of the images.
        min_pixel_mm: lower bound of the pixel size; a plain number, because the sizes of kernels depend on it.
        row_mm, column_mm, distance_mm, u0_mm, z0_mm: the fields of ``ViewGeometry``. A negative distance means a source
            behind the patient (``PointSource.from_behind``).
        point_source: 1 for a point source, 0 for the slot scanner.
        point_source_z_mm: height of the point source.
    """

    view: ViewName
    shape: tuple[int, int]
    min_pixel_mm: float
    row_mm: Float[Tensor, " N"]
    column_mm: Float[Tensor, " N"]
    distance_mm: Float[Tensor, " N"]
    u0_mm: Float[Tensor, " N"]
    z0_mm: Float[Tensor, " N"]
    point_source: Float[Tensor, " N"]
    point_source_z_mm: Float[Tensor, " N"]

    def __len__(self) -> int:
        return len(self.row_mm)

    @property
    def device(self) -> torch.device:
        """The device of all tensors."""
        return self.row_mm.device

    @property
    def axes(self) -> tuple[int, int]:
        """The indices of the patient's axes (x = 0, y = 1) across the image and along its depth."""
        return (0, 1) if self.view == "frontal" else (1, 0)

    @property
    def column_u_mm(self) -> Float[Tensor, "N W"]:
        """The coordinate u of each column in the isocentre plane, mm."""
        width = self.shape[1]
        steps = torch.arange(width, device=self.device) - (width / 2 - 0.5)
        return steps * self.column_mm[:, None] + self.u0_mm[:, None]

    @property
    def row_z_mm(self) -> Float[Tensor, "N H"]:
        """The height of each row, mm."""
        height = self.shape[0]
        steps = torch.arange(height, device=self.device) - (height / 2 - 0.5)
        return self.z0_mm[:, None] - steps * self.row_mm[:, None]

    @property
    def direction(self) -> Float[Tensor, "N W 2"]:
        """The horizontal direction (x, y) of each column's ray, with length 1."""
        u, f = self.column_u_mm, self.distance_mm[:, None]
        length = torch.hypot(u, f.expand_as(u))
        along, across = f / length, u / length
        return torch.stack([across, along] if self.view == "frontal" else [along, across], dim=-1)

    @property
    def source(self) -> Float[Tensor, "N 2"]:
        """The coordinates x and y of the source, mm."""
        zero = torch.zeros_like(self.distance_mm)
        pair = [zero, -self.distance_mm] if self.view == "frontal" else [-self.distance_mm, zero]
        return torch.stack(pair, dim=-1)


@dataclass(frozen=True)
class PointSource:
    """The stationary point source of a plain radiograph, which magnifies heights as well as widths.

    A point of height z at depth d appears at height z_s + (z - z_s) f / (f + d). This equation applies to bone, metal
    and landmarks. Soft tissue is rendered with horizontal rays. Its edges are therefore displaced by a few millimetres
    near the upper and lower edge of a radiograph.

    Attributes:
        source_z_mm: height of the source.
        from_behind: whether the patient faces the detector (postero-anterior), as in most radiographs of scoliosis. If
            so, ``Rays`` have a negative distance, and the equations are the same.
    """

    source_z_mm: float
    from_behind: bool = False

    def warped(self, xyz_mm: Float[Floats, "*any 3"], distance_mm: float) -> Float[Floats, "*any 3"]:
        """Points that the slot scanner projects to where this source projects the given points."""
        depth = xyz_mm[..., 1] * (-1.0 if self.from_behind else 1.0)
        z = self.source_z_mm + (xyz_mm[..., 2] - self.source_z_mm) * distance_mm / (distance_mm + depth)
        return np.stack([xyz_mm[..., 0], depth, z], axis=-1)


def rays_of(
    geometries: Sequence[ViewGeometry],
    device: torch.device | str = "cpu",
    point_sources: Sequence[PointSource | None] | None = None,
) -> Rays:
    """The rays of images of one view and shape.

    Args:
        geometries: geometry of each image.
        device: device of the tensors.
        point_sources: for each image, its point source if it is a plain radiograph, else None.

    Raises:
        ValueError: the images differ in view or shape.
    """
    view, shape = common_view_and_shape(geometries)
    table = geometry_table(geometries, point_sources or [None] * len(geometries))
    return rays_from(view, shape, table, smallest_pixel_mm(geometries), device)


def smallest_pixel_mm(geometries: Sequence[ViewGeometry]) -> float:
    """The smallest pixel size of all images, mm."""
    return min(min(g.spacing_mm) for g in geometries)


def common_view_and_shape(geometries: Sequence[ViewGeometry]) -> tuple[ViewName, tuple[int, int]]:
    """The view and the shape that all images have.

    Raises:
        ValueError: the images differ in view or shape.
    """
    kinds = {(g.view, g.shape) for g in geometries}
    if len(kinds) != 1:
        raise ValueError(f"found images of {sorted(kinds)}; expected one view and one shape: make a batch for each")
    return next(iter(kinds))


def geometry_table(
    geometries: Sequence[ViewGeometry], point_sources: Sequence[PointSource | None]
) -> Float[NDArray[np.float32], "N 7"]:
    """The fields of ``Rays`` from ``row_mm`` to ``point_source_z_mm`` as a table with one row for each image."""
    rows = []
    for g, point_source in zip(geometries, point_sources, strict=True):
        distance = g.source_to_isocentre_mm * (-1.0 if point_source and point_source.from_behind else 1.0)
        place = (*g.spacing_mm, distance, g.u0_mm, g.z0_mm)
        rows.append((*place, float(point_source is not None), point_source.source_z_mm if point_source else 0.0))
    return np.array(rows, dtype=np.float32)


def rays_from(
    view: ViewName,
    shape: tuple[int, int],
    table: Float[NDArray[np.float32], "N 7"] | Float[Tensor, "N 7"],
    min_pixel_mm: float,
    device: torch.device | str = "cpu",
) -> Rays:
    """The rays of images from a ``geometry_table``."""
    return Rays(view, shape, min_pixel_mm, *torch.as_tensor(table, device=device).unbind(1))

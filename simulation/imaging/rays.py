"""The rays of one view for N patients: each patient's own image geometry, as tensors.

Contract: the equations and the pixel convention are those of ``spine.scanner``; all images of a batch have one
shape, but each its own spacing, middle and source distance. A test compares the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spine.landmarks import ViewName
from spine.scanner import ViewGeometry
from spine.types import Floats


@dataclass(frozen=True)
class Rays:
    """N images of one view.

    Attributes:
        view: ``frontal`` or ``lateral``.
        shape: (H, W).
        finest_mm: no pixel is smaller; kept on the host, because it decides how much there is to compute.
        row_mm, column_mm, distance_mm, u0_mm, z0_mm: (N,) as in ``ViewGeometry``.
        cone, cone_z_mm: (N,) 1 for a point source that stands still at this height, 0 for the slot scanner.
        A negative distance is a source behind the patient (``Cone.from_behind``).
    """

    view: ViewName
    shape: tuple[int, int]
    finest_mm: float
    row_mm: Tensor
    column_mm: Tensor
    distance_mm: Tensor
    u0_mm: Tensor
    z0_mm: Tensor
    cone: Tensor
    cone_z_mm: Tensor

    def __len__(self) -> int:
        return len(self.row_mm)

    @property
    def device(self) -> torch.device:
        """Where they lie."""
        return self.row_mm.device

    @property
    def axes(self) -> tuple[int, int]:
        """Which patient axes run across the image and into its depth."""
        return (0, 1) if self.view == "frontal" else (1, 0)

    @property
    def column_u_mm(self) -> Tensor:
        """(N, W) u of each column at the isocentre plane."""
        width = self.shape[1]
        steps = torch.arange(width, device=self.device) - (width / 2 - 0.5)
        return steps * self.column_mm[:, None] + self.u0_mm[:, None]

    @property
    def row_z_mm(self) -> Tensor:
        """(N, H) height of each row."""
        height = self.shape[0]
        steps = torch.arange(height, device=self.device) - (height / 2 - 0.5)
        return self.z0_mm[:, None] - steps * self.row_mm[:, None]

    @property
    def direction(self) -> Tensor:
        """(N, W, 2) unit horizontal direction (x, y) of each column's ray."""
        u, f = self.column_u_mm, self.distance_mm[:, None]
        length = torch.hypot(u, f.expand_as(u))
        along, across = f / length, u / length
        return torch.stack([across, along] if self.view == "frontal" else [along, across], dim=-1)

    @property
    def source(self) -> Tensor:
        """(N, 2) x and y of the source, mm."""
        zero = torch.zeros_like(self.distance_mm)
        pair = [zero, -self.distance_mm] if self.view == "frontal" else [-self.distance_mm, zero]
        return torch.stack(pair, dim=-1)


@dataclass(frozen=True)
class Cone:
    """A plain radiograph's point source: it stands still at a height, so heights are magnified like widths.

    Points at depth d appear at z' = z_s + (z - z_s) f / (f + d). Bone and landmarks go through this; soft parts are
    drawn for level rays, which shifts their edges by a few millimetres towards the ends of a radiograph.

    Attributes:
        source_z_mm: height of the source.
        from_behind: the patient faces the detector (postero-anterior), as for most radiographs of scoliosis; ``Rays``
            then
            have a negative distance, with which the same equations hold.
    """

    source_z_mm: float
    from_behind: bool = False

    def warped(self, xyz_mm: Floats, distance_mm: float) -> Floats:
        """(..., 3) points where the slot scanner's equations then put them as the point source would (frontal)."""
        depth = xyz_mm[..., 1] * (-1.0 if self.from_behind else 1.0)
        z = self.source_z_mm + (xyz_mm[..., 2] - self.source_z_mm) * distance_mm / (distance_mm + depth)
        return np.stack([xyz_mm[..., 0], depth, z], axis=-1)


def rays_of(
    geometries: Sequence[ViewGeometry],
    device: torch.device | str = "cpu",
    cones: Sequence[Cone | None] | None = None,
    finest_mm: float | None = None,
) -> Rays:
    """Rays of images of one view and shape.

    Args:
        geometries: of the images.
        device: where.
        cones: names the plain radiographs among them.
        finest_mm: a bound no pixel is smaller than, the same for every batch of a stream so that an image does not
            depend on its neighbours; the smallest pixel of these images by default.

    Raises:
        ValueError: the images differ in view or shape, or a pixel is smaller than the bound.
    """
    view, shape = common_kind(geometries)
    smallest = min(min(g.spacing_mm) for g in geometries)
    finest = smallest if finest_mm is None else finest_mm
    if finest > smallest * (1 + 1e-9):
        raise ValueError(f"a pixel of {smallest:.4f} mm is smaller than the bound of {finest:.4f} mm")
    return rays_from(view, shape, geometry_table(geometries, cones or [None] * len(geometries)), finest, device)


def common_kind(geometries: Sequence[ViewGeometry]) -> tuple[ViewName, tuple[int, int]]:
    """View and shape of all of them.

    Raises:
        ValueError: they differ.
    """
    kinds = {(g.view, g.shape) for g in geometries}
    if len(kinds) != 1:
        raise ValueError(f"a batch has one view and one shape, not {sorted(kinds)}")
    return next(iter(kinds))


def geometry_table(geometries: Sequence[ViewGeometry], cones: Sequence[Cone | None]) -> NDArray[np.float32]:
    """(N, 7) what ``Rays`` holds of each image, on the host."""
    rows = []
    for g, cone in zip(geometries, cones, strict=True):
        distance = g.source_to_isocentre_mm * (-1.0 if cone and cone.from_behind else 1.0)
        place = (*g.spacing_mm, distance, g.u0_mm, g.z0_mm)
        rows.append((*place, float(cone is not None), cone.source_z_mm if cone else 0.0))
    return np.array(rows, dtype=np.float32)


def rays_from(
    view: ViewName,
    shape: tuple[int, int],
    table: NDArray[np.float32],
    finest_mm: float,
    device: torch.device | str = "cpu",
) -> Rays:
    """Rays from the rows of ``geometry_table``."""
    return Rays(view, shape, finest_mm, *torch.from_numpy(table).to(device).unbind(1))

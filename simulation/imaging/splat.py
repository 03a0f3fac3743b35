"""Splatting, which computes path lengths of a material along every ray from mass points.

Contract: a point of volume V at depth d adds V m sqrt(1 + (u/f)^2) / (p_row p_column) mm to the image. The
magnification is m = f / (f + d), and a pixel is p_column / m wide at depth d. The root accounts for the obliquity of
the ray. A point source also magnifies heights, so its factor is m^2. ``ViewGeometry`` and ``PointSource`` project
landmarks; a test compares the equations.
"""

import torch
from torch import Tensor

from simulation.body.mass_points import MassPoints
from simulation.imaging.fused_kernels import fused
from simulation.imaging.rays import Rays
from spine.types import Float

_BLOCK = 32_768
_SPARE = 65_536
"""Number of additional cells, over which invisible points are spread. The metal points of a patient without metal have
weight 0 and are all in one place. Many additions to one cell are slow on a GPU."""


def splat(points: MassPoints, rays: Rays) -> Float[Tensor, "N H W"]:
    """The path lengths in mm at the pixel centres. Points outside the image are left out."""
    height, width = rays.shape
    stride, rows = width + 2, height + 2  # a border of one pixel, because a point adds to four pixels
    size = len(rays) * rows * stride
    image = torch.zeros(size + _SPARE + stride + 2, dtype=torch.float32, device=rays.device)
    count, numbers = points.volume_mm3.shape[1], _numbers(rays)
    # On a CPU, the intermediate values of a block fit into the cache.
    block = count if rays.device.type == "cuda" else max(1, _BLOCK // len(rays))
    for xyz, volume in zip(points.xyz_mm.split(block, 1), points.volume_mm3.split(block, 1), strict=True):
        index, *parts = _bilinear_shares(xyz, volume, numbers, rays.shape, rays.axes)
        for step, part in zip((0, 1, stride, stride + 1), parts, strict=True):
            image[step:].index_add_(0, index, part)
    return image[:size].reshape(-1, rows, stride)[:, 1:-1, 1:-1]


@fused
def _bilinear_shares(
    xyz_mm: Tensor, volume_mm3: Tensor, numbers: Tensor, shape: tuple[int, int], axes: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Five arrays (N P,): a point's cell in the flattened images with border, and its shares in four cells.

    The four cells are this cell and its neighbours to the right, below, and below right.
    """
    height, width = shape
    stride, rows = width + 2, height + 2
    column, row, weight = _projected(xyz_mm, volume_mm3, numbers, shape, axes)
    column, row = column + 1, row + 1
    patient = torch.arange(len(numbers), device=weight.device, dtype=torch.int64)[:, None] * (rows * stride)
    if not weight.is_cuda:  # points outside the image are added to its border
        column, row = column.clamp(0, width + 1), row.clamp(0, height + 1)
    left, top = column.floor(), row.floor()
    index = top.to(torch.int64) * stride + left.to(torch.int64) + patient
    if weight.is_cuda:  # points outside the image and points of weight 0 are spread over the additional cells
        shows = (column >= 0) & (row >= 0) & (column < width + 1) & (row < height + 1) & (weight != 0)
        spare = torch.arange(weight.numel(), device=weight.device).reshape(weight.shape) % _SPARE
        index = torch.where(shows, index, spare + len(numbers) * rows * stride)
    low = weight * (row - top)
    high = weight - low
    low_right, high_right = low * (column - left), high * (column - left)
    parts = (high - high_right, high_right, low - low_right, low_right)
    a, b, c, d = (part.reshape(-1) for part in parts)
    return index.reshape(-1), a, b, c, d


def project_points(
    points: MassPoints, rays: Rays
) -> tuple[Float[Tensor, "N P"], Float[Tensor, "N P"], Float[Tensor, "N P"]]:
    """The columns and rows of mass points in pixels, and their path lengths in mm."""
    return _projected(points.xyz_mm, points.volume_mm3, _numbers(rays), rays.shape, rays.axes)


def _numbers(rays: Rays) -> Tensor:
    """(N, 7) fields of the rays, in the order in which ``_projected`` unpacks them."""
    place = [rays.row_mm, rays.column_mm, rays.distance_mm, rays.u0_mm, rays.z0_mm]
    return torch.stack([*place, rays.point_source, rays.point_source_z_mm], dim=1)


def _projected(
    xyz_mm: Tensor, volume_mm3: Tensor, numbers: Tensor, shape: tuple[int, int], axes: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """The result of ``project_points``, computed with ``numbers`` from ``_numbers``."""
    height, width = shape
    across, deep = axes
    row_mm, column_mm, distance, u0_mm, z0_mm, point_source, point_source_z_mm = numbers[:, None].unbind(-1)
    x, y, z = xyz_mm[..., across], xyz_mm[..., deep], xyz_mm[..., 2]
    magnification = distance / (distance + y)
    u = x * magnification
    v = (z - point_source_z_mm) * magnification
    z = z + point_source * (v - (z - point_source_z_mm))
    column = (u - u0_mm) / column_mm + (width / 2 - 0.5)
    row = (z0_mm - z) / row_mm + (height / 2 - 0.5)
    slant = torch.sqrt(1 + (u / distance) ** 2 + point_source * (v / distance) ** 2)
    magnified = magnification * (1 + point_source * (magnification - 1))
    return column, row, volume_mm3 * magnified * slant / (row_mm * column_mm)

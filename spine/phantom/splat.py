"""Mass-point splatting: the path length of a material along every ray of the slot scanner.

What belongs here: the exact projection of points and their bilinear scatter. What does not: where the points come
from (``points``) and what they absorb (``exposure``). Contract: a point of volume V at depth d adds
V m sqrt(1 + (u/f)^2) / (p_row p_column) mm to the picture, with m = f / (f + d): a pixel is p_column / m wide at
that depth, and the ray crosses it at an angle. A plain film's point source magnifies heights too, so there it is
m^2. Landmarks go through ``ViewGeometry`` (and ``Cone``); this module keeps to the same equations, and a test
compares the two.
"""

import torch
from torch import Tensor

from spine.phantom.points import MassPoints
from spine.phantom.rays import Rays


def splat(points: MassPoints, rays: Rays) -> Tensor:
    """(N, H, W) float32 path length in mm at the pixel centres; points off the picture are left out."""
    column, row, weight = project_points(points, rays)
    height, width = rays.shape
    stride, rows = width + 2, height + 2  # a border of one pixel takes what falls outside
    # Points off the picture land on the border with all of their weight.
    column = (column + 1).clamp(0, width + 1)
    row = (row + 1).clamp(0, height + 1)
    left, top = column.floor(), row.floor()
    right_share, low_share = column - left, row - top
    patient = torch.arange(len(rays), device=weight.device, dtype=torch.int64)[:, None] * (rows * stride)
    index = (top.to(torch.int64) * stride + left.to(torch.int64) + patient).reshape(-1)
    low, high = weight * low_share, weight * (1 - low_share)
    picture = torch.zeros(len(rays) * rows * stride + stride + 1, dtype=torch.float32, device=weight.device)
    for step, part in (
        (0, high * (1 - right_share)),
        (1, high * right_share),
        (stride, low * (1 - right_share)),
        (stride + 1, low * right_share),
    ):
        picture[step:].index_add_(0, index, part.reshape(-1))
    return picture[: len(rays) * rows * stride].reshape(-1, rows, stride)[:, 1:-1, 1:-1]


def project_points(points: MassPoints, rays: Rays) -> tuple[Tensor, Tensor, Tensor]:
    """(N, P) columns, rows (pixels) and path-length weights (mm) of the points."""
    height, width = rays.shape
    across, deep = rays.axes
    row_mm, column_mm, distance = rays.row_mm[:, None], rays.column_mm[:, None], rays.distance_mm[:, None]
    x, y, z = points.xyz_mm[..., across], points.xyz_mm[..., deep], points.xyz_mm[..., 2]
    magnification = distance / (distance + y)
    u = x * magnification
    cone, v = rays.cone[:, None], (z - rays.cone_z_mm[:, None]) * magnification
    z = z + cone * (v - (z - rays.cone_z_mm[:, None]))
    column = (u - rays.u0_mm[:, None]) / column_mm + (width / 2 - 0.5)
    row = (rays.z0_mm[:, None] - z) / row_mm + (height / 2 - 0.5)
    slant = torch.sqrt(1 + (u / distance) ** 2 + cone * (v / distance) ** 2)
    magnified = magnification * (1 + cone * (magnification - 1))
    return column, row, points.volume_mm3 * magnified * slant / (row_mm * column_mm)

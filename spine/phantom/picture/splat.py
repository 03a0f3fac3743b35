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

from spine.phantom.body.points import MassPoints
from spine.phantom.picture.rays import Rays

_BLOCK = 32_768


def splat(points: MassPoints, rays: Rays) -> Tensor:
    """(N, H, W) float32 path length in mm at the pixel centres; points off the picture are left out."""
    height, width = rays.shape
    stride, rows = width + 2, height + 2  # a border of one pixel takes what falls outside
    size = len(rays) * rows * stride
    picture = torch.zeros(size + stride + 1, dtype=torch.float32, device=rays.device)
    count = points.volume_mm3.shape[1]
    # On a CPU in blocks whose intermediate values stay in its cache.
    block = count if rays.device.type == "cuda" else max(1, _BLOCK // len(rays))
    for xyz, volume in zip(points.xyz_mm.split(block, 1), points.volume_mm3.split(block, 1), strict=True):
        _scatter(picture, MassPoints(xyz, volume), rays, stride)
    return picture[:size].reshape(-1, rows, stride)[:, 1:-1, 1:-1]


def _scatter(picture: Tensor, points: MassPoints, rays: Rays, stride: int) -> None:
    """Add points to the flat bordered pictures, each shared out among four pixels."""
    height, width = rays.shape
    column, row, weight = project_points(points, rays)
    # Points off the picture land on the border with all of their weight.
    column = (column + 1).clamp(0, width + 1)
    row = (row + 1).clamp(0, height + 1)
    left, top = column.floor(), row.floor()
    patient = torch.arange(len(rays), device=weight.device, dtype=torch.int64)[:, None] * ((height + 2) * stride)
    index = (top.to(torch.int64) * stride + left.to(torch.int64) + patient).reshape(-1)
    low = weight * (row - top)
    high = weight - low
    low_right, high_right = low * (column - left), high * (column - left)
    for step, part in ((0, high - high_right), (1, high_right), (stride, low - low_right), (stride + 1, low_right)):
        picture[step:].index_add_(0, index, part.reshape(-1))


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

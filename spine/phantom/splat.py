"""Mass-point splatting: the path length of bone along every ray of the slot scanner.

What belongs here: the exact projection of points and their bilinear scatter. What does not: where the points come
from (``points``) and what they absorb (``exposure``). Contract: a point of volume V at depth d adds
V m sqrt(1 + (u/f)^2) / (p_row p_column) mm to the picture, with m = f / (f + d): a pixel is p_column / m wide at
that depth, and the ray crosses it at an angle. Landmarks go through ``ViewGeometry``; this module keeps to the
same equations, and a test compares the two.
"""

import math

import torch

from spine.phantom.points import MassPoints
from spine.scanner import ViewGeometry


def splat(points: MassPoints, geometry: ViewGeometry) -> torch.Tensor:
    """(H, W) float32 path length in mm at the pixel centres; points off the picture are left out."""
    height, width = geometry.shape
    column, row, weight = project_points(points, geometry)
    inside = (column > -1) & (column < width) & (row > -1) & (row < height)
    column, row, weight = column[inside] + 1, row[inside] + 1, weight[inside]
    # The clamp only meets points that float32 rounds onto the far border.
    left, top = column.floor().clamp(max=width), row.floor().clamp(max=height)
    right_share, low_share = column - left, row - top
    stride = width + 2  # a border of one pixel takes what falls half outside
    index = top.to(torch.int64) * stride + left.to(torch.int64)
    low, high = weight * low_share, weight * (1 - low_share)
    picture = torch.zeros((height + 2) * stride, dtype=torch.float32, device=weight.device)
    picture.index_add_(0, index, high * (1 - right_share))
    picture.index_add_(0, index + 1, high * right_share)
    picture.index_add_(0, index + stride, low * (1 - right_share))
    picture.index_add_(0, index + stride + 1, low * right_share)
    return picture.reshape(height + 2, stride)[1:-1, 1:-1]


def project_points(points: MassPoints, geometry: ViewGeometry) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(P,) columns, rows (pixels) and path-length weights (mm) of the points."""
    height, width = geometry.shape
    row_mm, column_mm = geometry.spacing_mm
    across, depth = (0, 1) if geometry.view == "frontal" else (1, 0)
    distance = geometry.source_to_isocentre_mm
    x, y, z = points.xyz_mm[:, across], points.xyz_mm[:, depth], points.xyz_mm[:, 2]
    magnification = distance / (distance + y)
    u = x * magnification
    column = (u - geometry.u0_mm) / column_mm + (width / 2 - 0.5)
    row = (geometry.z0_mm - z) / row_mm + (height / 2 - 0.5)
    slant = torch.sqrt(1 + (u / distance) ** 2)
    weight = points.volume_mm3 * magnification * slant / (row_mm * column_mm)
    return column, row, weight


def blur_rows(picture: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """(H, W) Gaussian blur along both axes with a short kernel; sums are kept inside the picture."""
    if sigma_px <= 0:
        return picture
    reach = max(1, math.ceil(3 * sigma_px))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32, device=picture.device)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    padded = torch.nn.functional.pad(picture[None, None], (reach,) * 4, mode="reflect")
    down = torch.nn.functional.conv2d(padded, kernel[None, None, :, None])
    return torch.nn.functional.conv2d(down, kernel[None, None, None, :])[0, 0]

"""Closed-form path lengths through solids along the scanner's horizontal rays, for N patients.

Contract: path lengths are (N, S, H, W) float32 millimetres at the pixel centres. Every ray is horizontal, so each image
row is a two-dimensional problem. Chords of ellipsoids and of lofts of power 2 are exact. Chords of other lofts are
exact for rays along an axis of the loft. For oblique rays (here less than 10 degrees), the chord is approximated by
2 (1 - d^n)^(1/n) / |scaled direction|, where d is the scaled distance of the ray from the centre.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from simulation.body.solids import Ellipsoids, Lofts
from simulation.imaging.fused_kernels import fused
from simulation.imaging.rays import Rays
from spine.types import Float

_TILE_STEP = 16
_BESIDE_MM = 0.01


@dataclass(frozen=True)
class Lines:
    """Directions, sources and heights of rays."""

    direction: Float[Tensor, "N W 2"]
    source: Float[Tensor, "N 2"]
    z_mm: Float[Tensor, "N H"]


def ray_lines(rays: Rays) -> Lines:
    """The directions, sources and heights of ``rays``."""
    return Lines(rays.direction, rays.source, rays.row_z_mm)


def loft_chords(lofts: Lofts, lines: Lines) -> Float[Tensor, "N S H W"]:
    """Path length through each loft."""
    if lines.z_mm.is_cuda:
        return _lofts(lofts, lines)
    z = lines.z_mm[:, None]
    there = (z >= lofts.low_mm[..., None]) & (z <= lofts.high_mm[..., None])
    return _where(there, lines, lambda i, part: _lofts(lofts[i : i + 1], part))


def ellipsoid_chords(solids: Ellipsoids, lines: Lines) -> Float[Tensor, "N E H W"]:
    """Path length through each ellipsoid."""
    if lines.z_mm.is_cuda:
        return _ellipsoids(solids, lines)
    reach = solids.axes_mm[..., 2, :].norm(dim=-1, keepdim=True) + _BESIDE_MM
    there = (lines.z_mm[:, None] - solids.centre_mm[..., 2:]).abs() <= reach
    return _where(there, lines, lambda i, part: _ellipsoids(solids[i : i + 1], part))


def _where(there: Tensor, lines: Lines, chords: Callable[[int, Lines], Tensor]) -> Tensor:
    """(N, S, H, W) chords. ``there`` (N, S, H) is true for the rows that a solid reaches; other rows are skipped.

    This function is for a CPU only. On a GPU, the host would have to wait for ``there``.
    """
    count, solids, height = there.shape
    found = torch.zeros(count, solids, height, lines.direction.shape[1], device=there.device)
    for i in range(solids):
        rows = there[:, i].any(0).nonzero()
        if len(rows):
            span = slice(int(rows[0]), int(rows[-1]) + 1)
            part = Lines(lines.direction, lines.source, lines.z_mm[:, span])
            found[:, i : i + 1, span] = chords(i, part)
    return found


def _lofts(lofts: Lofts, lines: Lines) -> Tensor:
    controls = lofts.controls.shape[2]
    z = lines.z_mm[:, None]  # (N, 1, H)
    low, high = lofts.low_mm[..., None], lofts.high_mm[..., None]
    at = (z - low) / (high - low) * (controls - 1)
    inside = (at >= 0) & (at <= controls - 1)
    at = at.clamp(0, controls - 1)
    below = at.floor().clamp(max=controls - 2)
    share = (at - below)[..., None]
    index = below.long()[..., None].expand(-1, -1, -1, 4)
    values = lofts.controls.gather(2, index) * (1 - share) + lofts.controls.gather(2, index + 1) * share
    x, y, a, b = (v[..., None] for v in values.unbind(-1))  # (N, S, H, 1)
    direction, source = lines.direction[:, None, None], lines.source[:, None, None, None]
    aside = direction[..., 1] * (x - source[..., 0]) - direction[..., 0] * (y - source[..., 1])
    length = torch.sqrt((direction[..., 0] / a) ** 2 + (direction[..., 1] / b) ** 2)
    scaled = aside.abs() / (a * b * length)
    power = lofts.power[..., None, None]
    rest = (1 - scaled.clamp(max=1) ** power).clamp(min=0)
    return 2 * rest ** (1 / power) / length * inside[..., None]


def _ellipsoids(solids: Ellipsoids, lines: Lines) -> Tensor:
    return _chords(solids, lines.direction[:, None], lines.z_mm[:, None], lines.source[:, None])


def _chords(solids: Ellipsoids, direction: Tensor, z: Tensor, source: Tensor) -> Tensor:
    """(N, E, H, W) chords from (N, E or 1, W, 2) directions, (N, E or 1, H) heights and (N, 1, 2) sources.

    The equation |A (o + t d)|^2 = 1 is solved for t. The origin o is the point of the ray nearest to the centre; with
    this origin, float32 is accurate. Rays are horizontal, so each coefficient is the sum of
    a term that depends on the column and a term that depends on the row.
    """
    inverse = _inverse(solids.axes_mm)  # (N, E, 3, 3)
    centre = solids.centre_mm
    to_centre = (centre[..., :2] - source)[:, :, None]  # (N, E, 1, 2)
    nearest = (direction * to_centre).sum(-1, keepdim=True) * direction - to_centre  # (N, E, W, 2)
    flat, up = inverse[:, :, None, :, :2], inverse[:, :, None, :, 2]  # (N, E, 1, 3, 2), (N, E, 1, 3)
    along = (flat * direction[..., None, :]).sum(-1)  # (N, E, W, 3)
    across = (flat * nearest[..., None, :]).sum(-1)
    rise = (z - centre[..., 2:])[..., None]  # (N, E, H, 1)
    a = (along**2).sum(-1)[:, :, None]
    b = (across * along).sum(-1)[:, :, None] + rise * (up * along).sum(-1)[:, :, None]
    c = (across**2).sum(-1)[:, :, None] + 2 * rise * (up * across).sum(-1)[:, :, None]
    c = c + rise**2 * (up**2).sum(-1)[..., None] - 1
    above = (z >= solids.floor_mm[..., None])[..., None]
    return 2 * torch.sqrt((b * b - a * c).clamp(min=0)) / a * above


def _inverse(matrix: Tensor) -> Tensor:
    """(..., 3, 3) inverse matrices, computed from cross products of the columns."""
    x, y, z = matrix.unbind(-1)
    rows = torch.stack([torch.linalg.cross(y, z), torch.linalg.cross(z, x), torch.linalg.cross(x, y)], dim=-2)
    return rows / (x * rows[..., 0, :]).sum(-1)[..., None, None]


@fused
def _tiles(
    centre: Tensor,
    axes: Tensor,
    floor: Tensor,
    weight: Tensor,
    direction: Tensor,
    z: Tensor,
    source: Tensor,
    seen_rows: Tensor,
    seen_columns: Tensor,
) -> Tensor:
    """(N, E, T, T) weighted chords on tiles of T x T pixels. Pixels outside the image are 0."""
    chords = _chords(Ellipsoids(centre, axes, floor), direction, z, source[:, None])
    return chords * weight[..., None, None] * (seen_rows[..., None] & seen_columns[..., None, :])


def add_small(
    image: Float[Tensor, "N H W"], solids: Ellipsoids, rays: Rays, reach_mm: float, weight: Float[Tensor, "N E"]
) -> Float[Tensor, "N H W"]:
    """The image plus the chords of small ellipsoids, times their weights.

    ``reach_mm`` is the largest half-axis. The chords of an ellipsoid are computed on a tile around its centre.
    """
    height, width = rays.shape
    # The size of a tile is rounded to steps, so that slightly different pixel sizes share one compiled kernel.
    wanted = math.ceil(2.4 * reach_mm / rays.min_pixel_mm + 2)
    side = min(_TILE_STEP * math.ceil(wanted / _TILE_STEP) if image.is_cuda else wanted, max(height, width))
    across, deep = rays.axes
    centre = solids.centre_mm
    u = centre[..., across] * rays.distance_mm[:, None] / (rays.distance_mm[:, None] + centre[..., deep])
    column = (u - rays.u0_mm[:, None]) / rays.column_mm[:, None] + (width / 2 - 0.5)
    row = (rays.z0_mm[:, None] - centre[..., 2]) / rays.row_mm[:, None] + (height / 2 - 0.5)
    steps = torch.arange(side, device=image.device) - side // 2
    columns = column.round().long()[..., None] + steps  # (N, E, T)
    rows = row.round().long()[..., None] + steps
    tile_u = (columns - (width / 2 - 0.5)) * rays.column_mm[:, None, None] + rays.u0_mm[:, None, None]
    length = torch.hypot(tile_u, rays.distance_mm[:, None, None].expand_as(tile_u))
    pair = [tile_u / length, rays.distance_mm[:, None, None] / length]
    direction = torch.stack(pair if rays.view == "frontal" else pair[::-1], dim=-1)
    z = rays.z0_mm[:, None, None] - (rows - (height / 2 - 0.5)) * rays.row_mm[:, None, None]
    seen_rows, seen_columns = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    parts = (solids.centre_mm, solids.axes_mm, solids.floor_mm)
    tiles = _tiles(*parts, weight, direction, z, rays.source, seen_rows, seen_columns)
    index = rows.clamp(0, height - 1)[..., None] * width + columns.clamp(0, width - 1)[..., None, :]
    index = index + (torch.arange(len(rays), device=image.device) * height * width)[:, None, None, None]
    return image.reshape(-1).index_add(0, index.reshape(-1), tiles.reshape(-1)).reshape(image.shape)

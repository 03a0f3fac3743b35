"""Mass points: surfaces and interiors, sampled as points, each of which represents a volume of material.

Contract: float32 tensors. The volumes of a shell's points add up to the shell's area times its thickness. The volumes
of a filling's points add up to the filling's volume times its fraction. Every cell of a grid has the same number of
stratified points. Jitter from a fixed seed prevents moire. The number of points follows from the cell sizes of a
reference patient, so that a patient's points do not depend on the other patients of the batch.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from simulation.body.surfaces import Bones, Filling, Shell
from simulation.cuda_graphs import in_parallel
from spine.types import Float

_JITTER_SEED = 20190

CellSize = tuple[float, float, float]
"""Mean size of a grid's cells in mm: along the grid, around it, and from axis to surface (0 for shells)."""


@dataclass(frozen=True)
class MassPoints:
    """P points of one material for each of N patients, in LPS coordinates."""

    xyz_mm: Float[Tensor, "N P 3"]
    volume_mm3: Float[Tensor, "N P"]


def cell_sizes(bones: Bones) -> tuple[CellSize, ...]:
    """The mean cell sizes of all shells, followed by the mean cell sizes of all fillings."""
    return tuple(_cell_size(part) for part in _parts(bones))


def sample_bones(bones: Bones, cells: Sequence[CellSize], finer: float = 1.0, filling_share: float = 1.0) -> MassPoints:
    """Points of all shells and fillings.

    Args:
        bones: shells and fillings to sample.
        cells: ``cell_sizes`` of a reference patient with the same parts.
        finer: number by which all spacings are divided, for example 2 for pixels of half the size.
        filling_share: factor by which the volumes of fillings are multiplied.
    """

    def sample(part: Shell | Filling, cell: CellSize) -> MassPoints | None:
        there = _present(part)
        if there is None:
            return None
        finely = replace(there, spacing_mm=there.spacing_mm / finer)
        if isinstance(finely, Shell):
            return sample_shell(finely, cell)
        points = sample_filling(finely, cell)
        return MassPoints(points.xyz_mm, points.volume_mm3 * filling_share)

    sampled = in_parallel(*(partial(sample, *pair) for pair in zip(_parts(bones), cells, strict=True)))
    found = [points for points in sampled if points is not None]
    return MassPoints(torch.cat([p.xyz_mm for p in found], 1), torch.cat([p.volume_mm3 for p in found], 1))


def _parts(bones: Bones) -> list[Shell | Filling]:
    return [*bones.shells, *bones.fillings]


def sample_shell(shell: Shell, cell: CellSize | None = None) -> MassPoints:
    """Points of one shell. The volume of a point is cell area x thickness / points per cell."""
    corners = _corners(shell.vertices)  # (N, B, C, 4, 3)
    ku, kv, _ = _per_cell(cell or _cell_size(shell), shell.spacing_mm)
    weights = _weights(corners.shape[2], ku, kv, str(corners.device))  # (C, k, 4)
    xyz = torch.einsum("ckq,nbcqd->nbckd", weights, corners)
    volume = _areas(corners) * shell.thickness_mm[..., None] / (ku * kv)
    return MassPoints(xyz.flatten(1, 3), volume[..., None].expand(*volume.shape, ku * kv).flatten(1))


def sample_filling(filling: Filling, cell: CellSize | None = None) -> MassPoints:
    """Points inside one filling, distributed uniformly over its volume.

    The relative distance to the axis is the square root of a uniformly distributed random number.
    """
    grid = filling.vertices
    corners = _corners(grid)
    inner = _corners(filling.axis[..., None, :].expand_as(grid))
    ku, kv, depth = _per_cell(cell or _cell_size(filling), filling.spacing_mm)
    cells, device = corners.shape[2], str(corners.device)
    weights = _weights(cells, ku, kv * depth, device)
    radius = torch.sqrt(_strata(cells, ku * kv * depth, depth, device))[..., None]
    on_axis = torch.einsum("ckq,nbcqd->nbckd", weights, inner)
    on_surface = torch.einsum("ckq,nbcqd->nbckd", weights, corners)
    xyz = on_axis + radius * (on_surface - on_axis)
    element = _volume_elements(corners, inner, weights, radius[..., 0])
    volume = _wedges(corners, inner) * filling.fraction[..., None] / element.sum(dim=-1).clamp(min=1e-9)
    return MassPoints(xyz.flatten(1, 3), (volume[..., None] * element).flatten(1))


def _volume_elements(corners: Tensor, inner: Tensor, weights: Tensor, radius: Tensor) -> Tensor:
    """(N, B, cells, k) volume element at each point, up to a factor of the cell.

    With axis a(u) and surface s(u, v), the point a + r (s - a) has the volume element
    r w . (s_v x (a_u + r (s_u - a_u))), where w = s - a. If all points of a tapered cell had equal volumes, its narrow
    end would have as much mass as its wide end, and bands would be visible.
    """
    w = corners - inner
    p, q, r, s = corners.unbind(dim=-2)
    s_u = torch.stack([r - p, s - q, r - p, s - q], dim=-2)
    s_v = torch.stack([q - p, q - p, s - r, s - r], dim=-2)
    a_u = (inner[..., 2, :] - inner[..., 0, :])[..., None, :]
    normal = torch.linalg.cross(w, s_v)
    straight, widening = (normal * a_u).sum(-1), (normal * (s_u - a_u)).sum(-1)
    at = torch.einsum("ckq,nbcqd->nbckd", weights, torch.stack([straight, widening], dim=-1))
    return (at[..., 0] + radius * at[..., 1]).abs()


def _present(part: Shell | Filling) -> Shell | Filling | None:
    """A copy of the part that has only the grids that at least one patient of the batch has; None if there is no grid.

    On a GPU no grid is dropped, because the test would make the host wait for the device.
    """
    amount = part.thickness_mm if isinstance(part, Shell) else part.fraction
    if amount.is_cuda:
        return part
    keep = (amount != 0).any(dim=0)
    if bool(keep.all()):
        return part
    if not bool(keep.any()):
        return None
    if isinstance(part, Shell):
        return replace(part, vertices=part.vertices[:, keep], thickness_mm=amount[:, keep])
    return replace(part, vertices=part.vertices[:, keep], axis=part.axis[:, keep], fraction=amount[:, keep])


def _cell_size(part: Shell | Filling) -> CellSize:
    corners = _corners(part.vertices)
    along = float((corners[..., 2, :] - corners[..., 0, :]).norm(dim=-1).mean())
    around = float((corners[..., 1, :] - corners[..., 0, :]).norm(dim=-1).mean())
    if isinstance(part, Shell):
        return along, around, 0.0
    inward = (corners - _corners(part.axis[..., None, :].expand_as(part.vertices))).norm(dim=-1).mean()
    return along, around, float(inward)


def _per_cell(cell: CellSize, spacing_mm: float) -> tuple[int, int, int]:
    """Numbers of points of a cell along, around and inward that give a mean distance of ``spacing_mm``."""
    along, around, inward = cell
    return (
        max(1, math.ceil(along / spacing_mm)),
        max(1, math.ceil(around / spacing_mm)),
        max(1, round(inward / spacing_mm)),
    )


def _corners(grid: Tensor) -> Tensor:
    """(N, B, M, K, 3) vertices -> (N, B, cells, 4, 3) corners in the order 00, 01, 10, 11."""
    near, far = grid[:, :, :-1], grid[:, :, 1:]
    quads = torch.stack([near[..., :-1, :], near[..., 1:, :], far[..., :-1, :], far[..., 1:, :]], dim=4)
    return quads.flatten(2, 3)


def _areas(corners: Tensor) -> Tensor:
    """(N, B, cells) area of each cell, mm^2: half the cross product of its diagonals."""
    first, second = corners[..., 3, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 1, :]
    doubled: Tensor = torch.linalg.cross(first, second).norm(dim=-1)
    return doubled / 2


def _wedges(corners: Tensor, inner: Tensor) -> Tensor:
    """(N, B, cells) volume between each cell and its part of the axis in mm^3, as three tetrahedra."""
    a, b = inner[..., 0, :], inner[..., 2, :]
    p, q, r, s = corners.unbind(dim=-2)
    return (_tetrahedron(a, p, q, r) + _tetrahedron(a, q, s, r) + _tetrahedron(a, b, r, s)).abs()


def _tetrahedron(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    sixfold: Tensor = (torch.linalg.cross(b - a, c - a) * (d - a)).sum(-1)
    return sixfold / 6


@functools.lru_cache(maxsize=512)
def _weights(cells: int, ku: int, kv: int, device: str) -> Tensor:
    """(cells, ku kv, 4) bilinear weights of jittered points on a ku x kv lattice inside each cell."""
    generator = torch.Generator().manual_seed(_JITTER_SEED + cells * 131 + ku * 17 + kv)
    jitter = torch.rand(cells, ku, kv, 2, generator=generator)
    u = (torch.arange(ku)[None, :, None] + jitter[..., 0]) / ku
    v = (torch.arange(kv)[None, None, :] + jitter[..., 1]) / kv
    weights = torch.stack([(1 - u) * (1 - v), (1 - u) * v, u * (1 - v), u * v], dim=-1)
    return weights.reshape(cells, ku * kv, 4).to(device)


@functools.lru_cache(maxsize=512)
def _strata(cells: int, count: int, depth: int, device: str) -> Tensor:
    """(cells, count) uniform numbers in 0..1; point i of a cell is in stratum i modulo ``depth``."""
    generator = torch.Generator().manual_seed(_JITTER_SEED + cells * 7 + count * 3 + depth)
    strata = torch.arange(count) % depth
    return ((strata[None] + torch.rand(cells, count, generator=generator)) / depth).to(device)

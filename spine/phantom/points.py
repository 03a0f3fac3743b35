"""Mass points: bone surfaces and interiors turned into points that each stand for a volume of material.

What belongs here: sampling. What does not: projection (``splat``). Contract: float32 tensors on the device asked
for; the volumes of a shell add up to area times thickness, those of a filling to its volume times its fraction.
Every cell of a grid gets the same number of stratified points, jittered (jitter kills moire) from one fixed seed,
so a patient's points depend on the patient's geometry alone.
"""

import functools
import math
from dataclasses import dataclass

import torch

from spine.phantom.surfaces import Bones, Filling, Shell

_JITTER_SEED = 20190


@dataclass(frozen=True)
class MassPoints:
    """P points of one material.

    Attributes:
        xyz_mm: (P, 3) float32, LPS.
        volume_mm3: (P,) float32.
    """

    xyz_mm: torch.Tensor
    volume_mm3: torch.Tensor


@dataclass(frozen=True)
class BonePoints:
    """The two materials of bone."""

    cortical: MassPoints
    trabecular: MassPoints


def sample_bones(bones: Bones, device: str = "cpu") -> BonePoints:
    """Points of all shells (cortical) and fillings (trabecular)."""
    return BonePoints(
        _joined([sample_shell(shell, device) for shell in bones.shells], device),
        _joined([sample_filling(filling, device) for filling in bones.fillings], device),
    )


def sample_shell(shell: Shell, device: str = "cpu") -> MassPoints:
    """Points of one shell: volume = cell area x thickness / points per cell."""
    grid = torch.as_tensor(shell.vertices, dtype=torch.float32, device=device)
    corners = _corners(grid)  # (B, C, 4, 3)
    ku, kv = _per_cell(corners, shell.spacing_mm)
    weights = _weights(corners.shape[1], ku, kv, device)  # (C, k, 4)
    xyz = torch.einsum("ckq,bcqd->bckd", weights, corners)
    thickness = torch.as_tensor(shell.thickness_mm, dtype=torch.float32, device=device)
    volume = _areas(corners) * thickness[:, None] / (ku * kv)
    return MassPoints(xyz.reshape(-1, 3), volume[..., None].expand(*volume.shape, ku * kv).reshape(-1))


def sample_filling(filling: Filling, device: str = "cpu") -> MassPoints:
    """Points of one interior: uniform in volume, by square-root radii between axis and surface."""
    grid = torch.as_tensor(filling.vertices, dtype=torch.float32, device=device)
    axis = torch.as_tensor(filling.axis, dtype=torch.float32, device=device)
    corners = _corners(grid)
    inner = _corners(axis[:, :, None].expand(*grid.shape))
    ku, kv = _per_cell(corners, filling.spacing_mm)
    depth = max(1, round(float((corners - inner).norm(dim=-1).mean()) / filling.spacing_mm))
    cells = corners.shape[1]
    weights = _weights(cells, ku, kv * depth, device)
    radius = torch.sqrt(_strata(cells, ku * kv * depth, depth, device))[None, :, :, None]
    on_axis = torch.einsum("ckq,bcqd->bckd", weights, inner)
    on_surface = torch.einsum("ckq,bcqd->bckd", weights, corners)
    xyz = on_axis + radius * (on_surface - on_axis)
    fraction = torch.as_tensor(filling.fraction, dtype=torch.float32, device=device)
    volume = _wedges(corners, inner) * fraction[:, None] / (ku * kv * depth)
    count = ku * kv * depth
    return MassPoints(xyz.reshape(-1, 3), volume[..., None].expand(*volume.shape, count).reshape(-1))


def _joined(points: list[MassPoints], device: str) -> MassPoints:
    if not points:
        return MassPoints(torch.zeros(0, 3, device=device), torch.zeros(0, device=device))
    return MassPoints(torch.cat([p.xyz_mm for p in points]), torch.cat([p.volume_mm3 for p in points]))


def _corners(grid: torch.Tensor) -> torch.Tensor:
    """(B, M, N, 3) vertices -> (B, cells, 4, 3) corners in the order 00, 01, 10, 11."""
    quads = torch.stack([grid[:, :-1, :-1], grid[:, :-1, 1:], grid[:, 1:, :-1], grid[:, 1:, 1:]], dim=3)
    return quads.reshape(len(grid), -1, 4, 3)


def _areas(corners: torch.Tensor) -> torch.Tensor:
    """(B, cells) area of each cell, mm^2: half the cross product of its diagonals."""
    first, second = corners[:, :, 3] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 1]
    return torch.linalg.cross(first, second).norm(dim=-1) / 2


def _wedges(corners: torch.Tensor, inner: torch.Tensor) -> torch.Tensor:
    """(B, cells) volume between each cell and its stretch of the axis, mm^3: three tetrahedra."""
    a, b = inner[:, :, 0], inner[:, :, 2]
    p, q, r, s = corners.unbind(dim=2)
    return (_tetrahedron(a, p, q, r) + _tetrahedron(a, q, s, r) + _tetrahedron(a, b, r, s)).abs()


def _tetrahedron(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    return (torch.linalg.cross(b - a, c - a) * (d - a)).sum(-1) / 6


def _per_cell(corners: torch.Tensor, spacing_mm: float) -> tuple[int, int]:
    """How many points along and around a cell reach the wanted spacing on average."""
    along = float((corners[:, :, 2] - corners[:, :, 0]).norm(dim=-1).mean())
    around = float((corners[:, :, 1] - corners[:, :, 0]).norm(dim=-1).mean())
    return max(1, math.ceil(along / spacing_mm)), max(1, math.ceil(around / spacing_mm))


@functools.lru_cache(maxsize=256)
def _weights(cells: int, ku: int, kv: int, device: str) -> torch.Tensor:
    """(cells, ku kv, 4) bilinear weights of jittered points on a ku x kv lattice inside each cell."""
    generator = torch.Generator().manual_seed(_JITTER_SEED + cells * 131 + ku * 17 + kv)
    jitter = torch.rand(cells, ku, kv, 2, generator=generator)
    u = (torch.arange(ku)[None, :, None] + jitter[..., 0]) / ku
    v = (torch.arange(kv)[None, None, :] + jitter[..., 1]) / kv
    weights = torch.stack([(1 - u) * (1 - v), (1 - u) * v, u * (1 - v), u * v], dim=-1)
    return weights.reshape(cells, ku * kv, 4).to(device)


@functools.lru_cache(maxsize=256)
def _strata(cells: int, count: int, depth: int, device: str) -> torch.Tensor:
    """(cells, count) uniform numbers, ``depth`` strata dealt in turn."""
    generator = torch.Generator().manual_seed(_JITTER_SEED + cells * 7 + count * 3 + depth)
    strata = torch.arange(count) % depth
    return ((strata[None] + torch.rand(cells, count, generator=generator)) / depth).to(device)

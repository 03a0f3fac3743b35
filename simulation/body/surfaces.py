"""Bone surfaces as grids of points, and the sweeps that build them, for N patients at once.

Contract: torch tensors of any leading shape on one device. A ``Shell`` has B grids of (M, K) vertices in mm for each of
N patients. The last index runs around the surface, and its last point is equal to its first. Mass points
(``mass_points``) and meshes (``cohort.mesh_export``) are made from the same grids.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from spine.types import Float

ROUND = 20
"""Default number of cells around a sweep."""


@dataclass(frozen=True)
class Shell:
    """B cortical surfaces of one kind, for N patients.

    Attributes:
        name: the kind (``body``, ``rib`` ...).
        vertices: vertices of the grids, mm.
        thickness_mm: thickness of the cortex; 0 if the patient does not have this part.
        spacing_mm: mean distance between mass points.
        bones: name of the bone that each of the B grids belongs to; each bone is written as one mesh.
    """

    name: str
    vertices: Float[Tensor, "N B M K 3"]
    thickness_mm: Float[Tensor, "N B"]
    spacing_mm: float = 1.4
    bones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Filling:
    """B interiors between a surface and its axis, for N patients.

    Attributes:
        name: the kind of the interiors.
        vertices: the outer surface, mm.
        axis: the line inside the surface, mm.
        fraction: share of the volume that is material; 1 is healthy spongiosa or solid metal.
        spacing_mm: mean distance between mass points.
    """

    name: str
    vertices: Float[Tensor, "N B M K 3"]
    axis: Float[Tensor, "N B M 3"]
    fraction: Float[Tensor, "N B"]
    spacing_mm: float = 2.6


@dataclass(frozen=True)
class Bones:
    """All shells and fillings of one material, for N patients."""

    shells: tuple[Shell, ...] = ()
    fillings: tuple[Filling, ...] = ()

    def __add__(self, other: "Bones") -> "Bones":
        return Bones(self.shells + other.shells, self.fillings + other.fillings)

    def scaled(self, density: Float[Tensor, " N"]) -> "Bones":
        """A copy in which the cortex and spongiosa of each patient are multiplied by a density."""
        return Bones(
            tuple(replace(s, thickness_mm=s.thickness_mm * density[:, None]) for s in self.shells),
            tuple(replace(f, fraction=f.fraction * density[:, None]) for f in self.fillings),
        )


@lru_cache(maxsize=256)
def outline(count: int = ROUND, power: float = 2.0, device: torch.device | str = "cpu") -> Float[Tensor, "{count}+1 2"]:
    """The closed unit superellipse |x|^n + |y|^n = 1, drawn from +x towards +y."""
    angle = torch.linspace(0.0, 2.0 * math.pi, count + 1, dtype=torch.float64)
    c, s = angle.cos(), angle.sin()
    ring = torch.stack([c.sign() * c.abs() ** (2 / power), s.sign() * s.abs() ** (2 / power)], dim=-1)
    ring[-1] = ring[0]
    return ring.to(dtype=torch.float32, device=device)


def sweep(
    path: Float[Tensor, "*#any M 3"],
    across: Float[Tensor, "*#any #M 3"],
    up: Float[Tensor, "*#any #M 3"],
    radii: Float[Tensor, "*#any M 2"],
    ring: Float[Tensor, "K 2"] | None = None,
) -> Float[Tensor, "*any M _ 3"]:
    """Vertices of rings along a path.

    Args:
        path: centres of the rings, mm.
        across, up: unit axes of the rings.
        radii: half-widths along ``across`` and ``up``, mm; half-widths of 0 close an end.
        ring: outline of unit size, by default a circle.
    """
    unit = outline(device=path.device) if ring is None else ring
    first = (radii[..., 0:1] * across)[..., None, :] * unit[:, 0:1]
    second = (radii[..., 1:2] * up)[..., None, :] * unit[:, 1:2]
    return path[..., None, :] + first + second


def unit(vector: Float[Tensor, "*any 3"]) -> Float[Tensor, "*any 3"]:
    """The vectors, scaled to length 1."""
    length: Tensor = vector.norm(dim=-1, keepdim=True)
    return vector / length.clamp(min=1e-9)


def cross(first: Float[Tensor, "*#any 3"], second: Float[Tensor, "*#any 3"]) -> Float[Tensor, "*any 3"]:
    """Cross product."""
    product: Tensor = torch.linalg.cross(*torch.broadcast_tensors(first, second))
    return product


def bar(
    start: Float[Tensor, "*#any 3"],
    end: Float[Tensor, "*#any 3"],
    up: Float[Tensor, "*#any 3"],
    start_radii: Float[Tensor, "*#any 2"],
    end_radii: Float[Tensor, "*#any 2"],
    steps: int = 6,
    rounding: float = 0.2,
    count: int = ROUND,
) -> tuple[Float[Tensor, "*any M K 3"], Float[Tensor, "*any M 3"]]:
    """Vertices and axis of tapered bars with rounded ends.

    Args:
        start, end: end points of the bars, mm.
        up: direction of the second radius, roughly perpendicular to the bar.
        start_radii, end_radii: radii at both ends, mm; the second radius lies along ``up``.
        steps: number of cells along the straight part.
        rounding: length of each rounded end, as a share of the bar's length.
        count: number of cells around the bar.
    """
    device = start.device
    cap = 1 - torch.linspace(0.0, math.pi / 2, 4, device=device).cos()
    middle = torch.linspace(rounding, 1 - rounding, steps + 1, device=device)[1:-1]
    t = torch.cat([rounding * cap, middle, 1 - rounding * cap.flip(0)])
    edge = (torch.minimum(t, 1 - t) / rounding).clamp(0, 1)
    closing = (1 - (1 - edge) ** 2).clamp(0, 1).sqrt()[:, None]
    t = t[:, None]
    path = start[..., None, :] * (1 - t) + end[..., None, :] * t
    direction = unit(end - start)
    across = unit(cross(up, direction))
    above = cross(direction, across)
    radii = (start_radii[..., None, :] * (1 - t) + end_radii[..., None, :] * t) * closing
    return sweep(path, across[..., None, :], above[..., None, :], radii, outline(count, device=device)), path


def tube(
    path: Float[Tensor, "*#any M 3"], radii: Float[Tensor, "*#any M 2"], up: Float[Tensor, "... 3"], count: int = ROUND
) -> Float[Tensor, "*any M _ 3"]:
    """Vertices of tubes along curved paths; the second of ``radii`` lies along ``up``."""
    direction = torch.cat(
        [
            path[..., 1:2, :] - path[..., :1, :],
            path[..., 2:, :] - path[..., :-2, :],
            path[..., -1:, :] - path[..., -2:-1, :],
        ],
        dim=-2,
    )
    direction = unit(direction)
    across = unit(cross(up, direction))
    return sweep(path, across, cross(direction, across), radii, outline(count, device=path.device))


def ball(
    centre: Float[Tensor, "*any 3"],
    axes: Float[Tensor, "*any 3 3"],
    steps: int = 12,
    count: int = ROUND,
    upto: float = 1.0,
) -> tuple[Float[Tensor, "*any M K 3"], Float[Tensor, "*any M 3"]]:
    """Vertices and axis of ellipsoids.

    Args:
        centre: centre of the ellipsoid, mm.
        axes: half-axes as columns, mm; the poles of the grid are on the last axis.
        steps, count: number of cells from pole to pole, and number of cells around.
        upto: 1 for the whole ellipsoid, 0.5 for the half around the negative pole.
    """
    angle = torch.linspace(0.0, math.pi * upto, steps + 1, device=centre.device)
    path = centre[..., None, :] - angle.cos()[:, None] * axes[..., None, :, 2]
    lengths = axes.norm(dim=-2).clamp(min=1e-9)  # (..., 3)
    square = axes / lengths[..., None, :]
    radii = angle.sin()[:, None] * lengths[..., None, :2]
    ring = outline(count, device=centre.device)
    return sweep(path, square[..., None, :, 0], square[..., None, :, 1], radii, ring), path


def disc(
    centre: Float[Tensor, "*any 3"],
    axes: Float[Tensor, "*any 3 3"],
    radii: Float[Tensor, "*any 2"],
    ring: Float[Tensor, "K 2"],
    steps: int = 6,
    hollow: Float[Tensor, "*any"] | None = None,
) -> Float[Tensor, "*any {steps}+1 K 3"]:
    """Vertices of plates, flat or concave.

    Args:
        centre: centre of the plate in the plane of its rim, mm.
        axes: axes X, Y and Z as columns; the rim lies in the plane of X and Y.
        radii: half-width and half-depth, mm.
        ring: outline of unit size.
        steps: number of cells from the middle to the rim.
        hollow: depth of the middle below the plane of the rim along -Z, mm.
    """
    r = torch.linspace(0.0, 1.0, steps + 1, device=centre.device)[:, None]
    path = centre[..., None, :].expand(*centre.shape[:-1], steps + 1, 3)
    if hollow is not None:
        path = path - (hollow[..., None, None] * (1 - r**3)) * axes[..., None, :, 2]
    return sweep(path, axes[..., None, :, 0], axes[..., None, :, 1], r * radii[..., None, :], ring)


def smooth(control: Float[Tensor, "*any K d"], count: int) -> Float[Tensor, "*any {count} d"]:
    """Catmull-Rom curve of ``count`` points through K control points."""
    k = control.shape[-2]
    padded = torch.cat(
        [2 * control[..., :1, :] - control[..., 1:2, :], control, 2 * control[..., -1:, :] - control[..., -2:-1, :]],
        dim=-2,
    )
    at = torch.linspace(0.0, k - 1.0, count, device=control.device)
    i = at.floor().long().clamp(max=k - 2)
    t = (at - i)[:, None]
    a, b, c, d = (padded[..., i + n, :] for n in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)

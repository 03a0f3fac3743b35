"""Bone surfaces as grids of points, and sweeps that make them.

What belongs here: the two records every bone is drawn from, and the general ways to build them. What does not:
any particular bone. Contract: a ``Shell`` holds B grids of (M, N) vertices in mm, already posed; the last index
runs around and closes on itself (first point repeated). The same grids can be written as meshes.
"""

from dataclasses import dataclass, replace

import numpy as np

from spine.scanner import Floats

ROUND = 20
"""Default number of cells around a sweep."""


@dataclass(frozen=True)
class Shell:
    """B cortical surfaces of one kind.

    Attributes:
        name: what it is (``body``, ``rib`` ...).
        vertices: (B, M, N, 3) mm.
        thickness_mm: (B,) of the cortex; negative thins what lies there (a foramen).
        spacing_mm: wanted distance between mass points.
    """

    name: str
    vertices: Floats
    thickness_mm: Floats
    spacing_mm: float = 1.4


@dataclass(frozen=True)
class Filling:
    """B spongious interiors: everything between grid and axis.

    Attributes:
        name: what it is.
        vertices: (B, M, N, 3) mm, the outer surface.
        axis: (B, M, 3) mm, the line the surface runs around.
        fraction: (B,) spongiosa per volume (1 = healthy spongiosa).
        spacing_mm: wanted distance between mass points.
    """

    name: str
    vertices: Floats
    axis: Floats
    fraction: Floats
    spacing_mm: float = 2.6


@dataclass(frozen=True)
class Bones:
    """All bone of a patient."""

    shells: tuple[Shell, ...]
    fillings: tuple[Filling, ...]

    def __add__(self, other: "Bones") -> "Bones":
        return Bones(self.shells + other.shells, self.fillings + other.fillings)

    def scaled(self, density: float) -> "Bones":
        """Bones of another density: thinner cortex and less spongiosa."""
        return Bones(
            tuple(replace(s, thickness_mm=s.thickness_mm * density) for s in self.shells),
            tuple(replace(f, fraction=f.fraction * density) for f in self.fillings),
        )


def outline(count: int = ROUND, power: float = 2.0) -> Floats:
    """(count + 1, 2) unit superellipse |x|^n + |y|^n = 1 from +x through +y, closed."""
    angle = np.linspace(0.0, 2.0 * np.pi, count + 1)
    c, s = np.cos(angle), np.sin(angle)
    ring = np.stack([np.sign(c) * np.abs(c) ** (2 / power), np.sign(s) * np.abs(s) ** (2 / power)], axis=-1)
    ring[-1] = ring[0]
    return ring


def sweep(path: Floats, across: Floats, up: Floats, radii: Floats, ring: Floats | None = None) -> Floats:
    """Rings along a path.

    Args:
        path: (B, M, 3) centres of the rings, mm.
        across, up: (B, M, 3) or broadcastable: unit axes of the rings.
        radii: (B, M, 2) half-width along ``across`` and ``up``, mm; zero closes an end.
        ring: (N, 2) unit outline, a circle by default.

    Returns:
        (B, M, N, 3) vertices.
    """
    unit = outline() if ring is None else ring
    first = (radii[..., 0:1] * across)[..., None, :] * unit[:, 0:1]
    second = (radii[..., 1:2] * up)[..., None, :] * unit[:, 1:2]
    return np.asarray(path[..., None, :] + first + second)


def bar(
    start: Floats,
    end: Floats,
    up: Floats,
    start_radii: Floats,
    end_radii: Floats,
    steps: int = 6,
    rounding: float = 0.2,
) -> tuple[Floats, Floats]:
    """B tapered bars with rounded ends: (B, M, N, 3) vertices and their (B, M, 3) axis.

    Args:
        start, end: (B, 3) mm.
        up: (B, 3) direction of the second radius (need not be exactly square to the bar).
        start_radii, end_radii: (B, 2) mm, second one along ``up``.
        steps: cells along the straight part.
        rounding: share of the bar's length that each rounded end takes.
    """
    cap = 1 - np.cos(np.linspace(0.0, np.pi / 2, 4))
    along = np.concatenate(
        [rounding * cap, np.linspace(rounding, 1 - rounding, steps + 1)[1:-1], 1 - rounding * cap[::-1]]
    )
    edge = np.minimum(along, 1 - along) / rounding
    closing = np.sqrt(np.clip(1 - (1 - np.clip(edge, 0, 1)) ** 2, 0, 1))
    t = along[None, :, None]
    path = start[:, None] * (1 - t) + end[:, None] * t
    direction = (end - start) / np.linalg.norm(end - start, axis=-1, keepdims=True)
    across = np.cross(up, direction)
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    above = np.cross(direction, across)
    radii = (start_radii[:, None] * (1 - t) + end_radii[:, None] * t) * closing[None, :, None]
    return sweep(path, across[:, None], above[:, None], radii), path


def tube(path: Floats, radii: Floats, up: Floats, count: int = ROUND) -> Floats:
    """(B, M, N, 3) a tube along a curved (B, M, 3) path; ``up`` (B, M, 3) steers the second of ``radii`` (B, M, 2)."""
    direction = np.gradient(path, axis=1)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    across = np.cross(up, direction)
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    return sweep(path, across, np.cross(direction, across), radii, outline(count))


def ball(centre: Floats, axes: Floats, steps: int = 12, count: int = ROUND, upto: float = 1.0) -> tuple[Floats, Floats]:
    """B ellipsoids: (B, M, N, 3) vertices and (B, M, 3) axis.

    Args:
        centre: (B, 3) mm.
        axes: (B, 3, 3) columns are the half-axes in mm; the grid's poles lie on the last.
        steps, count: cells along and around.
        upto: 1 for the whole, 0.5 for the half around the negative pole.
    """
    angle = np.linspace(0.0, np.pi * upto, steps + 1)
    path = centre[:, None] - np.cos(angle)[None, :, None] * axes[:, None, :, 2]
    lengths = np.linalg.norm(axes, axis=1)
    unit = axes / lengths[:, None, :]
    radii = np.sin(angle)[None, :, None] * lengths[:, None, :2]
    return sweep(path, unit[:, None, :, 0], unit[:, None, :, 1], radii, outline(count)), path


def disc(centre: Floats, axes: Floats, radii: Floats, ring: Floats, steps: int = 6) -> Floats:
    """B flat plates: (B, M, N, 3).

    Args:
        centre: (B, 3) mm.
        axes: (B, 3, 3) columns X, Y, Z; the plate lies in X, Y.
        radii: (B, 2) half-width and half-depth, mm.
        ring: (N, 2) unit outline.
    """
    r = np.linspace(0.0, 1.0, steps + 1)[None, :, None]
    path = np.broadcast_to(centre[:, None], (len(centre), steps + 1, 3))
    return sweep(path, axes[:, None, :, 0], axes[:, None, :, 1], r * radii[:, None], ring)

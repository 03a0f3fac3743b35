"""Analytic phantoms: sphere, spherical shell, cylinder and wedge, as grids and with closed-form path lengths."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.rendering_cost import Part
from spine.scanner import ViewGeometry
from spine.types import Floats

Chord = Callable[[Floats, Floats, Floats], Floats]
"""(...) path lengths in mm from (..., 2) sources, (..., 2) unit directions and (...) heights of rays."""

CENTRE = np.array([12.0, -9.0, 4.0])
RADIUS, THICKNESS, HALF_HEIGHT = 40.0, 1.5, 60.0
TRIANGLE = np.array([[-36.0, -22.0], [40.0, -22.0], [-36.0, 30.0]])  # counter-clockwise seen from above
ROWS, AROUND = 121, 240


@dataclass(frozen=True)
class Phantom:
    """A solid or shell as a grid, and its closed-form path length."""

    name: str
    part: Part
    chord: Chord


def phantoms() -> list[Phantom]:
    """All phantoms."""
    return [
        Phantom("sphere", Part("sphere", *_sphere(), 1.0, 2.6), _sphere_chord(RADIUS)),
        Phantom("shell", Part("shell", _sphere()[0], None, THICKNESS, 1.4), _shell_chord),
        Phantom("cylinder", Part("cylinder", *_prism(_circle()), 1.0, 2.6), _cylinder_chord),
        Phantom("wedge", Part("wedge", *_prism(_polygon(TRIANGLE)), 1.0, 2.6), _wedge_chord),
    ]


def closed_form(chord: Chord, geometry: ViewGeometry, finer: int = 1) -> Floats:
    """(H finer, W finer) path lengths at the centres of subpixels; a pixel has ``finer`` x ``finer`` of them."""
    height, width = geometry.shape
    columns = (np.arange(width * finer) + 0.5) / finer - 0.5
    rows = (np.arange(height * finer) + 0.5) / finer - 0.5
    uv = geometry.plane_from_pixels(np.stack(np.meshgrid(columns, rows), axis=-1))
    f = geometry.source_to_isocentre_mm
    across, along = uv[..., 0] / np.hypot(uv[..., 0], f), f / np.hypot(uv[..., 0], f)
    frontal = geometry.view == "frontal"
    direction = np.stack([across, along] if frontal else [along, across], axis=-1)
    source = np.array([0.0, -f] if frontal else [-f, 0.0])
    return chord(np.broadcast_to(source, direction.shape), direction, uv[..., 1])


def footprint(fine: Floats, finer: int) -> Floats:
    """(H, W) image from (H finer, W finer) subpixels, filtered with the splat's kernel, a tent two pixels wide."""
    offsets = (np.arange(-finer, 2 * finer) + 0.5) / finer - 0.5
    weights = np.clip(1 - np.abs(offsets), 0, None)
    for axis in (0, 1):
        fine = _tent(np.moveaxis(fine, axis, 0), weights / weights.sum(), finer)
        fine = np.moveaxis(fine, 0, axis)
    return fine


def _tent(fine: Floats, weights: Floats, finer: int) -> Floats:
    padded = np.pad(fine, ((finer, finer), (0, 0)))
    starts = np.arange(len(fine) // finer) * finer
    found = np.zeros((len(starts), fine.shape[1]))
    for step, weight in enumerate(weights):
        found += weight * padded[starts + step]
    return found


def cylinder_margin(geometry: ViewGeometry, sign: float) -> Floats:
    """(3,) point at which the outermost ray touches the cylinder, on the side of larger (+1) or smaller (-1) u."""
    f = geometry.source_to_isocentre_mm
    across, deep = (0, 1) if geometry.view == "frontal" else (1, 0)
    flat, far = CENTRE[across], CENTRE[deep] + f
    angle = np.arctan2(flat, far) + sign * np.arcsin(RADIUS / np.hypot(flat, far))
    point = CENTRE.copy()
    point[across] += sign * RADIUS * np.cos(angle)
    point[deep] -= sign * RADIUS * np.sin(angle)
    return point


def _circle() -> Floats:
    angle = np.linspace(0, 2 * np.pi, AROUND + 1)
    # The polygon has the area of the circle, so that it adds no error to that of the renderer.
    radius = RADIUS * np.sqrt(2 * np.pi / AROUND / np.sin(2 * np.pi / AROUND))
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _polygon(corners: Floats) -> Floats:
    """(K, 2) points along the sides of a polygon; the last point is equal to the first."""
    t = np.linspace(0, 1, AROUND // len(corners), endpoint=False)[:, None]
    sides = [a * (1 - t) + b * t for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
    ring = np.concatenate(sides)
    return np.concatenate([ring, ring[:1]])


def _prism(ring: Floats) -> tuple[Floats, Floats]:
    """(M, K, 3) surface and (M, 3) axis of an upright prism."""
    z = np.linspace(-HALF_HEIGHT, HALF_HEIGHT, ROWS)
    grid = np.concatenate([np.broadcast_to(ring, (ROWS, *ring.shape)), np.zeros((ROWS, len(ring), 1))], axis=-1)
    grid[..., 2] += z[:, None]
    axis = np.zeros((ROWS, 3))
    axis[:, :2], axis[:, 2] = ring[:-1].mean(axis=0), z
    return grid + CENTRE, axis + CENTRE


def _sphere() -> tuple[Floats, Floats]:
    polar = np.linspace(0, np.pi, ROWS)
    ring = _circle() / RADIUS
    grid = np.zeros((ROWS, AROUND + 1, 3))
    grid[..., :2] = RADIUS * np.sin(polar)[:, None, None] * ring
    grid[..., 2] = -RADIUS * np.cos(polar)[:, None]
    axis = np.zeros((ROWS, 3))
    axis[:, 2] = -RADIUS * np.cos(polar)
    return grid + CENTRE, axis + CENTRE


def _aside(source: Floats, direction: Floats) -> Floats:
    """(...) distance of horizontal rays from the upright line through ``CENTRE``."""
    to = CENTRE[:2] - source
    return to[..., 0] * direction[..., 1] - to[..., 1] * direction[..., 0]


def _sphere_chord(radius: float) -> Chord:
    def chord(source: Floats, direction: Floats, z: Floats) -> Floats:
        return 2 * np.sqrt(np.clip(radius**2 - _aside(source, direction) ** 2 - (z - CENTRE[2]) ** 2, 0, None))

    return chord


def _shell_chord(source: Floats, direction: Floats, z: Floats) -> Floats:
    outer, inner = (_sphere_chord(RADIUS + half) for half in (THICKNESS / 2, -THICKNESS / 2))
    return outer(source, direction, z) - inner(source, direction, z)


def _cylinder_chord(source: Floats, direction: Floats, z: Floats) -> Floats:
    chord = 2 * np.sqrt(np.clip(RADIUS**2 - _aside(source, direction) ** 2, 0, None))
    return np.where(np.abs(z - CENTRE[2]) <= HALF_HEIGHT, chord, 0.0)


def _wedge_chord(source: Floats, direction: Floats, z: Floats) -> Floats:
    """The length of the ray inside the triangle."""
    corners = TRIANGLE + CENTRE[:2]
    enter, leave = np.full(z.shape, -np.inf), np.full(z.shape, np.inf)
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        inward = np.array([a[1] - b[1], b[0] - a[0]])
        rate, height = direction @ inward, (source - a) @ inward
        with np.errstate(divide="ignore"):
            at = -height / rate
        enter = np.where(rate > 0, np.maximum(enter, at), enter)
        leave = np.where(rate < 0, np.minimum(leave, at), leave)
    return np.where(np.abs(z - CENTRE[2]) <= HALF_HEIGHT, np.clip(leave - enter, 0, None), 0.0)

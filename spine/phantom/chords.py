"""Closed-form path lengths through soft parts along the scanner's horizontal rays.

What belongs here: chords of ellipsoids and of superellipse lofts. What does not: which of them overlap
(``exposure``). Contract: (H, W) float32 millimetres at the pixel centres. Because every ray is horizontal, each
picture row is a problem in the plane. Ellipsoids of any orientation, and lofts of power 2, are exact; lofts of
another power are exact along their axes and use the scaled distance d of the ray from the centre,
chord = 2 (1 - d^n)^(1/n) / |direction scaled|, in between (rays lean by less than 10 degrees).
"""

import numpy as np
import torch

from spine.phantom.soft_tissue import Ellipsoid, Loft, Solid
from spine.scanner import ViewGeometry


class Rays:
    """The horizontal rays of one view on one device.

    Attributes:
        direction: (W, 2) unit horizontal direction (x, y) of each column.
        source: (2,) x and y of the source, mm.
        z_mm: (H,) height of each row.
    """

    def __init__(self, geometry: ViewGeometry, device: str = "cpu") -> None:
        height, width = geometry.shape
        row_mm, column_mm = geometry.spacing_mm
        f = geometry.source_to_isocentre_mm
        u = (np.arange(width) - width / 2 + 0.5) * column_mm + geometry.u0_mm
        along, across = f / np.hypot(u, f), u / np.hypot(u, f)
        frontal = geometry.view == "frontal"
        direction = np.stack([across, along] if frontal else [along, across], axis=-1)
        self.shape = geometry.shape
        self.column_u_mm = u
        self.distance_mm = f
        self.frontal = frontal
        self.z_array = geometry.z0_mm - (np.arange(height) - height / 2 + 0.5) * row_mm
        self.direction = torch.as_tensor(direction, dtype=torch.float32, device=device)
        self.z_mm = torch.as_tensor(self.z_array, dtype=torch.float32, device=device)
        self.source = torch.tensor([0.0, -f] if frontal else [-f, 0.0], dtype=torch.float32, device=device)
        self.device = device

    def columns_near(self, low: float, high: float, near: float, far: float) -> slice:
        """Columns whose rays may meet something between ``low`` and ``high`` across, ``near`` and ``far`` deep (mm)."""
        f = self.distance_mm
        edges = [edge * f / (f + depth) for edge in (low, high) for depth in (near, far)]
        first = int(np.searchsorted(self.column_u_mm, min(edges)))
        last = int(np.searchsorted(self.column_u_mm, max(edges), side="right"))
        return slice(first, last)


def chord(solid: Solid, rays: Rays) -> torch.Tensor:
    """(H, W) path length in mm through one solid."""
    picture = torch.zeros(rays.shape, dtype=torch.float32, device=rays.device)
    add_chord(picture, solid, rays)
    return picture


def add_chord(picture: torch.Tensor, solid: Solid, rays: Rays, scale: float = 1.0) -> None:
    """Add ``scale`` times the chord of one solid to ``picture`` in place, only where it lies."""
    rows, columns = _window(solid, rays)
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    found = (
        _ellipsoid(solid, rays, rows, columns) if isinstance(solid, Ellipsoid) else _loft(solid, rays, rows, columns)
    )
    picture[rows, columns] += scale * found


def _window(solid: Solid, rays: Rays) -> tuple[slice, slice]:
    if isinstance(solid, Ellipsoid):
        reach = np.linalg.norm(solid.axes_mm, axis=1)
        low, high = solid.centre_mm - reach, solid.centre_mm + reach
    else:
        flat_low, flat_high = (solid.centre_mm - solid.half_mm).min(0), (solid.centre_mm + solid.half_mm).max(0)
        low, high = np.append(flat_low, solid.z_mm[0]), np.append(flat_high, solid.z_mm[-1])
    across, depth = (0, 1) if rays.frontal else (1, 0)
    inside = np.flatnonzero((rays.z_array >= low[2]) & (rays.z_array <= high[2]))
    rows = slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)
    return rows, rays.columns_near(low[across], high[across], low[depth], high[depth])


def _ellipsoid(solid: Ellipsoid, rays: Rays, rows: slice, columns: slice) -> torch.Tensor:
    """|A (o + t d)|^2 = 1 solved for t, with o on the ray beside the centre (keeps float32 exact)."""
    inverse = torch.as_tensor(np.linalg.inv(solid.axes_mm), dtype=torch.float32, device=rays.device)
    centre = torch.as_tensor(solid.centre_mm, dtype=torch.float32, device=rays.device)
    direction = rays.direction[columns]
    to_centre = centre[:2] - rays.source
    nearest = (direction @ to_centre)[:, None] * direction - to_centre  # (W, 2) from the centre
    scaled_direction = direction @ inverse[:, :2].T  # (W, 3)
    across = nearest @ inverse[:, :2].T
    up = (rays.z_mm[rows] - centre[2])[:, None] * inverse[:, 2]  # (H, 3)
    a = (scaled_direction**2).sum(-1)
    b = (across * scaled_direction).sum(-1) + up @ scaled_direction.T  # (H, W)
    c = (across**2).sum(-1) + 2 * up @ across.T + (up**2).sum(-1)[:, None] - 1
    return 2 * torch.sqrt(torch.clamp(b * b - a * c, min=0)) / a


def _loft(solid: Loft, rays: Rays, rows: slice, columns: slice) -> torch.Tensor:
    z = rays.z_array[rows]
    values = [np.interp(z, solid.z_mm, table) for table in (*solid.centre_mm.T, *solid.half_mm.T)]
    x, y, a, b = torch.as_tensor(np.stack(values), dtype=torch.float32, device=rays.device)[:, :, None]
    direction = rays.direction[columns]
    to_x, to_y = x - rays.source[0], y - rays.source[1]  # (H, 1)
    aside = direction[:, 1] * to_x - direction[:, 0] * to_y  # (H, W) signed distance of the centre from the ray
    length = torch.sqrt((direction[:, 0] / a) ** 2 + (direction[:, 1] / b) ** 2)
    scaled = aside.abs() / (a * b * length)
    if solid.power == 2.0:
        return 2 * torch.sqrt(torch.clamp(1 - scaled * scaled, min=0)) / length
    return 2 * torch.clamp(1 - scaled**solid.power, min=0) ** (1 / solid.power) / length

"""Finds the end plates of a vertebra on the surface of its mesh, in the manner of exported biplanar reconstructions.

The surface is sampled and entered into a map seen along the axis of the vertebra: for each square of ``CELL_MM``, its
highest and its lowest point. The body is the part of the map that is nearly as thick as the middle of its widest part
and that wide discs fill. Pedicles and joints are thinner or narrower. A plane is fitted to the highest points of the
body (upper plate), and one to the lowest points. The axis becomes the mean of both normals, and the map is made again.

Contract: points are LPS mm. The centre of a plate is the centroid of its squares. Its margins lie in its plane, at the
ends of the plate in the four directions from the centre. Directions to the back point from the body to the arch. The
mesh may be open, and its parts may overlap. A surface without a body gives no points. Pedicles are not found.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spine.reconstruction.meshes import Mesh
from spine.types import Bool, Float, Floats

CELL_MM = 1.0
SAMPLE_MM = 0.7
"""A square of the map that a surface covers has at least one sample."""
BODY_THICKNESS = 0.7
"""Share of the thickness of the body's middle that a square of the body has."""
DISC_SHARE = 0.55
"""Radius of the discs that fill the body, as a share of the largest disc in it. Pedicles are narrower."""
ARCH_SHARE = 0.15
"""Share of the samples behind the body above which they are an arch, which shows the direction to the back."""
SACRAL_MM = 2.5
SACRAL_REACH = 1.2
"""The upper plate of the sacrum is at most this much wider than the lower plate of the vertebra above it."""
_FITS = 4
_LARGEST_MAP = 250  # squares along a side; the check of the size of a bone comes before
_MOST_SAMPLES = 1_500_000


@dataclass(frozen=True)
class Frame:
    """Axes of a vertebra in LPS: unit vectors to its left, its back and its top, as the rows of ``axes``."""

    axes: Float[Floats, "3 3"]

    @classmethod
    def of(cls, up: Floats, back: Floats) -> "Frame":
        """The frame with the given direction up, and a back as near as possible to the given one."""
        top = up / np.linalg.norm(up)
        left = np.cross(back, top)
        left /= np.linalg.norm(left)
        return cls(np.array([left, np.cross(top, left), top]))


@dataclass(frozen=True)
class Plate:
    """An end plate in LPS mm: its centre, its unit normal to the top, and the margins by their name."""

    centre: Floats
    normal: Floats
    margins: dict[str, Floats]


@dataclass(frozen=True)
class Body:
    """A vertebral body: its plates, its frame, and the share of the surface that lies behind it."""

    upper: Plate
    lower: Plate
    frame: Frame
    arch_share: float


def surface_samples(mesh: Mesh, step_mm: float) -> Float[Floats, "N 3"]:
    """Points on the triangles of a mesh, at most ``step_mm`` apart (more, if they would be too many)."""
    corners = mesh.vertices[mesh.faces]
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    parts = np.maximum(np.ceil(edges / step_mm), 1)
    total = float(((parts + 1) * (parts + 2) / 2).sum())
    if total > _MOST_SAMPLES:
        parts = np.maximum(np.floor(parts * np.sqrt(_MOST_SAMPLES / total)), 1)
    found = []
    for n in np.unique(parts).astype(int):
        i, j = np.mgrid[: n + 1, : n + 1]
        inside = i + j <= n
        weights = np.stack([i[inside], j[inside], n - i[inside] - j[inside]], axis=1) / n
        found.append(np.einsum("sc,fcx->fsx", weights, corners[parts == n]).reshape(-1, 3))
    return np.concatenate(found)


def find_body(mesh: Mesh, up: Floats, back: Floats) -> Body | None:
    """The body of a vertebra whose top is roughly known; None if the surface shows no body.

    ``back`` is used only where the surface has no arch.
    """
    samples = surface_samples(mesh, SAMPLE_MM)
    frame = Frame.of(up, back)
    body = None
    for _ in range(3):
        body = _body_in(samples, frame)
        if body is None:
            return None
        frame = body.frame
    return body


def find_sacral_plate(mesh: Mesh, above: Plate, frame: Frame) -> Plate | None:
    """The upper plate of a sacrum, given the lower plate and the frame of the vertebra above it; None if not found.

    The plate grows from the squares under the middle of ``above``: the connected squares within ``SACRAL_MM`` of a
    plane, inside an ellipse a little larger than ``above``. The frame follows the plane.
    """
    samples = surface_samples(mesh, SAMPLE_MM)
    plate = None
    for _ in range(4):
        local = samples @ frame.axes.T
        origin = local.min(axis=0) - CELL_MM
        cells = ((local[:, :2] - origin[:2]) / CELL_MM).astype(int)
        if cells.max() >= _LARGEST_MAP:
            return None
        top, _ = _height_maps(cells, local[:, 2])
        inside = _sacral_squares(top, origin, plate or above, frame, reach=_reach(above))
        if inside is None:
            return None
        plate = _plate(top, inside, origin, frame)
        frame = Frame.of(plate.normal, frame.axes[1])
    return plate


def _reach(plate: Plate) -> Floats:
    """Half widths (left-right, front-back) of a plate, mm."""
    ends = plate.margins
    pairs = (("left", "right"), ("post", "ant"))
    return np.array([np.linalg.norm(ends[first] - ends[second]) / 2 for first, second in pairs])


def _sacral_squares(top: Floats, origin: Floats, near: Plate, frame: Frame, reach: Floats) -> NDArray[np.bool_] | None:
    squares = np.argwhere(np.isfinite(top))
    places = (squares + 0.5) * CELL_MM + origin[:2]
    z = top[np.isfinite(top)]
    distance = np.linalg.norm((places - frame.axes[:2] @ near.centre) / reach, axis=1)
    kept = distance <= 0.5
    for _ in range(6):
        if kept.sum() < 50:
            return None
        design = np.column_stack([places, np.ones(len(places))])
        slopes = np.linalg.lstsq(design[kept], z[kept], rcond=None)[0]
        kept = (np.abs(z - design @ slopes) <= SACRAL_MM) & (distance <= SACRAL_REACH)
    flat = np.zeros(top.shape, dtype=bool)
    flat[tuple(squares[kept].T)] = True
    labels, count = ndimage.label(ndimage.binary_opening(flat, iterations=2))
    if count == 0:
        return None
    sizes = ndimage.sum_labels(np.ones_like(labels), labels, range(1, count + 1))
    inside = ndimage.binary_fill_holes(labels == 1 + int(np.argmax(sizes))) & np.isfinite(top)
    return np.asarray(inside) if inside.sum() >= 200 else None


def _body_in(samples: Floats, frame: Frame) -> Body | None:
    local = samples @ frame.axes.T
    origin = local.min(axis=0) - CELL_MM
    cells = ((local[:, :2] - origin[:2]) / CELL_MM).astype(int)
    if cells.max() >= _LARGEST_MAP:
        return None
    top, bottom = _height_maps(cells, local[:, 2])
    inside = _body_squares(top - bottom)
    if inside is None:
        return None
    upper, lower = _plate(top, inside, origin, frame), _plate(bottom, inside, origin, frame)
    behind = ~inside[cells[:, 0], cells[:, 1]]
    centre = (upper.centre + lower.centre) / 2
    share = float(behind.mean())
    back = samples[behind].mean(axis=0) - centre if share > ARCH_SHARE else frame.axes[1]
    return Body(upper, lower, Frame.of(upper.normal + lower.normal, back), share)


def _height_maps(cells: NDArray[np.int64], heights: Floats) -> tuple[Floats, Floats]:
    """The highest and the lowest height in each square; -inf and inf where the surface is not."""
    shape = tuple(cells.max(axis=0) + 2)
    top, bottom = np.full(shape, -np.inf), np.full(shape, np.inf)
    np.maximum.at(top, (cells[:, 0], cells[:, 1]), heights)
    np.minimum.at(bottom, (cells[:, 0], cells[:, 1]), heights)
    return top, bottom


def _body_squares(thickness: Floats) -> Bool[NDArray[np.bool_], "M N"] | None:
    """The squares of the body in a map of thicknesses."""
    filled = thickness > 3 * CELL_MM
    if filled.sum() < 100:
        return None
    # The largest disc in the outline lies in the body, whichever way the vertebra is turned.
    room = ndimage.distance_transform_edt(filled)
    widest = np.array(np.unravel_index(int(np.argmax(room)), room.shape))
    disc = np.linalg.norm(np.argwhere(filled) - widest, axis=1) <= DISC_SHARE * room.max()
    thick = filled & (thickness >= BODY_THICKNESS * np.median(thickness[filled][disc]))
    depth = ndimage.distance_transform_edt(thick)
    radius = DISC_SHARE * depth.max()
    labels, _ = ndimage.label(depth > radius)
    core = labels == labels[np.unravel_index(int(np.argmax(depth)), depth.shape)]
    body = ndimage.binary_fill_holes(thick & (ndimage.distance_transform_edt(~core) <= radius))
    return np.asarray(body & np.isfinite(thickness)) if body.sum() >= 100 else None


def _plate(heights: Floats, inside: NDArray[np.bool_], origin: Floats, frame: Frame) -> Plate:
    squares = np.argwhere(inside)
    places = (squares + 0.5) * CELL_MM + origin[:2]
    slopes = _plane_through(places, heights[inside])
    middle = places.mean(axis=0)

    def lifted(place: Floats) -> Floats:
        height = place @ slopes[:2] + slopes[2]
        return np.asarray(np.append(place, height) @ frame.axes)

    normal = np.array([-slopes[0], -slopes[1], 1.0]) @ frame.axes
    margins = {name: lifted(end) for name, end in _ends(places, middle).items()}
    return Plate(lifted(middle), normal / np.linalg.norm(normal), margins)


def _plane_through(places: Floats, heights: Floats) -> Floats:
    """(a, b, c) of the plane a x + b y + c, fitted to the heights without those far from it."""
    design = np.column_stack([places, np.ones(len(places))])
    kept = np.ones(len(places), dtype=bool)
    for _ in range(_FITS):
        slopes = np.asarray(np.linalg.lstsq(design[kept], heights[kept], rcond=None)[0], dtype=np.float64)
        residual = np.abs(heights - design @ slopes)
        kept = residual <= max(2.0 * float(np.median(residual)), 0.5)
    return slopes


def _ends(places: Floats, middle: Floats) -> dict[str, Floats]:
    """The ends of a plate in the four directions from its middle."""
    found = {}
    for name, axis, sign in (("left", 0, 1), ("right", 0, -1), ("post", 1, 1), ("ant", 1, -1)):
        near = places[np.abs(places[:, 1 - axis] - middle[1 - axis]) <= 2 * CELL_MM]
        reach = (sign * (near[:, axis] - middle[axis])).max() + CELL_MM / 2
        end = middle + np.where(np.arange(2) == axis, sign * reach, 0.0)
        found[name] = end
    return found

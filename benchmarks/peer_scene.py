"""The scene that all renderers draw: the vertebral bodies of a virtual patient as grids, closed meshes and voxels.

Contract: mesh and voxels are made from the same grids as the mass points, by code that is independent of the splat.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks import rendering_cost
from spine.landmarks import VIEWS, ViewName
from spine.reconstruction.meshes import Mesh, grid_faces, join_meshes, mesh_from_grid
from spine.scanner import NATIVE_SPACING_MM, SOURCE_TO_ISOCENTRE_MM, ViewGeometry
from spine.types import Floats

SEED = 1
SHAPE = (512, 256)
VOXEL_MM = 1.0
_LINES = 4  # lines through a voxel in x and in y
_POLE_MM = 1e-3  # a smaller ring is one point


@dataclass(frozen=True)
class Scene:
    """The solid vertebral bodies.

    Attributes:
        walls, axes: (B, M, K, 3) grids and (B, M, 3) axes, mm.
        mesh: the same bodies as a closed mesh.
        skeleton: the surfaces of all bones of the patient, only for timing.
        geometry: view -> image geometry.
    """

    walls: Floats
    axes: Floats
    mesh: Mesh
    skeleton: Mesh
    geometry: dict[ViewName, ViewGeometry]


@dataclass(frozen=True)
class Volume:
    """The filled share of each voxel; ``origin_mm`` is the centre of the first voxel."""

    share: Floats
    origin_mm: Floats


def build_scene() -> Scene:
    """The vertebral bodies of one patient, and images of the default size and spacing."""
    walls, axes, _ = rendering_cost.body_solids(SEED)
    spacing = 8 * NATIVE_SPACING_MM
    geometry = {v: ViewGeometry(v, SHAPE, (spacing, spacing), SOURCE_TO_ISOCENTRE_MM[v]) for v in VIEWS}
    bodies = join_meshes([mesh_from_grid(wall) for wall in walls])
    skeleton = join_meshes([_open_mesh(p.vertices) for p in rendering_cost.bone_parts(SEED) if p.axis is None])
    return Scene(walls, axes, bodies, skeleton, geometry)


def _open_mesh(grid: Floats) -> Mesh:
    """The surface of one (M, K, 3) grid whose ends stay open, as those of its mass points do."""
    poles = (np.ptp(grid[[0, -1]], axis=1) < _POLE_MM).all(axis=-1)
    used, renumbered = np.unique(grid_faces(*grid.shape[:2], *poles), return_inverse=True)
    return Mesh(grid.reshape(-1, 3)[used], renumbered.reshape(-1, 3))


def fan_as_parallel(mesh: Mesh, geometry: ViewGeometry) -> Floats:
    """(V, 3) vertices for which a parallel beam gives the image of the fan beam.

    (x, y, z) -> (x f / (f + y), y, z) maps every ray to a line of constant u. This makes paths shorter by the cosine of
    the ray's angle, so path lengths must be multiplied by sqrt(1 + (u / f)^2) (``slant``). The edges of a triangle of a
    few millimetres would bend by less than 0.001 mm.
    """
    across, depth = (0, 1) if geometry.view == "frontal" else (1, 0)
    f = geometry.source_to_isocentre_mm
    moved = mesh.vertices.copy()
    moved[:, across] *= f / (f + moved[:, depth])
    return moved


def slant(geometry: ViewGeometry, finer: int = 1) -> Floats:
    """(W * finer,) sqrt(1 + (u / f)^2) of each column."""
    width = geometry.shape[1] * finer
    u = (np.arange(width) - width / 2 + 0.5) * geometry.spacing_mm[1] / finer + geometry.u0_mm
    return np.asarray(np.sqrt(1 + (u / geometry.source_to_isocentre_mm) ** 2))


def voxelise(mesh: Mesh, voxel_mm: float = VOXEL_MM) -> Volume:
    """The filled share of each voxel: exact along z, from lines a quarter of a voxel apart in x and y.

    A vertical line enters or leaves the solid at each face that it meets. A face that points up fills everything below
    it, and a face that points down empties it.
    """
    low = mesh.vertices.min(axis=0) - voxel_mm
    size = np.ceil((mesh.vertices.max(axis=0) - low) / voxel_mm + 1).astype(int)
    below = np.zeros(size)
    step = voxel_mm / _LINES
    for corners in mesh.vertices[mesh.faces] - low:
        lines, height, sign = _met_lines(corners, step)
        if len(lines):
            x, y = (lines // _LINES).T
            at = height / voxel_mm
            k = at.astype(int)
            np.add.at(below, (x, y, k), sign * (at - k))
            np.add.at(below, (x, y, k - 1), sign * (1 - at + k))
    share = np.cumsum(below[..., ::-1], axis=-1)[..., ::-1] / _LINES**2
    return Volume(share, low + voxel_mm / 2)


def _met_lines(corners: Floats, step: float) -> tuple[np.ndarray, Floats, float]:
    """(L, 2) indices of the vertical lines through one triangle, (L,) heights, and 1 if it points up, -1 if down."""
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    first = np.ceil(corners[:, :2].min(axis=0) / step - 0.5).astype(int)
    last = np.floor(corners[:, :2].max(axis=0) / step - 0.5).astype(int)
    i, j = np.mgrid[first[0] : last[0] + 1, first[1] : last[1] + 1].reshape(2, -1)
    if area == 0 or i.size == 0:
        return np.zeros((0, 2), dtype=int), np.zeros(0), 0.0
    x, y = (i + 0.5) * step, (j + 0.5) * step
    s = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
    t = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
    met = (s >= 0) & (t >= 0) & (s + t <= 1)
    height = az + s * (bz - az) + t * (cz - az)
    return np.stack([i, j], axis=-1)[met], height[met], float(np.sign(area))

"""Bone surfaces as triangle meshes, and their files: Wavefront OBJ and binary STL.

Contract: vertices are in LPS mm. Both kinds of file contain ``SPACE=LPS`` where 3D Slicer looks for it. Triangles run
counter-clockwise seen from outside, so a closed mesh has a positive signed volume. A file is written completely or not
at all. No mesh library is used, because two formats do not justify another dependency.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spine.storage import write_bytes_atomically
from spine.types import Floats

Faces = NDArray[np.int64]

SUFFIXES = (".obj", ".stl")
MOST_TRIANGLES = 1_000_000
"""Of a file that is read, and likewise its vertices: more would cost too much memory and time."""
MOST_CORNERS = 64
"""Of a polygon in a file that is read; meshes of bones have triangles."""
_HEADER = "Plumbline. SPACE=LPS, millimetres"
_POINT_MM = 1e-3  # a smaller ring is a pole: float32 resolves no smaller distance at a metre from the origin
STL_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


@dataclass(frozen=True)
class Mesh:
    """Triangles: (V, 3) vertices in LPS mm, and (F, 3) indices into them, counter-clockwise seen from outside."""

    vertices: Floats
    faces: Faces

    @property
    def volume_mm3(self) -> float:
        """Signed volume, mm3; positive for a closed mesh whose triangles face outwards."""
        a, b, c = (self.vertices[self.faces[:, i]] - self.vertices.mean(axis=0) for i in range(3))
        return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def whole_numbers(values: NDArray[Any]) -> Faces:
    """Indices that may be floating point numbers; numbers that are no exact integers raise ``ValueError``."""
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    if not np.all(np.abs(values) < 2.0**53) or not np.all(values == np.floor(values)):
        raise ValueError("an index that is no whole number")
    return values.astype(np.int64)


def grid_faces(rows: int, columns: int, first_is_pole: bool = False, last_is_pole: bool = False) -> Faces:
    """(F, 3) triangles of a closed tube of rings, as indices into its (rows * columns) vertices.

    Each row is a ring whose last column repeats the first; the triangles join there and do not use the last column. A
    pole is a row whose points coincide. Its triangles use the first point only, and triangles without area are left
    out. Triangles face outwards when each row runs counter-clockwise as seen from the next row.

    Raises:
        ValueError: fewer than two rows, or fewer than three different columns.
    """
    if rows < 2 or columns < 4:
        raise ValueError(f"a grid of {rows} x {columns} has no surface; expected at least 2 rows and 4 columns")
    index = np.arange(rows * columns).reshape(rows, columns)[:, :-1]
    if first_is_pole:
        index[0] = index[0, 0]
    if last_is_pole:
        index[-1] = index[-1, 0]
    following = np.roll(index, -1, axis=1)
    near = np.stack([index[:-1], following[:-1], index[1:]], axis=-1)  # these have no area at a pole of the first row
    far = np.stack([following[:-1], following[1:], index[1:]], axis=-1)  # these have no area at a pole of the last row
    kept = (near[1:] if first_is_pole else near, far[:-1] if last_is_pole else far)
    return np.concatenate([part.reshape(-1, 3) for part in kept]).astype(np.int64)


def mesh_from_grid(grid: Floats) -> Mesh:
    """The closed mesh of one (M, N, 3) grid of vertices (LPS mm) whose last column repeats the first.

    An open first or last row gets a flat lid. Triangles face outwards for a right-handed and for a left-handed grid.
    """
    rows, columns = grid.shape[:2]
    poles = [bool(np.ptp(grid[row], axis=0).max() < _POINT_MM) for row in (0, -1)]
    vertices = grid.reshape(-1, 3)
    faces = [grid_faces(rows, columns, *poles)]
    for row, pole in zip((0, rows - 1), poles, strict=True):
        if not pole:
            faces.append(_lid(row, columns, len(vertices), inwards=row > 0))
            vertices = np.vstack([vertices, grid[row, :-1].mean(axis=0)])
    used, renumbered = np.unique(np.concatenate(faces), return_inverse=True)  # a pole uses one of its vertices
    mesh = Mesh(vertices[used], renumbered.reshape(-1, 3).astype(np.int64))
    return Mesh(mesh.vertices, mesh.faces[:, ::-1]) if mesh.volume_mm3 < 0 else mesh


def _lid(row: int, columns: int, centre: int, inwards: bool) -> Faces:
    """(F, 3) triangles between one row and its centre; ``inwards`` reverses the triangles, as the last row needs."""
    ring = row * columns + np.arange(columns - 1)
    following = np.roll(ring, -1)
    first, second = (ring, following) if inwards else (following, ring)
    return np.stack([np.full(columns - 1, centre), first, second], axis=-1)


def join_meshes(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh with the triangles of all ``meshes``, which may overlap (a vertebral body and its pedicles)."""
    if not meshes:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def write_mesh(path: Path, vertices: Floats, faces: Faces) -> None:
    """Write (V, 3) vertices and (F, 3) faces atomically, as OBJ or binary STL by the path's suffix.

    Raises:
        ValueError: an unknown suffix, wrong shapes, coordinates that are not finite, indices beyond the vertices, or no
            faces. The message lists all of these faults, and nothing is written.
    """
    suffix = path.suffix.lower()
    found = [] if suffix in SUFFIXES else [f"suffix {path.suffix!r} (expected one of {', '.join(SUFFIXES)})"]
    found += _violations(np.asarray(vertices), np.asarray(faces))
    if found:
        raise ValueError(f"{path.name} is not written: {'; '.join(found)}")
    write_bytes_atomically(path, (_obj if suffix == ".obj" else _stl)(np.asarray(vertices), np.asarray(faces)))


def _violations(vertices: NDArray[Any], faces: NDArray[Any]) -> list[str]:
    found = []
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not np.issubdtype(vertices.dtype, np.number):
        return [f"vertices {vertices.dtype} {vertices.shape} (expected numbers (V, 3))"]
    if not np.isfinite(vertices).all():
        bad = np.flatnonzero(~np.isfinite(vertices).all(axis=1))
        found.append(f"{len(bad)} vertices that are not finite, first vertex {bad[0]} (expected finite millimetres)")
    if faces.ndim != 2 or faces.shape[1] != 3 or not np.issubdtype(faces.dtype, np.integer):
        return [*found, f"faces {faces.dtype} {faces.shape} (expected integers (F, 3))"]
    beyond = np.flatnonzero(((faces < 0) | (faces >= len(vertices))).any(axis=1))
    if len(beyond):
        found.append(
            f"{len(beyond)} faces beyond the {len(vertices)} vertices, first face {beyond[0]} (indices count from 0)"
        )
    if len(faces) == 0:
        found.append("no faces (expected at least one)")
    return found


def _obj(vertices: Floats, faces: Faces) -> bytes:
    lines = [f"# {_HEADER}"]
    lines += ["v {:.6f} {:.6f} {:.6f}".format(*vertex) for vertex in vertices.tolist()]
    lines += ["f {} {} {}".format(*face) for face in (faces + 1).tolist()]  # OBJ counts from one
    return ("\n".join(lines) + "\n").encode()


def _stl(vertices: Floats, faces: Faces) -> bytes:
    facets = np.zeros(len(faces), dtype=STL_FACET)
    corners = vertices[faces]  # (F, corner, 3)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    facets["corners"] = corners
    facets["normal"] = normal / np.where(length > 0, length, 1.0)
    # The header must not begin with "solid", because readers then expect the text format.
    return _HEADER.encode().ljust(80, b" ") + len(faces).to_bytes(4, "little") + facets.tobytes()

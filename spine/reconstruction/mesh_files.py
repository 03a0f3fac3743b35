"""Readers of the meshes in OBJ, STL and PLY files (``vtp_files`` reads VTP).

Contract: a file gives its objects, each with a name (which may be empty) and a ``Mesh``, in the order of the file.
Polygons become triangles. Colours, normals, textures and materials are not read, and no other file is opened. Numbers
are finite, and indices are inside the vertices. Each object has the axes that 3D Slicer states in its files;
coordinates are not changed here. No mesh library is used: none reads all four formats, and a file from outside must not
cost more memory than its own size allows.
"""

import io
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from spine.reconstruction.meshes import MOST_CORNERS, MOST_TRIANGLES, STL_FACET, Mesh
from spine.reconstruction.ply_files import parse_ply
from spine.reconstruction.reconstruction import rejected
from spine.reconstruction.vtp_files import parse_vtp

_STATED = re.compile(rb"SPACE\s*=\s*(LPS|RAS)")
_LONGEST_LINE = 4096
_MOST_OBJECTS = 1000
_VERTEX = re.compile(rb"vertex\s+(\S{1,40})\s+(\S{1,40})\s+(\S{1,40})\s")


@dataclass(frozen=True)
class NamedMesh:
    """An object of a file: its name, which may be empty, its triangles, and the axes that the file states."""

    name: str
    mesh: Mesh
    axes: str | None = None


def parse_meshes(payload: bytes) -> list[NamedMesh]:
    """The objects of a file, whose format is recognised by its content.

    Raises:
        ReconstructionRejected: ``MESH_INVALID``.
    """
    try:
        found = _parse(payload)
    except (ValueError, IndexError, OverflowError, KeyError, TypeError, UnicodeDecodeError) as error:
        # Numbers, counts and offsets of a damaged file; the messages of these errors quote the file.
        raise invalid(f"a damaged file ({type(error).__name__})") from error
    for part in found:
        _check(part.mesh)
    stated = _STATED.search(payload[:4096])
    return [replace(part, axes=stated[1].decode()) for part in found] if stated else found


def invalid(found: str) -> Exception:
    """The error for a file that is no mesh."""
    return rejected("MESH_INVALID", found, "a complete OBJ, STL, PLY or VTP file of triangles")


def _parse(payload: bytes) -> list[NamedMesh]:
    head = payload[:1024].lstrip()
    if head.startswith(b"ply"):
        return [NamedMesh("", parse_ply(payload))]
    if b"<VTKFile" in payload[:1024]:
        mesh, axes = parse_vtp(payload)
        return [NamedMesh("", mesh, axes)]
    if len(payload) >= 84 and len(payload) == 84 + STL_FACET.itemsize * int.from_bytes(payload[80:84], "little"):
        return [NamedMesh("", _soup(np.frombuffer(payload, STL_FACET, offset=84)["corners"]))]
    if head.startswith(b"solid"):
        return _ascii_stl(payload)
    if b"\0" in payload:
        raise invalid("a binary file whose size does not fit its number of triangles")
    return _obj(payload)


def _soup(corners: NDArray[np.floating]) -> Mesh:
    """A mesh of (F, 3, 3) corners, which share no vertices."""
    return Mesh(corners.reshape(-1, 3).astype(np.float64), np.arange(3 * len(corners), dtype=np.int64).reshape(-1, 3))


def _ascii_stl(payload: bytes) -> list[NamedMesh]:
    if payload.count(b"endsolid") > _MOST_OBJECTS:
        raise invalid(f"more than {_MOST_OBJECTS} solids")
    if not re.search(rb"endsolid[^\n]*\s*$", payload[-_LONGEST_LINE:]):
        raise invalid("an ASCII STL without its last line")
    found = []
    for part in re.split(rb"endsolid[^\n]*", payload)[:-1]:
        numbers = np.array([[float(word) for word in words] for words in _VERTEX.findall(part)])
        if len(numbers) != 3 * len(re.findall(rb"facet\s+normal", part)):
            raise invalid("an ASCII STL with incomplete triangles")
        name = part.strip().split(b"\n", 1)[0].removeprefix(b"solid").decode("utf-8", "replace").strip()
        found.append(NamedMesh(name, _soup(numbers.reshape(-1, 3, 3))))
    return found


@dataclass
class _Object:
    name: str
    faces: "array[int]" = field(default_factory=lambda: array("q"))


def _obj(payload: bytes) -> list[NamedMesh]:
    vertices: array[float] = array("d")
    objects = [_Object("")]
    corners = 0
    for line in io.BytesIO(payload):
        words = line[: _LONGEST_LINE + 1].split()
        if len(line) > _LONGEST_LINE or corners > 3 * MOST_TRIANGLES or len(vertices) > 3 * MOST_TRIANGLES:
            raise invalid("a line or a mesh that is too long")
        if words[:1] == [b"v"]:
            x, y, z = words[1:4]
            vertices.extend((float(x), float(y), float(z)))
        elif words[:1] in ([b"o"], [b"g"]) and len(objects) <= _MOST_OBJECTS:
            objects.append(_Object(b" ".join(words[1:]).decode("utf-8", "replace")))
        elif words[:1] == [b"f"]:
            objects[-1].faces.extend(_fan([_obj_index(word, len(vertices) // 3) for word in words[1:]]))
            corners += 3 * (len(words) - 3)
    points = np.array(vertices, dtype=np.float64).reshape(-1, 3)
    found = [(o.name, np.array(o.faces, dtype=np.int64).reshape(-1, 3)) for o in objects if o.faces]
    if not found:
        raise invalid("no triangles")
    return [NamedMesh(name, _compact(points, faces)) for name, faces in found]


def _obj_index(word: bytes, count: int) -> int:
    """The index from 0 of a corner ``7``, ``7/1/2`` or ``-1``; OBJ counts from 1, or back from the last vertex."""
    index = int(word.partition(b"/")[0])
    if index == 0 or abs(index) > 2**40:
        raise invalid("a face with an index that OBJ does not have")
    return index - 1 if index > 0 else count + index


def _fan(corners: list[int]) -> Iterator[int]:
    """The corners of the triangles of a polygon, in one row."""
    if not 3 <= len(corners) <= MOST_CORNERS:
        raise invalid(f"a face with fewer than 3 or more than {MOST_CORNERS} corners")
    return chain.from_iterable((corners[0], b, c) for b, c in pairwise(corners[1:]))


def _compact(points: NDArray[np.float64], faces: NDArray[np.int64]) -> Mesh:
    """The mesh of one object, with only its own vertices."""
    if faces.min() < 0 or faces.max() >= len(points):
        raise invalid("a face with an index beyond the vertices")
    used, renumbered = np.unique(faces, return_inverse=True)
    return Mesh(points[used], renumbered.reshape(-1, 3).astype(np.int64))


def _check(mesh: Mesh) -> None:
    if len(mesh.faces) == 0:
        raise invalid("no triangles")
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise invalid("a face with an index beyond the vertices")
    if not np.isfinite(mesh.vertices).all():
        raise rejected("NOT_FINITE", "a vertex that is not finite", "finite numbers")

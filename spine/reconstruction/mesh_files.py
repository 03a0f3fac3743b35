"""Readers of the meshes in OBJ, STL and PLY files (``vtp_files`` reads VTP).

Contract: a file gives its objects, each with a name (which may be empty) and a ``Mesh``, in the order of the file.
Polygons become triangles. Colours, normals, textures and materials are not read, and no other file is opened. Numbers
are finite, and indices are inside the vertices. Each object has the axes that 3D Slicer states in its files;
coordinates are not changed here. No mesh library is used: none reads all four formats, and a file from outside must not
cost more memory than its own size allows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spine.reconstruction.meshes import STL_FACET, Mesh
from spine.reconstruction.ply_files import parse_ply
from spine.reconstruction.reconstruction import rejected
from spine.reconstruction.vtp_files import parse_vtp

_STATED = re.compile(rb"SPACE\s*=\s*(LPS|RAS)")
_VERTEX = re.compile(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)")


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
    return _obj(payload.decode("utf-8", "replace"))


def _soup(corners: NDArray[np.floating]) -> Mesh:
    """A mesh of (F, 3, 3) corners, which share no vertices."""
    return Mesh(corners.reshape(-1, 3).astype(np.float64), np.arange(3 * len(corners), dtype=np.int64).reshape(-1, 3))


def _ascii_stl(payload: bytes) -> list[NamedMesh]:
    if not re.search(rb"endsolid[^\n]*\s*$", payload):
        raise invalid("an ASCII STL without its last line")
    found = []
    for part in re.split(rb"endsolid[^\n]*", payload)[:-1]:
        numbers = np.array(_VERTEX.findall(part), dtype=np.bytes_).astype(np.float64)
        if len(numbers) != 3 * len(re.findall(rb"facet\s+normal", part)):
            raise invalid("an ASCII STL with incomplete triangles")
        name = part.strip().split(b"\n", 1)[0].removeprefix(b"solid").decode("utf-8", "replace").strip()
        found.append(NamedMesh(name, _soup(numbers.reshape(-1, 3, 3))))
    return found


@dataclass
class _Object:
    name: str
    faces: list[tuple[int, int, int]] = field(default_factory=list)


def _obj(text: str) -> list[NamedMesh]:
    vertices: list[list[float]] = []
    objects = [_Object("")]
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
        elif words[0] in ("o", "g"):
            objects.append(_Object(" ".join(words[1:])))
        elif words[0] == "f":
            objects[-1].faces += _fan([_obj_index(word, len(vertices)) for word in words[1:]])
    points = np.array(vertices, dtype=np.float64).reshape(-1, 3)
    if len(points) != len(vertices) or not any(o.faces for o in objects):
        raise invalid("no triangles")
    return [NamedMesh(o.name, _compact(points, np.array(o.faces, dtype=np.int64))) for o in objects if o.faces]


def _obj_index(word: str, count: int) -> int:
    """The index from 0 of a corner ``7``, ``7/1/2`` or ``-1``; OBJ counts from 1, or back from the last vertex."""
    index = int(word.partition("/")[0])
    if index == 0 or abs(index) > 2**40:
        raise invalid("a face with an index that OBJ does not have")
    return index - 1 if index > 0 else count + index


def _fan(corners: list[int]) -> Iterator[tuple[int, int, int]]:
    if len(corners) < 3:
        raise invalid("a face with fewer than three corners")
    return ((corners[0], b, c) for b, c in pairwise(corners[1:]))


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

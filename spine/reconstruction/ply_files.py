"""Reader of PLY meshes, ASCII and binary (the Stanford Polygon File Format of Greg Turk, 1994).

Contract: the elements ``vertex`` (with x, y, z) and ``face`` (with one list of indices) are read; other elements and
properties are skipped. A damaged file raises ``ValueError``, ``KeyError`` or ``IndexError``.
"""

import io
import struct
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from spine.reconstruction.meshes import MOST_CORNERS, MOST_TRIANGLES, Mesh, whole_numbers
from spine.reconstruction.reconstruction import rejected
from spine.types import Floats

_TYPES = {
    name: code
    for names, code in (
        (("char", "int8"), "i1"),
        (("uchar", "uint8"), "u1"),
        (("short", "int16"), "i2"),
        (("ushort", "uint16"), "u2"),
        (("int", "int32"), "i4"),
        (("uint", "uint32"), "u4"),
        (("float", "float32"), "f4"),
        (("double", "float64"), "f8"),
    )
    for name in names
}
_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "f4": "f", "f8": "d"}
_LONGEST_LINE = 4096
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class _Property:
    """A property of an element: its name, its type, and the type of its length if it is a list."""

    name: str
    kind: str
    length: str | None


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: list[_Property]


def parse_ply(payload: bytes) -> Mesh:
    """The mesh of a PLY file; errors as in the module."""
    end = payload.index(b"end_header")
    body = payload.index(b"\n", end) + 1
    encoding, elements = _header(payload[:end].decode("ascii", "replace"))
    rows = _ascii(payload, body, elements) if encoding == "ascii" else _binary(payload, body, encoding, elements)
    found = dict(rows)
    return Mesh(found["vertex"], whole_numbers(found["face"]))


def _header(text: str) -> tuple[str, list[_Element]]:
    encoding, elements = "", []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            encoding = words[1]
        elif words[:1] == ["element"]:
            elements.append(_Element(words[1], int(words[2]), []))
        elif words[:2] == ["property", "list"]:
            elements[-1].properties.append(_Property(words[4], _TYPES[words[3]], _TYPES[words[2]]))
        elif words[:1] == ["property"]:
            elements[-1].properties.append(_Property(words[2], _TYPES[words[1]], None))
    if encoding != "ascii" and encoding not in _ORDERS:
        raise ValueError("encoding")
    if any(not 0 <= element.count <= MOST_TRIANGLES for element in elements):
        raise rejected("MESH_INVALID", "too many vertices or faces", f"at most {MOST_TRIANGLES} of each in a file")
    return encoding, elements


def _ascii(payload: bytes, at: int, elements: list[_Element]) -> Iterator[tuple[str, Floats]]:
    stream = io.BytesIO(payload)
    stream.seek(at)
    lines = (line[:_LONGEST_LINE].split() for line in stream if not line.isspace())
    for element in elements:
        yield element.name, _collected(element, (_ascii_row(next(lines, []), element) for _ in range(element.count)))


def _ascii_row(words: list[bytes], element: _Element) -> list[list[float]]:
    at, values = 0, []
    for prop in element.properties:
        size = 1
        if prop.length:
            size, at = int(words[at]), at + 1
        if not 0 <= size <= MOST_CORNERS:
            raise ValueError("list")
        values.append([float(word) for word in words[at : at + size]])
        if len(values[-1]) != size:
            raise ValueError("row")
        at += size
    return values


def _binary(payload: bytes, at: int, encoding: str, elements: list[_Element]) -> Iterator[tuple[str, Floats]]:
    order = _ORDERS[encoding]
    for element in elements:
        fixed = _fixed_dtype(element, order, lists=3)
        if fixed is not None and at + fixed.itemsize * element.count <= len(payload):
            table = np.frombuffer(payload, fixed, element.count, at)
            if all((table[f"#{p.name}"] == 3).all() for p in element.properties if p.length):
                yield element.name, _columns(element, table)
                at += fixed.itemsize * element.count
                continue
        rows = _BinaryRows(payload, at, order, element)
        yield element.name, _collected(element, rows)
        at = rows.at


@dataclass
class _BinaryRows:
    """The rows of an element with lists of different lengths; ``at`` is where the next row starts."""

    payload: bytes
    at: int
    order: str
    element: _Element

    def __iter__(self) -> Iterator[list[list[float]]]:
        for _ in range(self.element.count):
            row, self.at = _binary_row(self.payload, self.at, self.order, self.element)
            yield row


def _fixed_dtype(element: _Element, order: str, lists: int) -> np.dtype[np.void] | None:
    """The type of a row in which every list has the same length; None for an element without properties."""
    fields: list[tuple[str, str] | tuple[str, str, int]] = []
    for prop in element.properties:
        if prop.length:
            fields += [(f"#{prop.name}", order + prop.length), (prop.name, order + prop.kind, lists)]
        else:
            fields.append((prop.name, order + prop.kind))
    return np.dtype(fields) if fields else None


def _binary_row(payload: bytes, at: int, order: str, element: _Element) -> tuple[list[list[float]], int]:
    values = []
    for prop in element.properties:
        size = 1
        if prop.length:
            size, at = int(_unpacked(payload, at, order + _CODES[prop.length])[0]), at + int(prop.length[1])
        width = int(prop.kind[1])
        if not 0 <= size <= MOST_CORNERS or at + size * width > len(payload):
            raise ValueError("row")
        values.append(list(_unpacked(payload, at, f"{order}{size}{_CODES[prop.kind]}")))
        at += size * width
    return values, at


def _unpacked(payload: bytes, at: int, code: str) -> tuple[float, ...]:
    if at + struct.calcsize(code) > len(payload):
        raise ValueError("row")
    return struct.unpack_from(code, payload, at)


def _columns(element: _Element, table: NDArray[np.void]) -> Floats:
    if element.name == "vertex":
        return np.column_stack([table[axis].astype(np.float64) for axis in "xyz"])
    lists = [p.name for p in element.properties if p.length]
    return table[lists[0]].astype(np.float64) if element.name == "face" else np.zeros((0, 3))


def _collected(element: _Element, rows: Iterable[list[list[float]]]) -> Floats:
    """(V, 3) vertices, or (F, 3) triangles of the polygons; the rows of other elements are passed over."""
    names, values = [p.name for p in element.properties], array("d")
    if element.name == "vertex":
        columns = [names.index(axis) for axis in "xyz"]
        for row in rows:
            values.extend(row[column][0] for column in columns)
    elif element.name == "face":
        at = [bool(p.length) for p in element.properties].index(True)
        for row in rows:
            values.extend(chain.from_iterable((row[at][0], b, c) for b, c in pairwise(row[at][1:])))
    else:
        for _ in rows:
            pass
    return np.array(values, dtype=np.float64).reshape(-1, 3)

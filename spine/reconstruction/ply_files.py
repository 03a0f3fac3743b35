"""Reader of PLY meshes, ASCII and binary (the Stanford Polygon File Format of Greg Turk, 1994).

Contract: the elements ``vertex`` (with x, y, z) and ``face`` (with one list of indices) are read; other elements and
properties are skipped. A damaged file raises ``ValueError``, ``KeyError`` or ``IndexError``.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spine.reconstruction.meshes import Mesh

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
    rows = _ascii_rows(payload[body:], elements) if encoding == "ascii" else _binary(payload, body, encoding, elements)
    found = dict(rows)
    return Mesh(found["vertex"].astype(np.float64), found["face"].astype(np.int64))


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
    if (encoding != "ascii" and encoding not in _ORDERS) or any(element.count < 0 for element in elements):
        raise ValueError("header")
    return encoding, elements


def _ascii_rows(body: bytes, elements: list[_Element]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    lines = (line.split() for line in body.decode("ascii", "replace").splitlines() if line.strip())
    for element in elements:
        rows = [_ascii_row(next(lines, []), element) for _ in range(min(element.count, len(body)))]
        if len(rows) < element.count:
            raise ValueError("rows")
        yield element.name, _collected(element, rows)


def _ascii_row(words: list[str], element: _Element) -> list[list[float]]:
    at, values = 0, []
    for prop in element.properties:
        size = 1
        if prop.length:
            size, at = int(words[at]), at + 1
        values.append([float(word) for word in words[at : at + size]])
        if len(values[-1]) != size:
            raise ValueError("row")
        at += size
    return values


def _binary(
    payload: bytes, at: int, encoding: str, elements: list[_Element]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    order = _ORDERS[encoding]
    for element in elements:
        fixed = _fixed_dtype(element, order, lists=3)
        if fixed is not None and at + fixed.itemsize * element.count <= len(payload):
            table = np.frombuffer(payload, fixed, element.count, at)
            if all((table[f"#{p.name}"] == 3).all() for p in element.properties if p.length):
                yield element.name, _columns(element, table)
                at += fixed.itemsize * element.count
                continue
        rows = []
        for _ in range(min(element.count, len(payload))):
            row, at = _binary_row(payload, at, order, element)
            rows.append(row)
        if len(rows) < element.count:
            raise ValueError("rows")
        yield element.name, _collected(element, rows)


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
        if size < 0 or at + size * width > len(payload):
            raise ValueError("row")
        values.append(list(_unpacked(payload, at, f"{order}{size}{_CODES[prop.kind]}")))
        at += size * width
    return values, at


def _unpacked(payload: bytes, at: int, code: str) -> tuple[float, ...]:
    if at + struct.calcsize(code) > len(payload):
        raise ValueError("row")
    return struct.unpack_from(code, payload, at)


def _columns(element: _Element, table: NDArray[np.void]) -> NDArray[np.float64]:
    if element.name == "vertex":
        return np.column_stack([table[axis].astype(np.float64) for axis in "xyz"])
    lists = [p.name for p in element.properties if p.length]
    return table[lists[0]].astype(np.float64) if element.name == "face" else np.zeros((0, 3))


def _collected(element: _Element, rows: list[list[list[float]]]) -> NDArray[np.float64]:
    """(V, 3) vertices, or (F, 3) triangles of the polygons."""
    if element.name == "vertex":
        columns = [[p.name for p in element.properties].index(axis) for axis in "xyz"]
        return np.array([[row[c][0] for c in columns] for row in rows], dtype=np.float64).reshape(-1, 3)
    if element.name != "face":
        return np.zeros((0, 3))
    at = next(i for i, p in enumerate(element.properties) if p.length)
    fans = [(row[at][0], b, c) for row in rows for b, c in pairwise(row[at][1:])]
    return np.array(fans, dtype=np.float64).reshape(-1, 3)

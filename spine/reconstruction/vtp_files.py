"""Reader of VTK's XML files of polygons (``.vtp``): data as text, as base64 or appended, plain or compressed with zlib.

The layout is that of VTK's documentation, XML file formats. Binary data start with a header of unsigned integers of
``header_type``: the number of bytes, or for compressed data the number of blocks, the sizes of a block and of the last
block, and the compressed size of each block. Appended data follow the sign ``_``; raw ones are no XML and are cut out
before the XML is parsed.

Contract: the points and the polygons of the first piece are read. Strips are refused. A file with a document type is
refused, because entities could make it grow. Decompressed data are at most ``_MOST_BYTES``. A damaged file raises
``ValueError``, ``KeyError``, ``TypeError`` or ``IndexError``.
"""

import base64
import re
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from spine.reconstruction.meshes import MOST_CORNERS, MOST_TRIANGLES, Mesh, whole_numbers

_MOST_BYTES = 2**27
_MOST_ELEMENTS = 10_000
_TYPES = {"Float32": "f4", "Float64": "f8", "Int8": "i1", "UInt8": "u1", "Int16": "i2", "UInt16": "u2"}
_TYPES |= {"Int32": "i4", "UInt32": "u4", "Int64": "i8", "UInt64": "u8", "String": "i1"}
_APPENDED = re.compile(rb'<AppendedData[^>]*encoding\s*=\s*"(raw|base64)"[^>]*>\s*_', re.DOTALL)


@dataclass(frozen=True)
class _File:
    """What all arrays of a file share: the byte order, the type of the headers, compression, and the appended data."""

    order: str
    header: str
    compressed: bool
    appended: bytes
    raw: bool


def parse_vtp(payload: bytes) -> tuple[Mesh, str | None]:
    """The mesh of a VTP file, and the axes that the file states; errors as in the module."""
    if b"<!DOCTYPE" in payload or b"<!ENTITY" in payload:
        raise ValueError("document type")
    xml, appended, raw = _split(payload)
    if xml.count(b"<") > _MOST_ELEMENTS:
        raise ValueError("elements")
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314
    except ElementTree.ParseError as error:
        raise ValueError("xml") from error
    compressor = root.get("compressor", "")
    if root.get("type") != "PolyData" or compressor not in ("", "vtkZLibDataCompressor"):
        raise ValueError("type")
    order = ">" if root.get("byte_order") == "BigEndian" else "<"
    file = _File(order, order + _TYPES[root.get("header_type", "UInt32")], bool(compressor), appended, raw)
    piece = root.find("PolyData/Piece")
    if piece is None or int(piece.get("NumberOfStrips", "0")):
        raise ValueError("piece")
    points = _array(piece.find("Points/DataArray"), file).reshape(-1, 3).astype(np.float64)
    arrays = {str(element.get("Name")).lower(): _array(element, file) for element in piece.findall("Polys/DataArray")}
    faces = _triangles(whole_numbers(arrays["connectivity"]), whole_numbers(arrays["offsets"]))
    return Mesh(points, faces), _axes(root, file)


def _axes(root: ElementTree.Element, file: _File) -> str | None:
    """``LPS`` or ``RAS`` from the array ``SPACE`` of 3D Slicer, which has the codes of these letters."""
    element = next((e for e in root.iter("Array") if e.get("Name") == "SPACE"), None)
    if element is None:
        return None
    text = bytes(int(code) % 256 for code in _array(element, file)[:3]).decode("latin-1")
    return text if text in ("LPS", "RAS") else None


def _split(payload: bytes) -> tuple[bytes, bytes, bool]:
    """The XML without the appended data, the appended data, and whether these are raw."""
    match = _APPENDED.search(payload)
    if match is None:
        return payload, b"", False
    end = payload.rfind(b"</AppendedData>")
    if end < match.end():
        raise ValueError("appended data")
    return payload[: match.end()] + payload[end:], payload[match.end() : end], match[1] == b"raw"


def _array(element: ElementTree.Element | None, file: _File) -> NDArray[np.generic]:
    if element is None:
        raise KeyError("array")
    kind = file.order + _TYPES[str(element.get("type"))]
    text = (element.text or "").encode()
    if element.get("format") == "ascii":
        return np.array(array("d", _numbers(text)), dtype=np.float64)
    if element.get("format") == "binary":
        data = _decoded(b"".join(text.split()), file)
    else:
        start = int(str(element.get("offset")))
        if not 0 <= start <= len(file.appended):
            raise ValueError("offset")
        data = _plain(file.appended[start:], file) if file.raw else _decoded(file.appended[start:], file)
    return np.frombuffer(data, kind)


def _numbers(text: bytes) -> Iterator[float]:
    """The numbers of a text, one by one, because a list of all words would need far more memory than the text."""
    for count, match in enumerate(re.finditer(rb"\S+", text)):
        if count > 9 * MOST_TRIANGLES:
            raise ValueError("numbers")
        yield float(match[0])


def _decoded(text: bytes, file: _File) -> bytes:
    """The data of an array in base64. The header of compressed data is encoded apart from the blocks."""
    if not file.compressed:
        size = int(np.frombuffer(_base64(text, 16), file.header, 1)[0])
        width = np.dtype(file.header).itemsize
        return _cut(_base64(text, width + size), width, size)
    width = np.dtype(file.header).itemsize
    blocks = int(np.frombuffer(_base64(text, 3 * width), file.header, 1)[0])
    if blocks > len(text):
        raise ValueError("blocks")
    header_bytes = (3 + blocks) * width
    header_text = -(-header_bytes // 3) * 4
    return _plain(
        _base64(text[:header_text], header_bytes)[:header_bytes] + _base64(text[header_text:], _MOST_BYTES), file
    )


def _base64(text: bytes, size: int) -> bytes:
    """At least ``size`` decoded bytes of the start of a text, or all that there are up to a padding."""
    part = text[: (size + 2) // 3 * 4]
    stop = part.find(b"=")
    part = part if stop < 0 else part[: -(-stop // 4) * 4]
    return base64.b64decode(part[: len(part) // 4 * 4])


def _plain(data: bytes, file: _File) -> bytes:
    width = np.dtype(file.header).itemsize
    if not file.compressed:
        return _cut(data, width, int(np.frombuffer(data, file.header, 1)[0]))
    blocks, size, last = (int(n) for n in np.frombuffer(data, file.header, 3))
    if blocks * width > len(data) or blocks * max(size, 1) > _MOST_BYTES:
        raise ValueError("blocks")
    sizes = [int(n) for n in np.frombuffer(data, file.header, blocks, 3 * width)]
    at, found = (3 + blocks) * width, []
    for number, compressed in enumerate(sizes):
        wanted = last if last and number == blocks - 1 else size
        found.append(_inflated(_cut(data, at, compressed), wanted))
        at += compressed
    return b"".join(found)


def _inflated(data: bytes, size: int) -> bytes:
    try:
        found = zlib.decompressobj().decompress(data, size) if size else b""
    except zlib.error as error:
        raise ValueError("zlib") from error
    if len(found) != size:
        raise ValueError("block")
    return found


def _cut(data: bytes, start: int, size: int) -> bytes:
    if start + size > len(data):
        raise ValueError("size")
    return data[start : start + size]


def _triangles(connectivity: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """(F, 3) triangles of polygons that end at ``offsets``."""
    sizes = np.diff(offsets, prepend=0)
    if (
        len(sizes) == 0
        or sizes.min() < 3
        or sizes.max() > MOST_CORNERS
        or len(sizes) > MOST_TRIANGLES
        or offsets[-1] != len(connectivity)
    ):
        raise ValueError("offsets")
    if (sizes == 3).all():
        return connectivity.reshape(-1, 3)
    starts = offsets - sizes
    fans = []
    for corner in range(1, int(sizes.max()) - 1):
        have = starts[sizes > corner + 1]
        fans.append(
            np.stack([connectivity[have], connectivity[have + corner], connectivity[have + corner + 1]], axis=1)
        )
    return np.concatenate(fans)

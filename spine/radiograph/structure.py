"""The shape of a DICOM file, walked before anything trusts it: sizes, nesting, lengths, deflate bombs.

Contract: ``checked_bytes`` returns the file's bytes only when every element ends inside its parent, sequences nest at
most 64 deep and a deflated data set stays within bounds; time and memory are bounded by the limits below, whatever the
file says. The walk is a loop, not a recursion.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from spine.errors import DicomRejected

MAX_FILE_BYTES = 512 * 2**20
MAX_NESTING = 64
MAX_ELEMENTS = 200_000
MAX_INFLATED_BYTES = 384 * 2**20
FREE_INFLATED_BYTES = 16 * 2**20
MAX_INFLATE_RATIO = 50
"""Inflated over deflated size above the free 16 MiB; radiographs reach about 10, a bomb 1000."""

DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
IMPLICIT = "1.2.840.10008.1.2"

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_DATA = 0x7FE00010
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT_VRS = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL"}
    | {b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
_EXECUTABLES = (b"MZ", b"\x7fELF", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe")


@dataclass(frozen=True)
class _Meta:
    transfer_syntax: str
    end: int


@dataclass(frozen=True)
class _Container:
    """An open sequence or item: where it ends (None: at a delimiter) and how its elements are encoded."""

    end: int | None
    explicit: bool


def is_dicom(path: Path) -> bool:
    """Whether a file starts like DICOM (128 bytes, then ``DICM``)."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def checked_bytes(path: Path) -> bytes:
    """The bytes of a DICOM file whose structure holds.

    Raises:
        DicomRejected: ``EMPTY_FILE``, ``FILE_LIMIT``, ``NOT_DICOM``, ``PREAMBLE_EXECUTABLE``, ``TRUNCATED``,
            ``NESTING_LIMIT``, ``ELEMENT_LIMIT``, ``DEFLATE_LIMIT``, ``DEFLATE_INVALID``, ``STRUCTURE_INVALID``.
    """
    size = path.stat().st_size
    if size == 0:
        _refuse("EMPTY_FILE", "an empty file", "a DICOM file", "send the file again")
    if size > MAX_FILE_BYTES:
        _refuse("FILE_LIMIT", f"{size} bytes", f"at most {MAX_FILE_BYTES}", "a radiograph is never this large")
    payload = path.read_bytes()
    if payload[128:132] != b"DICM":
        _refuse("NOT_DICOM", "no DICM mark at byte 128", "a DICOM Part 10 file", "export the image as DICOM")
    if payload.startswith(_EXECUTABLES):
        _refuse("PREAMBLE_EXECUTABLE", "a program in the preamble", "zeros", "have the sender's system examined")
    check_structure(payload)
    return payload


def check_structure(payload: bytes) -> None:
    """Walk a Part 10 file; raises as ``checked_bytes``."""
    meta = _read_meta(payload)
    if meta.transfer_syntax == DEFLATED:
        _walk(_inflated(payload[meta.end :]), 0, explicit=True, big=False)
        return
    explicit, big = meta.transfer_syntax != IMPLICIT, meta.transfer_syntax == BIG_ENDIAN
    _walk(payload, meta.end, explicit=explicit, big=big)


def _read_meta(payload: bytes) -> _Meta:
    """Group 0002 is always explicit little endian; it ends where another group begins."""
    position, syntax = 132, ""
    while position + 8 <= len(payload) and payload[position : position + 2] == b"\x02\x00":
        tag, _, length, value = _element(payload, position, explicit=True, big=False)
        if length > len(payload) - value:
            _truncated(tag, length, len(payload) - value)
        if tag == 0x00020010:
            syntax = payload[value : value + length].rstrip(b"\0 ").decode("ascii", "replace")
        position = value + length
    if position >= len(payload):
        _refuse("TRUNCATED", "a file that ends with its meta header", "a data set", "send the file again")
    if not syntax:
        _refuse("TRANSFER_SYNTAX_MISSING", "no transfer syntax", "a transfer syntax UID", "export the image again")
    return _Meta(syntax, position)


def _element(data: bytes, at: int, *, explicit: bool, big: bool) -> tuple[int, bytes, int, int]:
    """(tag, VR or b"", length, position of the value) of the element at ``at``; 8 bytes are there."""
    order = ">" if big else "<"
    group, element = struct.unpack_from(order + "HH", data, at)
    tag = group << 16 | element
    if not explicit or group == 0xFFFE:
        return tag, b"", struct.unpack_from(order + "I", data, at + 4)[0], at + 8
    vr = data[at + 4 : at + 6]
    if vr in _SHORT_VRS:
        return tag, vr, struct.unpack_from(order + "H", data, at + 6)[0], at + 8
    if vr not in _LONG_VRS:
        _refuse("STRUCTURE_INVALID", f"a value representation that is none at byte {at}", "DICOM", "export again")
    if at + 12 > len(data):
        _refuse("TRUNCATED", f"a file that ends within an element header at byte {at}", "a whole file", "send it again")
    return tag, vr, struct.unpack_from(order + "I", data, at + 8)[0], at + 12


def _walk(data: bytes, start: int, *, explicit: bool, big: bool) -> None:
    """Visit every element without recursion, keeping the list of open sequences and items."""
    at, count = start, 0
    opened: list[_Container] = []
    while True:
        while opened and opened[-1].end is not None and at >= opened[-1].end:
            opened.pop()
        if at >= len(data):
            break
        if at + 8 > len(data):
            _refuse("TRUNCATED", f"{len(data) - at} bytes after the last element", "whole elements", "send it again")
        count += 1
        if count > MAX_ELEMENTS:
            _refuse("ELEMENT_LIMIT", f"more than {MAX_ELEMENTS} elements", "a radiograph", "have the sender checked")
        inner = opened[-1].explicit if opened else explicit
        tag, vr, length, value = _element(data, at, explicit=inner, big=big)
        at = _step(data, opened, tag, vr, length, value, inner)
        if len(opened) > 2 * MAX_NESTING:
            _refuse("NESTING_LIMIT", f"sequences nested deeper than {MAX_NESTING}", "less", "have the sender checked")
    if any(container.end is None for container in opened):
        _refuse("TRUNCATED", "a file that ends inside a sequence", "a whole file", "send the file again")


def _step(data: bytes, opened: list[_Container], tag: int, vr: bytes, length: int, value: int, explicit: bool) -> int:
    """Account for one element and return where the next begins: inside it for a container, else after it."""
    if tag in (_ITEM_END, _SEQUENCE_END):
        if not opened or opened[-1].end is not None:
            _refuse("STRUCTURE_INVALID", "a delimiter without its sequence", "DICOM", "export the image again")
        opened.pop()
        return value
    parent = next((c.end for c in reversed(opened) if c.end is not None), len(data))
    if length != _UNDEFINED and length > parent - value:
        _truncated(tag, length, parent - value)
    if tag == _PIXEL_DATA and length == _UNDEFINED:
        return _skip_fragments(data, value)
    if length == _UNDEFINED:
        # An UN of undefined length holds implicit elements whatever surrounds it (Part 5, 6.2.2 note 2).
        opened.append(_Container(None, explicit and vr != b"UN"))
        return value
    if tag == _ITEM or _is_sequence(data, tag, vr, length, value, explicit):
        opened.append(_Container(value + length, explicit))
        return value
    return value + length


def _is_sequence(data: bytes, tag: int, vr: bytes, length: int, value: int, explicit: bool) -> bool:
    if explicit:
        return vr == b"SQ"
    # Implicit files name no type: a defined-length value that opens with an item is walked as a sequence.
    return tag != _PIXEL_DATA and length >= 8 and data[value : value + 4] == b"\xfe\xff\x00\xe0"


def _skip_fragments(data: bytes, at: int) -> int:
    """Position after encapsulated pixel data (always little endian)."""
    while True:
        if at + 8 > len(data):
            _refuse("TRUNCATED", "compressed pixels without their end", "whole fragments", "send the file again")
        group, element, length = struct.unpack_from("<HHI", data, at)
        tag, at = group << 16 | element, at + 8
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM or length > len(data) - at:
            _truncated(tag, length, len(data) - at)
        at += length


def _inflated(deflated: bytes) -> bytes:
    """Inflate within the limit; a first pass only counts, so a bomb costs no memory."""
    limit = min(MAX_INFLATED_BYTES, max(FREE_INFLATED_BYTES, MAX_INFLATE_RATIO * len(deflated)))
    machine, total, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, deflated
    try:
        while rest and not machine.eof:
            total += len(machine.decompress(rest, 2**20))
            rest = machine.unconsumed_tail
            if total > limit:
                _refuse("DEFLATE_LIMIT", f"{len(deflated)} bytes that inflate past {limit}", "less", "do not open it")
        if not machine.eof:
            _refuse("TRUNCATED", "a deflated data set without its end", "a whole file", "send the file again")
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, limit)
    except zlib.error as error:
        raise DicomRejected(
            "DEFLATE_INVALID", found="a deflated data set that does not inflate", expected="deflate", remedy="resend it"
        ) from error


def _truncated(tag: int, length: int, left: int) -> NoReturn:
    found = f"element ({tag >> 16:04X},{tag & 0xFFFF:04X}) of {length} bytes where {max(left, 0)} are left"
    _refuse("TRUNCATED", found, "elements inside their file", "send the file again")


def _refuse(code: str, found: str, expected: str, remedy: str) -> NoReturn:
    raise DicomRejected(code, found=found, expected=expected, remedy=remedy)

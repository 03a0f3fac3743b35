"""Checks the structure of a DICOM file before it is parsed: size, nesting, lengths and deflate bombs.

Contract: ``checked_bytes`` returns the bytes of a file only if every element ends inside its parent, sequences nest at
most 64 deep and a deflated data set stays within bounds. The limits below restrict the time and memory for any file.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from spine.errors import DicomRejected
from spine.radiograph.beginning import HEAD_BYTES, beginning_of, part10_bytes
from spine.radiograph.elements import BIG_ENDIAN, DEFLATED, IMPLICIT, RESEND, UNDEFINED_LENGTH, element_at
from spine.radiograph.tags import EXPORT_AGAIN

MAX_FILE_BYTES = 256 * 2**20
"""More than twice the pixels of the largest image that is read (``header.MAX_PIXELS``)."""
MAX_NESTING = 64
MAX_ELEMENTS = 200_000
MAX_INFLATED_BYTES = 192 * 2**20
FREE_INFLATED_BYTES = 16 * 2**20
MAX_INFLATE_RATIO = 50
"""Largest ratio of inflated to deflated size above the free 16 MiB. Radiographs reach about 10, a bomb 1000."""

ASK_SENDER = "have the sending system checked"

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_DATA = 0x7FE00010
_EXECUTABLES = (b"MZ", b"\x7fELF", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe")


@dataclass(frozen=True)
class _Container:
    """An open sequence or item: its end (None if a delimiter ends it), and whether its elements have explicit VR."""

    end: int | None
    explicit: bool


def checked_bytes(content: Path | bytes) -> bytes:
    """The bytes of a DICOM file whose structure is sound, as a Part 10 file that ends with its last element.

    ``content`` is the path of the file, or its bytes. A file without preamble or meta header gets them (``beginning``).

    Raises:
        DicomRejected: ``EMPTY_FILE``, ``FILE_TOO_LARGE``, ``NOT_DICOM``, ``PREAMBLE_EXECUTABLE``, ``TRUNCATED``,
            ``TRANSFER_SYNTAX_MISSING``, ``NESTING_LIMIT``, ``ELEMENT_LIMIT``, ``DEFLATE_LIMIT``, ``DEFLATE_INVALID``,
            ``STRUCTURE_INVALID``.
    """
    size = content.stat().st_size if isinstance(content, Path) else len(content)
    if size == 0:
        raise DicomRejected("EMPTY_FILE", "an empty file", "a DICOM file", RESEND)
    if size > MAX_FILE_BYTES:
        remedy = "send a radiograph; no radiograph is this large"
        raise DicomRejected("FILE_TOO_LARGE", f"{size} bytes", f"at most {MAX_FILE_BYTES}", remedy)
    payload = content.read_bytes() if isinstance(content, Path) else content
    beginning = beginning_of(payload[:HEAD_BYTES], size)
    if beginning is None:
        found = "no DICM at byte 128, and no data set of DICOM"
        raise DicomRejected("NOT_DICOM", found, "a DICOM file (Part 10)", "export it as DICOM")
    if payload.startswith(_EXECUTABLES):
        found = "an executable program in the preamble"
        raise DicomRejected("PREAMBLE_EXECUTABLE", found, "a preamble of zeros", ASK_SENDER)
    payload = part10_bytes(payload, beginning)
    end = check_structure(payload)
    return payload if end == len(payload) else payload[:end]


def check_structure(payload: bytes) -> int:
    """Walk through all elements of a Part 10 file, or raise ``DicomRejected`` (see ``checked_bytes``).

    Returns the end of the last element. Only zeros may follow it.
    """
    syntax, end = _read_meta(payload)
    if syntax == DEFLATED:
        _walk(_inflated(payload[end:]), 0, explicit=True, big=False)
        return len(payload)
    return _walk(payload, end, explicit=syntax != IMPLICIT, big=syntax == BIG_ENDIAN)


def _read_meta(payload: bytes) -> tuple[str, int]:
    """(transfer syntax, end position) of group 0002, which is explicit little endian and ends at the next group."""
    position, syntax = 132, ""
    while position + 8 <= len(payload) and payload[position : position + 2] == b"\x02\x00":
        tag, _, length, value = element_at(payload, position, explicit=True, big=False)
        if length > len(payload) - value:
            raise _beyond_the_end(tag, length, len(payload) - value)
        if tag == 0x00020010:
            syntax = payload[value : value + length].rstrip(b"\0 ").decode("ascii", "replace")
        position = value + length
    if position >= len(payload):
        raise DicomRejected("TRUNCATED", "a file that ends after its meta header", "a data set", RESEND)
    if not syntax:
        raise DicomRejected("TRANSFER_SYNTAX_MISSING", "no transfer syntax", "a syntax UID", EXPORT_AGAIN)
    return syntax, position


def _walk(data: bytes, start: int, *, explicit: bool, big: bool) -> int:
    """Visit every element in a loop over a list of open sequences and items: recursion would overflow the stack.

    Returns the end of the last element. Some writers fill the last block of a file with zeros, and (FFFC,FFFC) Data Set
    Trailing Padding (PS3.10 7.2) is an element. Other bytes after the last element may be the rest of a damaged one.
    """
    at, count = start, 0
    opened: list[_Container] = []
    while True:
        while opened and opened[-1].end is not None and at >= opened[-1].end:
            opened.pop()
        if at >= len(data) or (not opened and _only_zeros(data, at)):
            break
        if at + 8 > len(data):
            found = f"{len(data) - at} bytes after the last element"
            raise DicomRejected("TRUNCATED", found, "complete elements", RESEND)
        count += 1
        if count > MAX_ELEMENTS:
            found = f"more than {MAX_ELEMENTS} elements"
            raise DicomRejected("ELEMENT_LIMIT", found, f"at most {MAX_ELEMENTS}", ASK_SENDER)
        inner = opened[-1].explicit if opened else explicit
        tag, vr, length, value = element_at(data, at, explicit=inner, big=big)
        at = _next_position(data, opened, tag, vr, length, value, inner)
        if len(opened) > 2 * MAX_NESTING:
            found = f"sequences nested deeper than {MAX_NESTING}"
            raise DicomRejected("NESTING_LIMIT", found, f"at most {MAX_NESTING} levels", ASK_SENDER)
    if any(container.end is None for container in opened):
        raise DicomRejected("TRUNCATED", "a file that ends inside a sequence", "a complete file", RESEND)
    return at


def _only_zeros(data: bytes, at: int) -> bool:
    """Whether zeros follow from ``at``. No element begins with four of them: group 0000 is not part of a file."""
    if any(data[at : at + 4]):
        return False
    if data.count(0, at) < len(data) - at:
        found = f"zeros at byte {at} and other bytes after them"
        raise DicomRejected("STRUCTURE_INVALID", found, "elements, or zeros up to the end", EXPORT_AGAIN)
    return True


def _next_position(
    data: bytes, opened: list[_Container], tag: int, vr: bytes, length: int, value: int, explicit: bool
) -> int:
    """Enter, leave or skip one element. Return where the next element begins, inside a container or after the value."""
    if tag in (_ITEM_END, _SEQUENCE_END):
        if not opened or opened[-1].end is not None:
            raise DicomRejected("STRUCTURE_INVALID", "a delimiter without its sequence", "valid DICOM", EXPORT_AGAIN)
        opened.pop()
        return value
    parent = next((c.end for c in reversed(opened) if c.end is not None), len(data))
    if length != UNDEFINED_LENGTH and length > parent - value:
        raise _beyond_the_end(tag, length, parent - value)
    if tag == _PIXEL_DATA and length == UNDEFINED_LENGTH:
        return _skip_fragments(data, value)
    if length == UNDEFINED_LENGTH:
        # A UN of undefined length always contains implicit elements (Part 5, 6.2.2 note 2).
        opened.append(_Container(None, explicit and vr != b"UN"))
        return value
    if tag == _ITEM or _is_sequence(data, tag, vr, length, value, explicit):
        opened.append(_Container(value + length, explicit))
        return value
    return value + length


def _is_sequence(data: bytes, tag: int, vr: bytes, length: int, value: int, explicit: bool) -> bool:
    if explicit:
        return vr == b"SQ"
    # Implicit files do not name the type. A value of defined length that begins with an item is treated as a sequence.
    return tag != _PIXEL_DATA and length >= 8 and data[value : value + 4] == b"\xfe\xff\x00\xe0"


def _skip_fragments(data: bytes, at: int) -> int:
    """Position after encapsulated pixel data, which is always little endian."""
    while True:
        if at + 8 > len(data):
            raise DicomRejected("TRUNCATED", "compressed pixels without their end", "complete fragments", RESEND)
        group, element, length = struct.unpack_from("<HHI", data, at)
        tag, at = group << 16 | element, at + 8
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM or length > len(data) - at:
            raise _beyond_the_end(tag, length, len(data) - at)
        at += length


def _inflated(deflated: bytes) -> bytes:
    """Inflate within the limit. The first pass only counts bytes, so a bomb costs no memory."""
    limit = min(MAX_INFLATED_BYTES, max(FREE_INFLATED_BYTES, MAX_INFLATE_RATIO * len(deflated)))
    machine, total, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, deflated
    try:
        while rest and not machine.eof:
            total += len(machine.decompress(rest, 2**20))
            rest = machine.unconsumed_tail
            if total > limit:
                found = f"{len(deflated)} compressed bytes that expand to more than {limit}"
                raise DicomRejected("DEFLATE_LIMIT", found, f"at most {limit} bytes", ASK_SENDER)
        if not machine.eof:
            raise DicomRejected("TRUNCATED", "a deflated data set without its end", "a complete file", RESEND)
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, limit)
    except zlib.error as error:
        found = "a deflated data set that cannot be decompressed"
        raise DicomRejected("DEFLATE_INVALID", found, "a valid deflate stream", RESEND) from error


def _beyond_the_end(tag: int, length: int, left: int) -> DicomRejected:
    found = f"element ({tag >> 16:04X},{tag & 0xFFFF:04X}) of {length} bytes where only {max(left, 0)} bytes are left"
    return DicomRejected("TRUNCATED", found, "elements that end inside the file", RESEND)

"""How a file begins: a Part 10 file with its header, or a data set of DICOM without one.

Some exports lack the preamble, the four bytes ``DICM``, the meta header (group 0002) or all of them, although PS3.10
7.1 requires them. Such a file begins with ``DICM``, with group 0002 or with group 0008. Its encoding is recognised by
trial: the first elements must have ascending tags, a known value representation or none, and lengths that fit into the
file.

Contract: ``part10_bytes`` returns a Part 10 file with the same data set; the rest of the package reads no other files.
"""

import re
import struct
from dataclasses import dataclass

from spine.errors import DicomRejected
from spine.radiograph.elements import BIG_ENDIAN, EXPLICIT, IMPLICIT, UNDEFINED_LENGTH, element_at
from spine.radiograph.tags import EXPORT_AGAIN

HEAD_BYTES = 4096
"""The first bytes of a file, which are enough to recognise it."""
MAGIC = b"DICM"
_PREAMBLE = 128
_SOP_CLASS = 0x00080016
_UID = re.compile(rb"[0-9.]{1,64}[\0 ]?")
_ENOUGH_ELEMENTS = 3


@dataclass(frozen=True)
class Beginning:
    """Position of the first element, and its encoding.

    Attributes:
        at: position of the first element.
        has_meta: whether the file has a meta header there. Then the next two attributes say nothing of the data set.
        explicit: whether the elements name their value representation.
        big: whether numbers are big endian.
    """

    at: int
    has_meta: bool
    explicit: bool = True
    big: bool = False


def beginning_of(head: bytes, size: int) -> Beginning | None:
    """How a file of ``size`` bytes begins, from its first ``HEAD_BYTES``; None if it is not DICOM."""
    if head[_PREAMBLE : _PREAMBLE + 4] == MAGIC:
        # With both marks a file is DICOM, whatever follows. What is wrong with it is said when it is read.
        return _elements_at(head, size, _PREAMBLE + 4) or Beginning(_PREAMBLE + 4, has_meta=True)
    return _elements_at(head, size, 4 if head.startswith(MAGIC) else 0)


def part10_bytes(payload: bytes, beginning: Beginning) -> bytes:
    """The file with the parts of the header that it lacks. A complete file is returned as it is.

    Raises:
        DicomRejected: ``TRANSFER_SYNTAX_UNSUPPORTED`` for an implicit big-endian data set, which DICOM does not have.
    """
    if beginning.has_meta and beginning.at == _PREAMBLE + 4:
        return payload
    start = bytes(_PREAMBLE) + MAGIC
    return b"".join((start, b"" if beginning.has_meta else _meta(beginning), memoryview(payload)[beginning.at :]))


def _meta(beginning: Beginning) -> bytes:
    """The least meta header: its length and the transfer syntax."""
    if beginning.big and not beginning.explicit:
        found = "a data set without header in implicit big-endian encoding"
        raise DicomRejected("TRANSFER_SYNTAX_UNSUPPORTED", found, "a DICOM file (Part 10)", EXPORT_AGAIN)
    syntax = (BIG_ENDIAN if beginning.big else EXPLICIT if beginning.explicit else IMPLICIT).encode()
    syntax += b"\0" * (len(syntax) % 2)
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    return struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(element)) + element


def _elements_at(head: bytes, size: int, at: int) -> Beginning | None:
    if head[at : at + 2] == b"\x02\x00":
        return Beginning(at, has_meta=True) if _fits(head, size, at, explicit=True, big=False) else None
    for explicit, big in ((True, False), (False, False), (True, True), (False, True)):
        if head[at : at + 2] == (b"\x00\x08" if big else b"\x08\x00") and _fits(
            head, size, at, explicit=explicit, big=big
        ):
            return Beginning(at, has_meta=False, explicit=explicit, big=big)
    return None


def _fits(head: bytes, size: int, at: int, *, explicit: bool, big: bool) -> bool:
    """Whether the bytes at ``at`` are elements in this encoding."""
    previous = -1
    for _ in range(_ENOUGH_ELEMENTS):
        if at + 8 > len(head):
            return False
        try:
            tag, _, length, value = element_at(head, at, explicit=explicit, big=big)
        except DicomRejected:
            return False
        if length == UNDEFINED_LENGTH and previous >= 0:
            return True  # a sequence after another element that fits
        if tag <= previous or value + length > size:
            return False
        if tag == _SOP_CLASS:
            return explicit or _UID.fullmatch(head[value : value + length]) is not None
        previous, at = tag, value + length
    return True

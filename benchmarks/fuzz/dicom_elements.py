"""The elements of a DICOM file as a list that can be changed, and their encoding in each transfer syntax.

Contract: ``parsed`` reads only the valid explicit little-endian files of ``radiograph_seeds``. ``encoded`` writes any
list of elements, also an invalid one: an element may state another length than its value has.
"""

import struct
import zlib
from dataclasses import dataclass, field, replace

UNDEFINED = 0xFFFFFFFF
_LONG = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UN", b"UT", b"UC", b"UR", b"SV", b"UV")
_WIDTH = {b"US": 2, b"SS": 2, b"OW": 2, b"AT": 2, b"UL": 4, b"SL": 4, b"FL": 4, b"OF": 4, b"OL": 4, b"FD": 8, b"OD": 8}
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
PIXEL_DATA = 0x7FE00010


@dataclass(frozen=True)
class Element:
    """One element: its bytes, or the items of a sequence.

    Attributes:
        length: the length that the element states, if it is another one than that of its value.
        undefined: whether a sequence and its items end with delimiters.
    """

    tag: int
    vr: bytes
    value: bytes = b""
    items: "tuple[tuple[Element, ...], ...] | None" = None
    length: int | None = None
    undefined: bool = False


@dataclass(frozen=True)
class DicomFile:
    """A Part 10 file: preamble, meta header (group 0002) and data set."""

    meta: tuple[Element, ...]
    elements: tuple[Element, ...]
    syntax: str = EXPLICIT
    preamble: bytes = field(default=bytes(128) + b"DICM", repr=False)

    def with_syntax(self, syntax: str, *, stated: str | None = None) -> "DicomFile":
        """The same elements in another transfer syntax; ``stated`` is what the meta header says of it."""
        value = (stated or syntax).encode()
        value += b"\0" * (len(value) % 2)
        meta = tuple(replace(e, value=value) if e.tag == 0x00020010 else e for e in self.meta)
        return replace(self, meta=meta, syntax=syntax)


def parsed(payload: bytes) -> DicomFile:
    """The elements of an explicit little-endian file."""
    elements = _elements(payload, 132, len(payload))[0]
    meta = tuple(e for e in elements if e.tag >> 16 == 2)
    syntax = next(e.value for e in meta if e.tag == 0x00020010).rstrip(b"\0").decode()
    return DicomFile(meta, tuple(e for e in elements if e.tag >> 16 != 2), syntax)


def _elements(data: bytes, at: int, end: int) -> tuple[tuple[Element, ...], int]:
    """Elements up to ``end`` or to the delimiter of their item, and the position after them."""
    found: list[Element] = []
    while at < end:
        group, number = struct.unpack_from("<HH", data, at)
        tag = group << 16 | number
        if tag == 0xFFFEE00D:
            return tuple(found), at + 8
        vr = data[at + 4 : at + 6]
        length = struct.unpack_from("<I", data, at + 8)[0] if vr in _LONG else struct.unpack_from("<H", data, at + 6)[0]
        at += 12 if vr in _LONG else 8
        if vr == b"SQ":
            items, at = _items(data, at, None if length == UNDEFINED else at + length)
            found.append(Element(tag, vr, items=items, undefined=length == UNDEFINED))
        elif length == UNDEFINED:
            stop = data.rindex(b"\xfe\xff\xdd\xe0\0\0\0\0") + 8
            found.append(Element(tag, vr, data[at:stop], length=UNDEFINED))
            at = stop
        else:
            found.append(Element(tag, vr, data[at : at + length]))
            at += length
    return tuple(found), at


def _items(data: bytes, at: int, end: int | None) -> tuple[tuple[tuple[Element, ...], ...], int]:
    items = []
    while end is None or at < end:
        number, length = struct.unpack_from("<HI", data, at + 2)
        at += 8
        if number == 0xE0DD:
            break
        item, at = _elements(data, at, len(data) if length == UNDEFINED else at + length)
        items.append(item)
    return tuple(items), at


def encoded(file: DicomFile) -> bytes:
    """The bytes of the file in its transfer syntax."""
    body = _bytes_of(file.elements, explicit=file.syntax != IMPLICIT, big=file.syntax == BIG_ENDIAN)
    if file.syntax == DEFLATED:
        machine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = machine.compress(body) + machine.flush()
    return file.preamble + _bytes_of(file.meta, explicit=True, big=False) + body


def _bytes_of(elements: tuple[Element, ...], *, explicit: bool, big: bool) -> bytes:
    return b"".join(_element_bytes(e, explicit=explicit, big=big) for e in elements)


def _element_bytes(element: Element, *, explicit: bool, big: bool) -> bytes:
    order = ">" if big else "<"
    value = element.value
    if element.items is not None:
        value = _item_bytes(element, explicit=explicit, big=big)
    elif big and element.vr in _WIDTH and len(value) % _WIDTH[element.vr] == 0:
        value = _swapped(value, _WIDTH[element.vr])
    length = len(value) if element.length is None else element.length
    if element.items is not None and element.undefined and element.length is None:
        length = UNDEFINED
    head = struct.pack(order + "HH", element.tag >> 16, element.tag & 0xFFFF)
    if not explicit:
        head += struct.pack(order + "I", length & UNDEFINED)
    elif element.vr in _LONG:
        head += element.vr + struct.pack(order + "HI", 0, length & UNDEFINED)
    else:
        head += element.vr + struct.pack(order + "H", length & 0xFFFF)
    return head + value


def _item_bytes(element: Element, *, explicit: bool, big: bool) -> bytes:
    order, found = ">" if big else "<", b""
    for item in element.items or ():
        inside = _bytes_of(item, explicit=explicit, big=big)
        length = UNDEFINED if element.undefined else len(inside)
        found += struct.pack(order + "HHI", 0xFFFE, 0xE000, length) + inside
        found += struct.pack(order + "HHI", 0xFFFE, 0xE00D, 0) if element.undefined else b""
    return found + (struct.pack(order + "HHI", 0xFFFE, 0xE0DD, 0) if element.undefined else b"")


def _swapped(value: bytes, width: int) -> bytes:
    return b"".join(value[i : i + width][::-1] for i in range(0, len(value), width))

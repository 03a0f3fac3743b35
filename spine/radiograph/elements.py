"""Reads the header of one element of a DICOM data set from bytes (PS3.5 7.1)."""

import struct

from spine.errors import DicomRejected
from spine.radiograph.tags import EXPORT_AGAIN

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
UNDEFINED_LENGTH = 0xFFFFFFFF
RESEND = "send the file again"

_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT_VRS = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL"}
    | {b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)


def element_at(data: bytes, at: int, *, explicit: bool, big: bool) -> tuple[int, bytes, int, int]:
    """(tag, VR or b"", length, position of the value) of the element at ``at``, where at least 8 bytes follow.

    Raises:
        DicomRejected: ``STRUCTURE_INVALID``, ``TRUNCATED``.
    """
    order = ">" if big else "<"
    group, element = struct.unpack_from(order + "HH", data, at)
    tag = group << 16 | element
    if not explicit or group == 0xFFFE:
        return tag, b"", struct.unpack_from(order + "I", data, at + 4)[0], at + 8
    vr = data[at + 4 : at + 6]
    if vr in _SHORT_VRS:
        return tag, vr, struct.unpack_from(order + "H", data, at + 6)[0], at + 8
    if vr not in _LONG_VRS:
        found = f"an unknown value representation at byte {at}"
        raise DicomRejected("STRUCTURE_INVALID", found, "valid DICOM", EXPORT_AGAIN)
    if at + 12 > len(data):
        found = f"a file that ends inside an element header at byte {at}"
        raise DicomRejected("TRUNCATED", found, "a complete file", RESEND)
    return tag, vr, struct.unpack_from(order + "I", data, at + 8)[0], at + 12

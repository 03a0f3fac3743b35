"""Says what kind of DICOM object a file contains, from its first bytes, without parsing the file.

Contract: ``dicom_kind`` reads at most ``HEAD_BYTES`` of a file. It returns ``radiograph`` for every file that
``read_radiograph`` must read or refuse by name: also for a class that nobody knows, and for a file without a class.
"""

import os
from pathlib import Path

from spine.errors import DicomRejected
from spine.radiograph.beginning import HEAD_BYTES, Beginning, beginning_of
from spine.radiograph.elements import BIG_ENDIAN, DEFLATED, IMPLICIT, element_at
from spine.radiograph.sop_classes import KIND_OF_CLASS, RADIOGRAPH, SECONDARY_CAPTURES

_META_CLASS, _META_SYNTAX, _SOP_CLASS, _MANUFACTURER = 0x00020002, 0x00020010, 0x00080016, 0x00080070

RESULT_MAKER = "Plumbline"
"""Manufacturer of the objects in which Plumbline stores its results (``serving.results``)."""
OWN_OVERLAY = "overlay of a measurement"
"""The kind of a secondary capture that Plumbline made: a picture of a radiograph, and none itself."""


def dicom_kind(path: Path) -> str | None:
    """``radiograph``, the kind of another SOP class (see ``sop_classes``), or None if the file is not DICOM.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        size = os.fstat(stream.fileno()).st_size
    beginning = beginning_of(head, size)
    if beginning is None:
        return None
    classes, maker = _classes(head, beginning)
    if maker == RESULT_MAKER and set(classes) <= SECONDARY_CAPTURES:
        return OWN_OVERLAY
    kinds = [KIND_OF_CLASS.get(uid, RADIOGRAPH) for uid in classes]
    # If the meta header and the data set disagree, one radiograph is enough: reading decides by the data set.
    return RADIOGRAPH if not kinds or RADIOGRAPH in kinds else kinds[0]


def _classes(head: bytes, beginning: Beginning) -> tuple[list[str], str]:
    """(the SOP classes that data set and meta header name, the maker), as far as the first bytes contain them."""
    at, explicit, big, meta_class = beginning.at, beginning.explicit, beginning.big, ""
    if beginning.has_meta:
        meta, at = _values(head, at, explicit=True, big=False, group=2)
        meta_class, syntax = meta.get(_META_CLASS, ""), meta.get(_META_SYNTAX, "")
        explicit, big = syntax != IMPLICIT, syntax == BIG_ENDIAN
        if syntax == DEFLATED:
            at = len(head)
    data, _ = _values(head, at, explicit=explicit, big=big, group=8)
    return [uid for uid in (data.get(_SOP_CLASS, ""), meta_class) if uid], data.get(_MANUFACTURER, "")


def _values(head: bytes, at: int, *, explicit: bool, big: bool, group: int) -> tuple[dict[int, str], int]:
    """(tag -> value, end) of the elements from ``at`` up to ``group``.

    The first value that the first bytes do not contain, such as a sequence of undefined length, ends the search.
    """
    values: dict[int, str] = {}
    while at + 8 <= len(head):
        try:
            tag, _, length, value = element_at(head, at, explicit=explicit, big=big)
        except DicomRejected:
            break
        if tag >> 16 > group or value + length > len(head):
            break
        at = value + length
        values[tag] = head[value:at].strip(b"\0 ").decode("latin-1")
    return values, at

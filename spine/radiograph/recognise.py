"""Says what kind of DICOM object a file contains, from its first bytes, without parsing the file.

Contract: ``dicom_kind`` reads at most ``HEAD_BYTES`` of a file. It returns ``radiograph`` for every file that
``read_radiograph`` must read or refuse by name: also for a class that nobody knows, and for a file without a class.
"""

import os
import struct
from pathlib import Path

from spine.radiograph.beginning import HEAD_BYTES, Beginning, beginning_of
from spine.radiograph.sop_classes import KIND_OF_CLASS, RADIOGRAPH

_CLASS_OF_META = b"\x02\x00\x02\x00"
_CLASS_OF_DATA = {False: b"\x08\x00\x16\x00", True: b"\x00\x08\x00\x16"}


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
    kinds = [KIND_OF_CLASS.get(uid, RADIOGRAPH) for uid in _classes(head, beginning)]
    # If the meta header and the data set disagree, one radiograph is enough: reading decides by the data set.
    return RADIOGRAPH if not kinds or RADIOGRAPH in kinds else kinds[0]


def _classes(head: bytes, beginning: Beginning) -> list[str]:
    """The SOP classes that the data set and the meta header name, as far as the first bytes contain them."""
    data = _uid(head, beginning.at, _CLASS_OF_DATA[beginning.big], big=beginning.big)
    if not data and beginning.has_meta:
        data = _uid(head, beginning.at, _CLASS_OF_DATA[True], big=True)
    meta = _uid(head, beginning.at, _CLASS_OF_META, big=False) if beginning.has_meta else ""
    return [uid for uid in (data, meta) if uid]


def _uid(head: bytes, start: int, tag: bytes, *, big: bool) -> str:
    at = head.find(tag, start)
    if at < 0 or at + 8 > len(head):
        return ""
    order = ">" if big else "<"
    explicit = head[at + 4 : at + 6] == b"UI"
    length = struct.unpack_from(order + ("H" if explicit else "I"), head, at + (6 if explicit else 4))[0]
    return head[at + 8 : at + 8 + min(length, 64)].strip(b"\0 ").decode("ascii", "replace")

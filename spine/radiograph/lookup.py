"""Lookup tables of a radiograph: the Modality LUT (PS3.3 C.11.1) and the VOI LUT (PS3.3 C.11.2).

The descriptor has three values: the number of entries, of which 0 means 65536; the first value that the table maps,
which is signed if the pixels are; and the bits of an entry. The entries are bytes or words. The length of the data says
which: some writers store entries of 8 bits in words, and some announce more bits than the entries have (C.11.1.1.1).
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.errors import DicomRejected
from spine.radiograph.tags import EXPORT_AGAIN, TagReader

_ALL_ENTRIES = 65_536


@dataclass(frozen=True)
class LookupTable:
    """``entries`` (N,) uint16; the first is the result for ``first`` and for every smaller value.

    ``signed_first`` is the same first value read as a signed number.
    """

    first: int
    signed_first: int
    entries: NDArray[np.uint16]

    def apply(self, values: NDArray[np.float64], *, signed: bool) -> NDArray[np.float64]:
        """The entry of each value. Values beyond an end of the table have the entry at this end (C.11.1.1.1)."""
        index = np.rint(values) - (self.signed_first if signed else self.first)
        inside = np.clip(index, 0, len(self.entries) - 1).astype(np.intp)
        found: NDArray[np.float64] = self.entries[inside].astype(np.float64)
        return found


def read_table(tags: TagReader, keyword: str, code: str) -> LookupTable | None:
    """The first table of a sequence, or None without the sequence or with an empty one.

    Raises:
        DicomRejected: ``code`` if the descriptor is malformed or does not fit the data; ``TAG_INVALID``.
    """
    items = tags.items(keyword)
    if not items:
        return None
    item = TagReader(items[0])
    descriptor, little = item.raw("LUTDescriptor")
    data, _ = item.raw("LUTData")
    if len(descriptor) != 6:
        found = f"{keyword} whose LUTDescriptor has {len(descriptor)} bytes"
        raise DicomRejected(code, found, "three numbers of two bytes", EXPORT_AGAIN)
    order = "<" if little else ">"
    count, first, bits = struct.unpack(order + "HHH", descriptor)
    signed_first = struct.unpack_from(order + "h", descriptor, 2)[0]
    count = count or _ALL_ENTRIES
    entries = _entries(data, count, little)
    if entries is None or not 1 <= bits <= 16:
        found = f"{keyword} of {count} entries of {bits} bits in {len(data)} bytes"
        raise DicomRejected(code, found, "a table as long as its descriptor says", EXPORT_AGAIN)
    return LookupTable(signed_first if item.vr("LUTDescriptor") == "SS" else first, signed_first, entries)


def _entries(data: bytes, count: int, little: bool) -> NDArray[np.uint16] | None:
    if len(data) in (2 * count, 2 * count + 2):
        return np.frombuffer(data, "<u2" if little else ">u2", count).astype(np.uint16)
    if len(data) != count + count % 2:
        return None
    # Bytes in a tag of words (VR OW or US): big-endian encoding exchanges the bytes of each word (PS3.5 7.3).
    packed = data if little else np.frombuffer(data, ">u2").astype("<u2").tobytes()
    return np.frombuffer(packed, np.uint8, count).astype(np.uint16)

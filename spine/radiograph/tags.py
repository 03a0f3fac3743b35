"""Strict reading of the tags of a DICOM data set: bytes to text and numbers, or a refusal.

Contract: values are read from the raw bytes, without the repairs that pydicom makes. A file with a number that is not
finite is refused with the caller's code. No message quotes a value.
"""

import math
import struct
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from spine.errors import DicomRejected

BLANKS = b"\0 \t\r\n"
"""The padding of a text value."""

CORRECT_TAG = "correct the tag in the system that sent the image, and export the image again"
EXPORT_AGAIN = "export the image again"


class TagReader:
    """Reads the tags of one data set by keyword, without the file meta information (group 0002)."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def raw(self, keyword: str) -> tuple[bytes, bool]:
        """(bytes of the value, whether they are little endian). An absent tag has no bytes."""
        return self._bytes(int(tag_for_keyword(keyword) or 0))

    def vr(self, keyword: str) -> str:
        """The value representation of a tag that is present, if the file names it; else an empty string."""
        return getattr(self._dataset.get_item(keyword), "VR", None) or ""

    def _bytes(self, tag: int) -> tuple[bytes, bool]:
        element = self._dataset.get_item(tag) if tag in self._dataset else None
        if element is None or not isinstance(element.value, bytes):
            return b"", True
        return element.value, bool(getattr(element, "is_little_endian", True))

    def private_double(self, group: int, creator: str, offset: int) -> float | None:
        """Finite number (VR FD) of a private element, or None. With implicit VR, pydicom reads the element as UN."""
        for block in range(0x10, 0x100):
            owner = self._bytes(group << 16 | block)[0]
            if owner.strip(BLANKS) == creator.encode():
                value, little = self._bytes(group << 16 | block << 8 | offset)
                number = struct.unpack("<d" if little else ">d", value)[0] if len(value) == 8 else math.nan
                return float(number) if math.isfinite(number) else None
        return None

    def has(self, keyword: str) -> bool:
        """Whether the tag is present."""
        return keyword in self._dataset

    def items(self, keyword: str) -> list[Any]:
        """The items of a sequence, or an empty list without the tag. A tag of another type raises ``TAG_INVALID``."""
        if keyword not in self._dataset:
            return []
        try:
            items = list(self._dataset[keyword].value)
        except Exception as error:
            raise self._no_sequence(keyword) from error
        if not all(isinstance(item, Dataset) for item in items):
            raise self._no_sequence(keyword)
        return items

    @staticmethod
    def _no_sequence(keyword: str) -> DicomRejected:
        return DicomRejected("TAG_INVALID", f"{keyword} that is not a sequence", "a sequence of items", EXPORT_AGAIN)

    def texts(self, keyword: str) -> tuple[str, ...]:
        """The ASCII values of a tag, which backslashes separate."""
        value = self.raw(keyword)[0].strip(BLANKS)
        return tuple(part.strip() for part in value.decode("ascii", "replace").split("\\")) if value else ()

    def text(self, keyword: str) -> str:
        """The first ASCII value of a tag in upper case, or an empty string."""
        return (self.texts(keyword) or ("",))[0].upper()

    def decimals(self, keyword: str, code: str) -> tuple[float, ...]:
        """The numbers in a tag of decimal strings. A value that is not a finite number raises ``code``."""
        try:
            numbers = tuple(float(text) for text in self.texts(keyword))
        except ValueError:
            numbers = (math.nan,)
        if not all(map(math.isfinite, numbers)):
            raise DicomRejected(code, f"{keyword} that is not a finite number", "finite numbers", CORRECT_TAG)
        return numbers

    def decimal(self, keyword: str, code: str) -> float | None:
        """The first number of ``decimals``, or None. A value that is not a finite number raises ``code``."""
        return next(iter(self.decimals(keyword, code)), None)

    def binary(self, keyword: str, kind: str, code: str) -> float | None:
        """The first number in a binary tag, or None. ``kind`` is its ``struct`` format: ``H`` for US, ``f`` for FL ...

        Raises:
            DicomRejected: ``code`` if the value is cut off or not finite.
        """
        value, little = self.raw(keyword)
        width = struct.calcsize(kind)
        if not value:
            return None
        if len(value) < width:
            raise DicomRejected(code, f"{keyword} of {len(value)} bytes", f"{width} bytes", EXPORT_AGAIN)
        number = float(struct.unpack_from(("<" if little else ">") + kind, value)[0])
        if not math.isfinite(number):
            raise DicomRejected(code, f"{keyword} that is not finite", "a finite number", CORRECT_TAG)
        return number

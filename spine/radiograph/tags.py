"""Strict access to the tags of a data set: bytes to text and numbers, or a refusal.

Contract: values are taken from the raw bytes, so pydicom's own repairs never count; a number is finite or refused with
the caller's code; no message quotes a value.
"""

import math
import struct
from typing import Any, NoReturn

from spine.errors import DicomRejected

BLANKS = b"\0 \t\r\n"
"""What pads a text value."""


class TagReader:
    """Strict access to one data set by keyword; group 0002 excluded."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def raw(self, keyword: str) -> tuple[bytes, bool]:
        """(value bytes, little endian); empty when absent."""
        from pydicom.datadict import tag_for_keyword

        return self._bytes(int(tag_for_keyword(keyword) or 0))

    def _bytes(self, tag: int) -> tuple[bytes, bool]:
        element = self._dataset.get_item(tag) if tag in self._dataset else None
        if element is None or not isinstance(element.value, bytes):
            return b"", True
        return element.value, bool(getattr(element, "is_little_endian", True))

    def private_double(self, group: int, creator: str, offset: int) -> float | None:
        """A finite FD of a private block, or None. Read from the bytes: implicit VR would make it UN."""
        for block in range(0x10, 0x100):
            owner = self._bytes(group << 16 | block)[0]
            if owner.strip(BLANKS) == creator.encode():
                value, little = self._bytes(group << 16 | block << 8 | offset)
                number = struct.unpack("<d" if little else ">d", value)[0] if len(value) == 8 else math.nan
                return float(number) if math.isfinite(number) else None
        return None

    def has(self, keyword: str) -> bool:
        """Whether the tag is there."""
        return keyword in self._dataset

    def items(self, keyword: str) -> list[Any]:
        """Items of a sequence."""
        if keyword not in self._dataset:
            return []
        try:
            return list(self._dataset[keyword].value)
        except Exception as error:
            raise DicomRejected(
                "TAG_INVALID", found=f"{keyword} that is no sequence", expected="items", remedy="export again"
            ) from error

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Backslash-separated ASCII values."""
        value = self.raw(keyword)[0].strip(BLANKS)
        return tuple(part.strip() for part in value.decode("ascii", "replace").split("\\")) if value else ()

    def text(self, keyword: str) -> str:
        """First ASCII value in upper case, or empty."""
        return (self.texts(keyword) or ("",))[0].upper()

    def decimals(self, keyword: str, code: str) -> tuple[float, ...]:
        """Decimal strings.

        Raises:
            DicomRejected: ``code`` when a value is no finite number.
        """
        try:
            numbers = tuple(float(text) for text in self.texts(keyword))
        except ValueError:
            numbers = (math.nan,)
        if not all(map(math.isfinite, numbers)):
            refuse(code, f"{keyword} that is no finite number", "finite numbers", "have the tag corrected")
        return numbers

    def decimal(self, keyword: str, code: str) -> float | None:
        """First decimal string, or None."""
        return next(iter(self.decimals(keyword, code)), None)

    def binary(self, keyword: str, kind: str, code: str) -> float | None:
        """First number of a binary tag (``H`` US, ``f`` FL ...), or None."""
        value, little = self.raw(keyword)
        width = struct.calcsize(kind)
        if not value:
            return None
        if len(value) < width:
            refuse(code, f"{keyword} of {len(value)} bytes", f"{width} bytes", "export the image again")
        number = float(struct.unpack_from(("<" if little else ">") + kind, value)[0])
        if not math.isfinite(number):
            refuse(code, f"{keyword} that is not finite", "a finite number", "have the tag corrected")
        return number


def refuse(code: str, found: str, expected: str, remedy: str) -> NoReturn:
    """Raise ``DicomRejected``."""
    raise DicomRejected(code, found=found, expected=expected, remedy=remedy)

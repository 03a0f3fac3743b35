"""Reads the bytes of a file, and decodes text: UTF-8 and UTF-16 with or without a mark, and Windows' Western encoding.

Contract: an empty file and a file above a limit are refused without being read. The mark is no part of the
text. UTF-16 without a mark is recognised by its zero bytes, because Plumbline's formats are nearly all ASCII. Bytes in
no such encoding give None.
"""

import codecs
from pathlib import Path

from spine.reconstruction.reconstruction import rejected

MAX_FILE_BYTES = 32 * 2**20
"""Of a mesh."""
MAX_POINTS_BYTES = 8 * 2**20
"""Of a table or JSON; a whole reconstruction has less than 100 KB."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is the first half of this one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ZEROS = 0.3  # the share of zero bytes at even or odd places above which a file is UTF-16


def content_of(path: Path, most_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a file of at most ``most_bytes``.

    Raises:
        ReconstructionRejected: ``EMPTY_FILE``, ``FILE_TOO_LARGE``.
    """
    size = path.stat().st_size
    if size == 0:
        raise rejected("EMPTY_FILE", "an empty file", "a file with points or a mesh")
    if size > most_bytes:
        raise rejected("FILE_TOO_LARGE", f"{size} bytes", f"at most {most_bytes} bytes")
    return path.read_bytes()


def unicode_text(payload: bytes) -> str | None:
    """The text of UTF-8, UTF-16 or UTF-32 bytes; None for other bytes, and for lone surrogates."""
    mark, encoding = next(((m, e) for m, e in _MARKS if payload.startswith(m)), (b"", _without_mark(payload)))
    try:
        return payload[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        return None


def table_text(payload: bytes) -> str | None:
    """The text of a table: ``unicode_text``, or Windows-1252, in which a Western Excel saves tables."""
    text = unicode_text(payload)
    if text is not None or b"\0" in payload:
        return text
    return payload.decode("cp1252", "replace")


def _without_mark(payload: bytes) -> str:
    head = payload[:4096]
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = max(len(head) // 2, 1)
    if odd / half > _ZEROS and even < odd:
        return "utf-16-le"
    if even / half > _ZEROS and odd < even:
        return "utf-16-be"
    return "utf-8"

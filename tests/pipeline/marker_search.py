"""Finds a marker in files, also in archives, compressed streams, databases and pictures inside of files."""

import base64
import gzip
import sqlite3
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

DEPTH = 4


def forms_of(marker: str) -> tuple[bytes, ...]:
    """The marker in lower case as text of 8 and 16 bits, and the part of it that all texts in base64 share."""
    shifted = [base64.b64encode(b"\0" * i + marker.encode()).decode()[4 if i else 0 :] for i in range(3)]
    encoded = [text.rstrip("=")[:-2] for text in shifted]
    return marker.lower().encode(), marker.lower().encode("utf-16-le"), *(text.encode() for text in encoded)


def places_of(marker: str, files: dict[str, Path]) -> list[str]:
    """The names of the files that contain the marker, in their names or in their bytes."""
    forms = forms_of(marker)
    return sorted(
        name
        for name, path in files.items()
        if _is_in(name.encode("utf-8", "surrogateescape"), forms)
        or any(_is_in(part, forms) for part in parts_of(path.read_bytes()))
        or any(_is_in(part, forms) for part in _cells(path))
    )


def _is_in(payload: bytes, forms: tuple[bytes, ...]) -> bool:
    plain = payload.lower()
    return any(form in plain for form in forms[:2]) or any(form in payload for form in forms[2:])


def parts_of(payload: bytes, depth: int = DEPTH) -> Iterator[bytes]:
    """The bytes, and those of the members of archives and compressed streams."""
    yield payload
    if depth == 0:
        return
    for inner in _inside(payload):
        yield from parts_of(inner, depth - 1)


def _inside(payload: bytes) -> Iterator[bytes]:
    if payload.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(BytesIO(payload)) as archive:
            yield archive.comment
            for member in archive.infolist():
                yield member.filename.encode("utf-8", "surrogateescape") + member.comment + member.extra
                yield archive.read(member)
    elif payload.startswith(b"\x1f\x8b"):
        yield gzip.decompress(payload)
    elif payload[257:262] == b"ustar":
        with tarfile.open(fileobj=BytesIO(payload)) as tape:
            for entry in tape:
                yield entry.name.encode("utf-8", "surrogateescape")
                if entry.isfile():
                    yield tape.extractfile(entry).read()
    elif payload.startswith(b"\x89PNG\r\n\x1a\n"):
        yield from _texts_of_png(payload)
    elif payload[:2] in (b"x\x01", b"x\x9c", b"x\xda"):
        try:
            yield zlib.decompress(payload)
        except zlib.error:
            return


def _texts_of_png(payload: bytes) -> Iterator[bytes]:
    at = 8
    while at + 8 <= len(payload):
        length, kind = struct.unpack(">I4s", payload[at : at + 8])
        body = payload[at + 8 : at + 8 + length]
        if kind in (b"zTXt", b"iTXt", b"iCCP"):
            for start in (body.find(b"x\x9c"), body.find(b"x\xda")):
                if start >= 0:
                    yield zlib.decompressobj().decompress(body[start:])
        at += 12 + length


def _cells(path: Path) -> Iterator[bytes]:
    """The cells of all tables, because SQLite may split a long text between pages, and Dagster compresses some."""
    with path.open("rb") as stream:
        if stream.read(15) != b"SQLite format 3":
            return
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        database.text_factory = bytes
        tables = [name.decode() for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                for cell in row:
                    if isinstance(cell, bytes):
                        yield from parts_of(cell)

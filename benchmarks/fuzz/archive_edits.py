"""Zip archives of a study, with changed names, lists and contents."""

import io
import re
import stat
import struct
import warnings
import zipfile
from random import Random

from benchmarks.fuzz.byte_edits import MARKER, number_bytes, with_edits

_PREFIXES = (
    *("", "", "", "", "a/", "a/b/c/d/e/f/", "../", "../../../../tmp/", "/", "/etc/", "C:\\", "..\\..\\", "./"),
    ".hidden/",
    *("__MACOSX/", "extras/", "x" * 300 + "/", "\u202e/", "é/", " /", "~/", f"{MARKER}/", "a\0b/", "CON/", "-rf/"),
)
_FLAGS = (0x1, 0x8, 0x40, 0x800, 0x2000, 0xFFFF)
_METHODS = (1, 6, 9, 12, 14, 93, 99, 0xFFFF)


def archive_of(random: Random, files: dict[str, bytes]) -> bytes:
    """A zip archive of the files, nearly always with something that is unusual or wrong."""
    stream = io.BytesIO()
    prefixes = (
        [random.choice(_PREFIXES) for _ in files] if random.random() < 0.3 else [random.choice(_PREFIXES)] * len(files)
    )
    if random.random() < 0.15:
        prefixes = [f"{i % 2}/" for i in range(len(files))]
    compression = random.choice(
        (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    )
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", compression) as archive:
        warnings.simplefilter("ignore")  # names that are there twice
        for prefix, (name, payload) in zip(prefixes, files.items(), strict=True):
            info = zipfile.ZipInfo((prefix + name).encode(errors="replace").decode())
            info.compress_type = compression
            if random.random() < 0.05:
                info.external_attr = random.choice((stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFDIR)) << 16
            archive.writestr(info, payload)
        if random.random() < 0.1:
            bomb = zipfile.ZipInfo(random.choice(("bomb.dcm", "bomb.csv", "pad")))  # without the time of day
            archive.writestr(bomb, bytes(random.choice((10**6, 3 * 10**7))), compression)
        if random.random() < 0.1:
            archive.writestr(zipfile.ZipInfo("inner.zip"), stream.getvalue())
        archive.comment = random.choice((b"", b"", b"", b"PK\x05\x06", random.randbytes(30)))
    return _damaged(random, stream.getvalue())


def _damaged(random: Random, payload: bytes) -> bytes:
    dice = random.random()
    if dice < 0.45:
        return payload
    if dice < 0.8:
        return _changed_field(random, payload)
    if dice < 0.9:
        return with_edits(random, payload, 2)
    return random.choice((payload[: random.randint(0, len(payload))], b"MZ" + payload, payload + payload, payload[30:]))


def _changed_field(random: Random, payload: bytes) -> bytes:
    """A changed number in a local header, in the list of files, or in the end record."""
    data = bytearray(payload)
    mark, fields = random.choice(
        (
            (
                b"PK\x03\x04",
                ((6, "flag"), (8, "method"), (14, "number"), (18, "number"), (22, "number"), (26, "short")),
            ),
            (
                b"PK\x01\x02",
                ((8, "flag"), (10, "method"), (20, "number"), (24, "number"), (28, "short"), (42, "number")),
            ),
            (b"PK\x05\x06", ((8, "short"), (10, "short"), (12, "number"), (16, "number"), (20, "short"))),
        )
    )
    places = [match.start() for match in re.finditer(re.escape(mark), payload[:-20])] or [0]
    offset, kind = random.choice(fields)
    at = random.choice(places) + offset
    if kind == "flag":
        new = struct.pack("<H", random.choice(_FLAGS))
    elif kind == "method":
        new = struct.pack("<H", random.choice(_METHODS))
    else:
        new = number_bytes(random).ljust(4, b"\0")[: 4 if kind == "number" else 2]
    data[at : at + len(new)] = new
    return bytes(data)

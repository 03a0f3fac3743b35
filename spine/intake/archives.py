"""Zip archives with studies: their list of files, and bounded unpacking into a temporary folder.

Contract: nothing is written outside the temporary folder, whatever the names in the archive are. An archive is refused
before it is unpacked if its list of files exceeds a limit, and while it is unpacked if a file is larger than the list
states. The temporary folder is deleted at the end.
"""

import lzma
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from spine.errors import PairingRejected

MAX_MEMBERS = 20_000
MAX_BYTES = 2 * 2**30
MAX_RATIO = 100
FREE_BYTES = 64 * 2**20
"""An archive may inflate to this size whatever its ratio is. Uncompressed radiographs shrink by a factor of 2 to 20."""

_BLOCK = 2**20
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, NotImplementedError, RuntimeError),
    *(OSError, OverflowError, struct.error),
)
"""What ``zipfile`` raises on damaged archives. The decompressor of bzip2 raises an ``OSError`` without a number."""


def is_zip(path: Path) -> bool:
    """Whether a file starts like a zip archive and has its suffix, which office documents do not have."""
    if path.suffix:
        return path.suffix.lower() == ".zip"
    try:
        with path.open("rb") as stream:
            return stream.read(4) == b"PK\x03\x04"
    except OSError:
        return False  # reading the study says that the file cannot be read


def top_folders(archive: Path) -> tuple[str, ...]:
    """The folders at the top of an archive if they are several and no file lies beside them; otherwise nothing.

    Each of several folders is a study. An archive of one folder, or with files at its top, is one study.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [_path(info) for info in opened.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return ()  # unpacking says what is wrong
    shown = [name for name in names if name.parts and not name.parts[0].startswith((".", "__MACOSX"))]
    if any(len(name.parts) == 1 for name in shown):
        return ()
    folders = tuple(sorted({name.parts[0] for name in shown}))
    return folders if len(folders) > 1 else ()


@contextmanager
def unpacked(archives: Sequence[Path], part: str = "") -> Iterator[Path]:
    """A temporary folder with the files of the archives, or only those of their top folder ``part``.

    Raises:
        PairingRejected: ``ARCHIVE_INVALID``, ``ARCHIVE_ENCRYPTED``, ``ARCHIVE_TOO_LARGE``.
    """
    with tempfile.TemporaryDirectory(prefix="plumbline-archive-") as folder:
        for number, archive in enumerate(archives):
            try:
                _unpack(archive, part, Path(folder) / str(number))
            except _DAMAGED as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # of the file system, and not of a decompressor
                found = f"a damaged zip archive ({type(error).__name__})"
                raise _refused("ARCHIVE_INVALID", found, "a complete zip archive") from error
        yield Path(folder)


def _unpack(archive: Path, part: str, folder: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        every = [info for info in opened.infolist() if not info.is_dir()]
        members = [info for info in every if not part or _path(info).parts[:1] == (part,)]
        _check_list(members, archive.stat().st_size)
        left = MAX_BYTES
        for number, member in enumerate(members):
            target = folder / _safe_path(_path(member))
            if target.exists():
                target = target.with_name(f"{number:05d}-{target.name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            left = _write(opened, member, target, left)


def _check_list(members: Sequence[zipfile.ZipInfo], size: int) -> None:
    total = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS or total > MAX_BYTES or total > max(FREE_BYTES, MAX_RATIO * size):
        found = f"a zip archive with {len(members)} files of {total} bytes in all, packed into {size} bytes"
        expected = f"at most {MAX_MEMBERS} files, {MAX_BYTES} bytes, and a ratio of {MAX_RATIO}"
        raise _refused("ARCHIVE_TOO_LARGE", found, expected)
    if any(member.flag_bits & 1 for member in members):
        raise _refused("ARCHIVE_ENCRYPTED", "a zip archive with a password", "an archive without a password")


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Unpack one member, and return how many more bytes may be unpacked."""
    written = 0
    with opened.open(member) as source, target.open("xb") as stream:
        while block := source.read(_BLOCK):
            written += len(block)
            if written > min(member.file_size, left):
                raise _refused("ARCHIVE_TOO_LARGE", "a file larger than its archive states", "the stated size")
            stream.write(block)
    return left - written


def _path(info: zipfile.ZipInfo) -> PurePosixPath:
    """The path of a member. Some programs on Windows write backslashes between folders."""
    return PurePosixPath(info.filename.replace("\\", "/"))


def _safe_path(name: PurePosixPath) -> Path:
    """The last parts of a name in an archive, without parts that lead elsewhere."""
    parts = [part for part in name.parts if part not in ("/", "..", ".")]
    return Path(*(_safe(part) for part in parts[-4:] or ["_"]))


def _safe(part: str) -> str:
    kept = "".join(c if c.isalnum() or c in "._-^~$" else "_" for c in part)
    return kept[-80:] or "_"


def _refused(code: str, found: str, expected: str) -> PairingRejected:
    return PairingRejected(code, found, expected, "unpack the archive into the folder of the study, and check it")

"""The file ``COMPLETE``, which says that a study or a batch is written, and may list its files with their digests.

Contract: ``COMPLETE`` may be empty or have any text. With a line of ``sha256sum`` (a SHA-256 and a name), it is a list,
which then must be readable: otherwise a missing file would not be noticed.
"""

import codecs
import re
from collections.abc import Mapping
from pathlib import Path

from spine.errors import PairingRejected, StudyWaiting
from spine.storage import sha256_of_file

COMPLETE = "COMPLETE"
UNREADABLE: Mapping[str, str] = {".": ""}
"""What ``listed_files`` returns for a list that cannot be read."""

_LINE = re.compile(r"(\\?)([0-9a-fA-F]{64})(?: [ *]|[ \t]\*?)(.+)")
_ESCAPED = re.compile(r"\\([\\nr])")
_CHARACTERS = {"\\": "\\", "n": "\n", "r": "\r"}
_MAX_BYTES = 16 * 2**20


def listed_files(folder: Path) -> dict[str, str]:
    """Path relative to the folder -> SHA-256, from the folder's ``COMPLETE``.

    Empty if it is no list. ``UNREADABLE`` if it cannot be read, or is a list with a line that is none of ``sha256sum``
    or that names a file outside the folder.
    """
    path = folder / COMPLETE
    try:
        if not path.is_file() or path.is_symlink() or not 0 < path.stat().st_size <= _MAX_BYTES:
            return {}
        text = _text(path.read_bytes())
    except OSError:
        return dict(UNREADABLE)
    lines = [line.rstrip("\r") for line in text.split("\n")]
    matches = [_LINE.fullmatch(line) for line in lines if line.strip()]
    if not any(matches):
        return {}
    listed = {Path(_name(match)): match[2].lower() for match in matches if match}
    if not all(matches) or any(name.is_absolute() or ".." in name.parts or name.drive for name in listed):
        return dict(UNREADABLE)
    return {str(name): digest for name, digest in listed.items() if name.name != COMPLETE}


def _text(payload: bytes) -> str:
    """Text in UTF-8, or in UTF-16 as Windows writes it; bytes of other encodings are kept."""
    if payload.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return payload.decode("utf-16", "replace")
    return payload.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def _name(match: re.Match[str]) -> str:
    """The name in a line. ``sha256sum`` escapes backslashes; unescaped ones separate folders, as on Windows."""
    escaped, _, name = match.groups()
    return _ESCAPED.sub(lambda m: _CHARACTERS[m[1]], name) if escaped else name.replace("\\", "/")


def is_there(path: Path) -> bool:
    """Whether a listed file or folder exists. A name that the file system cannot have, such as a long one, does not."""
    try:
        return path.exists()
    except OSError:
        return False


def require_listed(root: Path, listed: Mapping[str, str]) -> None:
    """Compare the files below ``root`` with their list.

    Raises:
        StudyWaiting: ``FILES_MISSING``.
        PairingRejected: ``LIST_UNREADABLE``, ``FILES_DIFFER``.
    """
    if UNREADABLE.items() <= listed.items():
        found = "a COMPLETE that cannot be read, or a list in it that is not of sha256sum or names files elsewhere"
        remedy = "write it in this folder: find . -type f ! -name COMPLETE -exec sha256sum {} + > COMPLETE"
        raise PairingRejected("LIST_UNREADABLE", found, "a SHA-256 and a relative name in each line", remedy)
    paths = {root / name: digest for name, digest in listed.items()}
    missing = sum(not is_there(path) for path in paths)
    if missing:
        found = f"{missing} of {len(listed)} files that COMPLETE lists are missing"
        raise StudyWaiting("FILES_MISSING", found, "all listed files", "wait until the copy has finished")
    different = sum(not path.is_file() or sha256_of_file(path) != digest for path, digest in paths.items())
    if different:
        found = f"{different} of {len(listed)} files with another content than COMPLETE lists"
        raise PairingRejected("FILES_DIFFER", found, "the listed SHA-256", "copy these files again")

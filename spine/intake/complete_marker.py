"""The file ``COMPLETE``, which says that a study or a batch is written, and may list its files with their digests.

Contract: ``COMPLETE`` may be empty or have any text. If each of its lines is a line of ``sha256sum``, it is a list.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from spine.errors import PairingRejected, StudyWaiting
from spine.storage import sha256_of_file

COMPLETE = "COMPLETE"
_LINE = re.compile(r"\\?([0-9a-f]{64}) [ *](?:\./)?(.+)")
_MAX_BYTES = 16 * 2**20


def listed_files(folder: Path) -> dict[str, str]:
    """Path relative to the folder -> SHA-256, from the folder's ``COMPLETE``; empty if it is no list."""
    path = folder / COMPLETE
    if not path.is_file() or path.is_symlink() or not 0 < path.stat().st_size <= _MAX_BYTES:
        return {}
    lines = path.read_bytes().decode("utf-8", "surrogateescape").splitlines()
    matches = [_LINE.fullmatch(line) for line in lines if line.strip()]
    if not all(matches):
        return {}
    listed = {match[2]: match[1] for match in matches if match}
    names = {name: Path(name) for name in listed}
    inside = [name for name, path in names.items() if not path.is_absolute() and ".." not in path.parts]
    return {name: listed[name] for name in inside if names[name].name != COMPLETE}


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
        PairingRejected: ``FILES_DIFFER``.
    """
    paths = {root / name: digest for name, digest in listed.items()}
    missing = sum(not is_there(path) for path in paths)
    if missing:
        found = f"{missing} of {len(listed)} files that COMPLETE lists are missing"
        raise StudyWaiting("FILES_MISSING", found, "all listed files", "wait until the copy has finished")
    different = sum(sha256_of_file(path) != digest for path, digest in paths.items())
    if different:
        found = f"{different} of {len(listed)} files with another content than COMPLETE lists"
        raise PairingRejected("FILES_DIFFER", found, "the listed SHA-256", "copy these files again")

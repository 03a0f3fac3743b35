"""A digest of the files of a batch: their names, sizes and times, without their content.

Contract: the digest changes with every file that is added, replaced or removed, and not with the time of ``COMPLETE``.
A sensor computes it for every batch in the inbox at each tick, so each file costs one call of ``stat`` and no ``Path``.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from spine.intake.complete_marker import COMPLETE


def digest_of_files(folder: Path) -> str:
    """SHA-256 of the folder's name and the names, sizes and times of the regular files below it. Links do not count."""
    digest = hashlib.sha256(folder.name.encode("utf-8", "surrogateescape"))
    for state in _states_below(os.fspath(folder), ""):
        digest.update(state.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _states_below(folder: str, place: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
    except OSError:  # a folder that vanished or cannot be read must not stop the other batches
        yield f"{place}\0unreadable\n"
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _states_below(entry.path, f"{place}{entry.name}/")
        elif entry.is_file(follow_symlinks=False) and entry.name != COMPLETE:
            yield f"{place}{entry.name}\0{_size_and_time(entry)}\n"


def _size_and_time(entry: "os.DirEntry[str]") -> str:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return "unreadable"
    return f"{status.st_size}\0{int(status.st_mtime)}"

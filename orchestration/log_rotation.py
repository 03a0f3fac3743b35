"""Rotates log files by size.

Contract: a program may keep the file open, if it appends (``O_APPEND``): the content is copied to ``NAME.1`` and the
file is emptied in place, as ``copytruncate`` of logrotate does. A line written between copy and emptying is lost.
"""

import shutil
from pathlib import Path

LIMIT_BYTES = 10_000_000
KEPT = 4
"""Number of earlier files, ``NAME.1`` (the newest) to ``NAME.4``."""


def rotate(log: Path, limit_bytes: int = LIMIT_BYTES) -> bool:
    """Rotate the file if it is larger than the limit; return whether it was rotated."""
    if not log.exists() or log.stat().st_size <= limit_bytes:
        return False
    for number in range(KEPT - 1, 0, -1):
        earlier = _numbered(log, number)
        if earlier.exists():
            earlier.replace(_numbered(log, number + 1))
    shutil.copyfile(log, _numbered(log, 1))
    with log.open("r+b") as stream:
        stream.truncate()
    return True


def _numbered(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")

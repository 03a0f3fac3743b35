"""Something in a workspace that no model and no record needs, and that `plumbline clean` may remove."""

import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Leftover:
    """One thing to remove.

    Attributes:
        kind: what it is, in the plural: the row of the table in which it is counted.
        name: its name, e.g. the id of a run.
        size_bytes: the space that its removal frees.
        remove: removes it; a second call does nothing.
    """

    kind: str
    name: str
    size_bytes: int
    remove: Callable[[], None]


def bytes_below(folder: Path) -> int:
    """The size of a file, or of all files below a folder; 0 if it does not exist. A file with two names counts once."""
    sizes = {}
    for path in (folder, *folder.rglob("*")):
        with suppress(FileNotFoundError):  # a temporary file of a running service
            found = path.lstat()
            if stat.S_ISREG(found.st_mode):
                sizes[found.st_dev, found.st_ino] = found.st_size
    return sum(sizes.values())

"""Something in a workspace that no model and no record needs, and that `plumbline clean` may remove."""

from collections.abc import Callable
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
    files = [folder] if folder.is_file() else [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()]
    return sum({(s.st_dev, s.st_ino): s.st_size for s in (path.stat() for path in files)}.values())

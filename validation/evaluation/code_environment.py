"""What a figure depends on beside model and test set: interpreter, libraries, and the sources that evaluate.

Contract: two evaluations whose environments are equal were made by the same interpreter, the same libraries and the
same files; a commit alone does not say that, where the tree was changed or is no checkout.
"""

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import spine

LIBRARIES = ("numpy", "scipy", "onnxruntime")
ROOMS = ("spine", "inference", "validation")
"""Rooms whose code a figure passes through: an image is prepared, measured and judged in them."""


def evaluating_environment(preprocessing: int | None = None) -> dict[str, str]:
    """Name -> version, for a record; ``sources`` is a digest over the modules of ``ROOMS``.

    Args:
        preprocessing: version of the model's preparation of images, where the caller knows it.
    """
    told = {name: _version(name) for name in LIBRARIES}
    told |= {"python": platform.python_version(), "sources": sources_digest(Path(spine.__file__).parent.parent)[:16]}
    return told if preprocessing is None else {**told, "preprocessing": str(preprocessing)}


@cache
def sources_digest(root: Path) -> str:
    """SHA-256 over names and contents of every module of ``ROOMS`` below ``root``."""
    digest = hashlib.sha256()
    for path in sorted(p for room in ROOMS for p in (root / room).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"

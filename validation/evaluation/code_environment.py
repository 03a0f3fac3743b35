"""The environment of an evaluation: versions of the interpreter and the libraries, and a digest of the sources.

Contract: two evaluations with equal environments used the same interpreter, libraries and source files. A commit is not
enough, because the working tree may have uncommitted changes, or the code may run outside a checkout.
"""

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import spine

LIBRARIES = ("numpy", "scipy", "onnxruntime")
PACKAGES = ("spine", "inference", "validation")
"""Packages whose code can change a figure: they prepare, measure and evaluate images."""


def evaluating_environment(preprocessing: int | None = None) -> dict[str, str]:
    """Name -> version, for a record; ``sources`` is a digest over the modules of ``PACKAGES``.

    Args:
        preprocessing: version of the model's image preprocessing; None if the caller does not know it.
    """
    versions = {name: _version(name) for name in LIBRARIES} | {
        "python": platform.python_version(),
        "sources": sources_digest(Path(spine.__file__).parent.parent)[:16],
    }
    return versions if preprocessing is None else {**versions, "preprocessing": str(preprocessing)}


@cache
def sources_digest(root: Path) -> str:
    """SHA-256 over names and contents of every module of ``PACKAGES`` below ``root``."""
    digest = hashlib.sha256()
    for path in sorted(p for package in PACKAGES for p in (root / package).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"

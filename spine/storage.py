"""Atomic writing, locks and digests of files.

Contract: a file under its final name is complete. A killed process or a full disk leaves at most a ``.partial`` file,
which ``remove_partials`` deletes.
"""

import fcntl
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PARTIAL_SUFFIX = ".partial"


def write_bytes_atomically(path: Path, payload: bytes) -> None:
    """Write ``payload`` to a temporary file in the same folder, sync it to disk, and rename it to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL_SUFFIX)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(payload)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text_atomically(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 by ``write_bytes_atomically``."""
    write_bytes_atomically(path, text.encode())


def write_array_atomically(path: Path, array: NDArray[np.generic]) -> None:
    """Write an array atomically as a ``.npy`` file without pickle."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_bytes_atomically(path, buffer.getvalue())


def remove_partials(folder: Path) -> int:
    """Delete the temporary files that killed writers left in ``folder`` and its subfolders; return their number."""
    partials = list(folder.rglob(f".*{PARTIAL_SUFFIX}"))
    for partial in partials:
        partial.unlink(missing_ok=True)
    return len(partials)


def partials_of(path: Path) -> list[Path]:
    """The temporary files that killed writers of ``path`` left in its folder. The file name may be a glob pattern."""
    return list(path.parent.glob(f".{path.name}.*{PARTIAL_SUFFIX}"))


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Lock the file ``path`` exclusively until the block ends. The kernel releases the lock if the process dies.

    Yields whether the lock was obtained. With ``wait``, the function waits for other processes and always yields True.
    A missing file is created. The file is never deleted.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            held = True
        except BlockingIOError:
            held = False
        yield held


def sha256_of_bytes(payload: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(payload).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_image(image: NDArray[np.uint16]) -> str:
    """Hex SHA-256 of the shape and pixels of an (H, W) image. DICOM UIDs do not affect the digest."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image, dtype="<u2").tobytes())
    return digest.hexdigest()


def sha256_of_tree(folder: Path) -> str:
    """Hex SHA-256 of the relative names and contents of all files in ``folder`` and its subfolders."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + bytes.fromhex(sha256_of_file(path)))
    return digest.hexdigest()

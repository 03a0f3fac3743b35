"""Pseudonyms: keyed hashes in place of the identifiers of patients, images and files.

Contract: equal identifiers under the same key give equal pseudonyms, and without the key nobody can find the
identifier. The key stays in the workspace, readable by its owner only, and is never part of a dataset.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from spine.errors import PlumblineError

KEY_BYTES = 32


def load_pseudonym_key(path: Path) -> bytes:
    """Read the key, or make one with mode 600. A file without 32 bytes in hex raises ``PSEUDONYM_KEY_INVALID``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    with os.fdopen(handle, "w") as stream:
        stream.write(secrets.token_hex(KEY_BYTES))
    return _read(path)


def _read(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        found = "a key file without a valid key"
        remedy = "restore the key; a new key would give the patients in the store second pseudonyms"
        raise PlumblineError("PSEUDONYM_KEY_INVALID", found, f"{KEY_BYTES} bytes in hex", remedy)
    return key


def pseudonym(key: bytes, kind: str, identifier: str) -> str:
    """16 hex digits for an identifier of a kind (``patient``, ``instance``, ``candidate`` ...)."""
    message = f"{kind}\0{identifier}".encode("utf-8", "surrogatepass")
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:16]

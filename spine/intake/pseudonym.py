"""Pseudonyms: keyed hashes in place of the identifiers of patients, images and files.

Contract: with the same key, equal identifiers give equal pseudonyms. Without the key, nobody can find the identifier.
The key stays in the workspace, where only its owner can read it. It is never part of a dataset.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from spine.errors import PlumblineError

KEY_BYTES = 32


def load_pseudonym_key(path: Path) -> bytes:
    """Read the key. A missing file is created with mode 600. An invalid key file raises ``PSEUDONYM_KEY_INVALID``."""
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
        remedy = "restore the key; with a new key, every patient in the store would get a second pseudonym"
        raise PlumblineError("PSEUDONYM_KEY_INVALID", found, f"{KEY_BYTES} bytes in hex", remedy)
    return key


def pseudonym(key: bytes, kind: str, identifier: str) -> str:
    """The pseudonym (16 hex digits) of an identifier of a kind (``patient``, ``instance``, ``candidate`` ...)."""
    message = f"{kind}\0{identifier}".encode("utf-8", "surrogatepass")
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:16]

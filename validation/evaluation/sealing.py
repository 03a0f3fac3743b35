"""Sealed records: canonical JSON files with the digest of their content.

Contract: equal content gives equal bytes. NaN and infinity cannot be written. A sealed file with one edited character
is refused.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from spine.errors import EvidenceRejected
from spine.storage import sha256_of_bytes, write_bytes_atomically

_END_BYTES = 512
_STATED_DIGEST = re.compile(rb'"digest": "([0-9a-f]{64})",\s*"schema": "[^"]*"\s*\}\s*\Z')
"""The end of a sealed file, which ``write_sealed`` writes with sorted keys."""


def canonical_json(content: Any) -> bytes:
    """The content as JSON in UTF-8, with sorted keys, without spaces, and with finite numbers only.

    Raises:
        EvidenceRejected: ``NON_FINITE`` if a number is NaN or infinite.
    """
    try:
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
    except ValueError as error:
        raise EvidenceRejected(
            "NON_FINITE",
            found=str(error),
            expected="finite numbers, or an absent value with its reason",
            remedy="correct the step that computed this value; nothing was written",
        ) from error


def digest_of(schema: str, content: Any) -> str:
    """Hex SHA-256 over schema and canonical content."""
    return _digest(schema, canonical_json(content))


def write_sealed(schema: str, content: Any, path: Path) -> str:
    """Write ``content`` under ``schema`` with its digest, atomically; returns the digest."""
    canonical = canonical_json(content)
    digest = _digest(schema, canonical)
    envelope = {"content": json.loads(canonical), "digest": digest, "schema": schema}  # sorted keys
    write_bytes_atomically(path, to_json(envelope, indent=1))  # the module json would indent ten times slower
    return digest


@dataclass(frozen=True)
class SealedContent:
    """A verified sealed file: its content, the content as canonical JSON, and its digest."""

    content: Any
    canonical: bytes
    digest: str


def read_sealed(schema: str, path: Path) -> Any:
    """The content of a sealed file; raises as ``open_sealed`` does."""
    return open_sealed(schema, path).content


def open_sealed(schema: str | None, path: Path) -> SealedContent:
    """Read and verify a sealed file; a ``schema`` of None accepts any schema.

    Raises:
        EvidenceRejected: ``EVIDENCE_MISSING``, ``EVIDENCE_UNREADABLE``, ``EVIDENCE_SCHEMA``, ``EVIDENCE_ALTERED``.
    """
    if not path.is_file():
        remedy = "run the evaluation and the gate"
        raise _rejected("EVIDENCE_MISSING", f"no file {path.name}", "a sealed record", remedy)
    try:
        envelope = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        found, digest, content = str(envelope["schema"]), str(envelope["digest"]), envelope["content"]
    except (ValueError, KeyError, TypeError) as error:
        raise unreadable(f"{path.name}: {error}", "a sealed record") from error
    if schema not in (None, found):
        remedy = "read the file with the version of Plumbline that wrote it"
        raise _rejected("EVIDENCE_SCHEMA", f"schema {found} in {path.name}", f"schema {schema}", remedy)
    canonical = canonical_json(content)
    actual = _digest(found, canonical)
    if digest != actual:
        raise _rejected(
            "EVIDENCE_ALTERED",
            f"{path.name}, whose content has digest {actual[:12]}",
            f"digest {digest[:12]}, which the file states",
            "evaluate and judge again; the file was edited after it was written",
        )
    return SealedContent(content, canonical, actual)


def unverified_digest(path: Path) -> str | None:
    """The unverified digest at the end of a sealed file; None for any other file. Use the digest only to find files."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _END_BYTES))
            stated = _STATED_DIGEST.search(file.read())
    except OSError:
        return None
    return stated[1].decode() if stated else None


def _digest(schema: str, canonical: bytes) -> str:
    """SHA-256 over the canonical JSON of [schema, content], made from the canonical JSON of the content."""
    return sha256_of_bytes(b"[" + canonical_json(schema) + b"," + canonical + b"]")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"found {name}, expected a JSON number")


def unreadable(found: str, expected: str) -> EvidenceRejected:
    """The error of a sealed file whose form or content is wrong."""
    remedy = "use this version to repeat the command that wrote this file"
    return _rejected("EVIDENCE_UNREADABLE", found, expected, remedy)


def _rejected(code: str, found: str, expected: str, remedy: str) -> EvidenceRejected:
    return EvidenceRejected(code, found=found, expected=expected, remedy=remedy)

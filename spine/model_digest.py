"""The digest by which a model is known: of the bytes that compute and of the contract they compute under.

Contract: a model is one folder with ``model.onnx`` (and ``model.onnx.data`` where weights lie outside the graph) and
``contract.json``; equal digests mean equal bytes in all of them. Cards, reports and registry files beside them are not
part of a model's identity.
"""

import hashlib
from pathlib import Path

from spine.errors import EvidenceRejected
from spine.storage import sha256_of_file

GRAPH_FILE = "model.onnx"
WEIGHTS_FILE = "model.onnx.data"
CONTRACT_FILE = "contract.json"
REQUIRED_FILES = (GRAPH_FILE, CONTRACT_FILE)


def model_digest(folder: Path) -> str:
    """Hex SHA-256 over names and contents of the model's files in ``folder``.

    Raises:
        EvidenceRejected: ``MODEL_INCOMPLETE`` where the graph or the contract is missing or empty.
    """
    missing = [name for name in REQUIRED_FILES if not _has_bytes(folder / name)]
    if missing:
        raise EvidenceRejected(
            "MODEL_INCOMPLETE",
            found=f"no {' and no '.join(missing)} in the model's folder",
            expected=f"{GRAPH_FILE} and {CONTRACT_FILE}",
            remedy="export the model again, or point at the folder that holds both files",
        )
    digest = hashlib.sha256()
    for name in (GRAPH_FILE, CONTRACT_FILE, WEIGHTS_FILE):
        if (folder / name).is_file():
            digest.update(name.encode() + b"\0" + bytes.fromhex(sha256_of_file(folder / name)))
    return digest.hexdigest()


def model_size(folder: Path) -> int:
    """Bytes of the files that ``model_digest`` covers."""
    files = (folder / name for name in (GRAPH_FILE, CONTRACT_FILE, WEIGHTS_FILE))
    return sum(path.stat().st_size for path in files if path.is_file())


def find_model_folder(root: Path) -> Path:
    """The one folder at or below ``root`` that holds a graph and its contract.

    Raises:
        EvidenceRejected: ``MODEL_NOT_FOUND`` where there is none, ``MODEL_AMBIGUOUS`` where there are several.
    """
    folders = sorted({p.parent for p in root.rglob(CONTRACT_FILE) if (p.parent / GRAPH_FILE).is_file()})
    if len(folders) == 1:
        return folders[0]
    raise EvidenceRejected(
        "MODEL_AMBIGUOUS" if folders else "MODEL_NOT_FOUND",
        found=f"{len(folders)} folders with {GRAPH_FILE} and {CONTRACT_FILE}",
        expected="exactly one",
        remedy="register one exported model per version",
    )


def _has_bytes(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0

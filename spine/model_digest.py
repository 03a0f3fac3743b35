"""The digest that identifies a model: SHA-256 of its graph, weights and contract.

Contract: a model is one folder with ``model.onnx``, ``contract.json`` and, if the weights are stored outside the graph,
``model.onnx.data``. Equal digests mean equal bytes in all of these files. The digest does not cover the model cards,
reports and registry files in the folder.
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
    """Hex SHA-256 of the names and contents of the model's files in ``folder``.

    Raises:
        EvidenceRejected: ``MODEL_INCOMPLETE`` if the graph or the contract is missing or empty.
    """
    missing = [name for name in REQUIRED_FILES if not (folder / name).is_file() or not (folder / name).stat().st_size]
    if missing:
        found = f"no {' and no '.join(missing)} in the model folder"
        remedy = "export the model again, or name the folder that contains both files"
        raise EvidenceRejected("MODEL_INCOMPLETE", found, f"{GRAPH_FILE} and {CONTRACT_FILE}", remedy)
    digest = hashlib.sha256()
    for path in _files(folder):
        digest.update(path.name.encode() + b"\0" + bytes.fromhex(sha256_of_file(path)))
    return digest.hexdigest()


def model_size(folder: Path) -> int:
    """Size in bytes of the files that ``model_digest`` covers."""
    return sum(path.stat().st_size for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    return [folder / name for name in (GRAPH_FILE, CONTRACT_FILE, WEIGHTS_FILE) if (folder / name).is_file()]


def find_model_folder(root: Path) -> Path:
    """The one folder at or below ``root`` that contains a graph and its contract.

    Raises:
        EvidenceRejected: ``MODEL_NOT_FOUND`` if there is no such folder, ``MODEL_AMBIGUOUS`` if there are several.
    """
    folders = sorted({p.parent for p in root.rglob(CONTRACT_FILE) if (p.parent / GRAPH_FILE).is_file()})
    if len(folders) == 1:
        return folders[0]
    found = f"{len(folders)} folders with {GRAPH_FILE} and {CONTRACT_FILE}"
    expected = "exactly one such folder"
    remedy = "register one exported model per version"
    raise EvidenceRejected("MODEL_AMBIGUOUS" if folders else "MODEL_NOT_FOUND", found, expected, remedy)

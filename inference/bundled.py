"""The bundled model: weights that ship with the software, learnt from virtual patients only.

Contract: the bytes are those that ``release.json`` names, or are refused.
"""

import json
from pathlib import Path

from inference.model import Model, load_model

RELEASED = Path(__file__).parent / "weights"
"""Folder of the bundled model: graph, contract, weights to start a training from, card and record."""

BUNDLED = "bundled"
"""What commands and parameters call it."""

RELEASE_FILE = "release.json"


def folder_named(name: str) -> Path:
    """The folder of the model called ``bundled``, or the path that was named."""
    return RELEASED if name == BUNDLED else Path(name)


def open_released() -> Model:
    """The bundled model, ready to measure.

    Raises:
        EvidenceRejected: it is missing, or not what was released.
    """
    record = RELEASED / RELEASE_FILE
    digest = json.loads(record.read_text())["model_digest"] if record.is_file() else None
    return load_model(RELEASED, expected_digest=digest)

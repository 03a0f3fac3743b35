"""The bundled model: weights that ship with the software, trained on virtual patients only.

Contract: the model is refused if its digest differs from the digest in ``release.json``.
"""

from pathlib import Path

from inference.model import Model
from inference.model_folder import open_model_folder

BUNDLED = Path(__file__).parent / "weights"
"""Folder of the bundled model: graph, contract, weights for a warm start, model card and record."""

BUNDLED_NAME = "bundled"
"""The name of the bundled model in commands and parameters."""

RELEASE_FILE = "release.json"


def find_model_folder(name: str) -> Path:
    """The folder of the bundled model if ``name`` is ``bundled``, otherwise the folder with the path ``name``."""
    return BUNDLED if name == BUNDLED_NAME else Path(name)


def open_bundled() -> Model:
    """Load the bundled model, or raise ``EvidenceRejected`` if it is missing or altered."""
    return open_model_folder(BUNDLED)

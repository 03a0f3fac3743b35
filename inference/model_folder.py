"""Opens a model folder that a user names, if the model matches the records in the folder.

Contract: the digest in every record must equal the digest of the model. A folder without a record is opened, and
``recorded_digests`` is then empty. A record reveals files that were edited or copied incompletely. A record does not
protect against somebody who also edits the record. The digest of a promoted model is stored elsewhere.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from inference.model import Model, altered_model, load_model
from spine.errors import EvidenceRejected
from spine.model_digest import model_digest

RECORDS = ("candidate.json", "release.json")
"""Records with the ``model_digest`` of the model in the same folder: of a finished fit, and of the bundled model."""


def recorded_digests(folder: Path) -> Mapping[str, str]:
    """Record -> the digest that it contains for the model in ``folder``; empty without a record.

    Raises:
        EvidenceRejected: ``MODEL_RECORD_UNREADABLE`` if a record is unreadable or has no digest.
    """
    recorded = {name: _digest_in(folder / name) for name in RECORDS if (folder / name).is_file()}
    return {name: digest for name, digest in recorded.items() if digest is not None}


def open_model_folder(folder: Path) -> Model:
    """Load the model in ``folder`` if it matches its records.

    Raises:
        EvidenceRejected: ``MODEL_ALTERED``, ``MODEL_INCOMPLETE``, ``MODEL_RECORD_UNREADABLE``.
        ContractViolation: see ``load_model``.
    """
    recorded = recorded_digests(folder)
    found = model_digest(folder)
    for name, digest in recorded.items():
        if digest != found:
            raise altered_model(found, digest, f"as in {name} in the same folder")
    return load_model(folder, expected_digest=found)


def _digest_in(record: Path) -> str | None:
    """The digest in a record, or None if the record was written before the export (``model_digest`` null)."""
    try:
        digest = json.loads(record.read_text())["model_digest"]
    except (ValueError, KeyError, TypeError) as error:
        found = f"{record.name} without a readable model_digest ({type(error).__name__})"
        expected = "the record that was written with the model"
        remedy = "fetch the folder again; do not use this copy"
        raise EvidenceRejected("MODEL_RECORD_UNREADABLE", found, expected, remedy) from error
    return None if digest is None else str(digest)

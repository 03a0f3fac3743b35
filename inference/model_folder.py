"""A model folder that somebody names by hand: its bytes are those that its own record states, or are refused.

Contract: every digest that is stated must be that of the bytes; a folder that states none is opened, and whoever
opened it can tell. A record finds what was edited, copied by half or cut short; against somebody who edits the record
too only a promotion helps, whose digest lies elsewhere.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from inference.contract import model_digest
from inference.model import Model, altered, load_model
from spine.errors import EvidenceRejected

RECORDS = ("candidate.json", "release.json")
"""What may stand beside a model and name it under ``model_digest``: of a finished fit, of the model in the box."""


def stated_digests(folder: Path) -> Mapping[str, str]:
    """Record -> the digest that it states for the model in ``folder``; empty where nothing vouches for it.

    Raises:
        EvidenceRejected: ``MODEL_RECORD_UNREADABLE``, a record is there but says nothing that can be read.
    """
    stated = {name: _digest_in(folder / name) for name in RECORDS if (folder / name).is_file()}
    return {name: digest for name, digest in stated.items() if digest is not None}


def open_named(folder: Path) -> Model:
    """The model in ``folder``, if it is what its records state.

    Raises:
        EvidenceRejected: ``MODEL_ALTERED``, ``MODEL_INCOMPLETE``, ``MODEL_RECORD_UNREADABLE``.
        ContractViolation: see ``load_model``.
    """
    stated = stated_digests(folder)
    found = model_digest(folder)
    for name, digest in stated.items():
        if digest != found:
            raise altered(found, digest, f"as {name} beside it states")
    return load_model(folder, expected_digest=found)


def _digest_in(record: Path) -> str | None:
    """None where the record was written before there was a model (``model_digest`` null)."""
    try:
        digest = json.loads(record.read_text())["model_digest"]
    except (ValueError, KeyError, TypeError) as error:
        raise EvidenceRejected(
            "MODEL_RECORD_UNREADABLE",
            found=f"{record.name} of which no model_digest can be read ({type(error).__name__})",
            expected="the record as it was written beside the model",
            remedy="fetch the whole folder again; do not use this one",
        ) from error
    return None if digest is None else str(digest)

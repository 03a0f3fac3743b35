"""The list of corrections that a person took back, in the study store: ``withdrawn.json``.

Contract: the list names records by their digests (``correction_record.digest_of_record``), so it has no identifier. It
is in the store because a dataset is built from the store alone. A store without the file has no withdrawn correction.
"""

import json
from collections.abc import Set
from pathlib import Path

from spine.storage import write_text_atomically

_FILE = "withdrawn.json"


def read_withdrawn(store: Path) -> frozenset[str]:
    """The digests of the withdrawn records."""
    path = store / _FILE
    return frozenset(json.loads(path.read_text())["records"]) if path.is_file() else frozenset()


def update_withdrawn(store: Path, known: Set[str], withdrawn: Set[str]) -> None:
    """Store which of the ``known`` records are withdrawn; records of cases that are gone stay as they are."""
    before = read_withdrawn(store)
    after = (before - known) | withdrawn
    if after != before:
        record = {"schema": "plumbline.withdrawn/1", "records": sorted(after)}
        write_text_atomically(store / _FILE, json.dumps(record, indent=1))

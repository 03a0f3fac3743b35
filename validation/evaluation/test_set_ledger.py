"""The test-set ledger: a line for every read of a frozen test set.

Contract: each line is a JSON object. It is appended, flushed to disk and never rewritten. The ledger exists because
selection on one test set is optimistic: the best of 52 equally good models appears half a degree better than it is. A
reviewer must see how often a test set was read.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from spine.errors import EvidenceRejected


@dataclass(frozen=True)
class TestSetRead:
    """One read: test set, model, role of the model, and time (ISO 8601)."""

    __test__ = False  # keeps pytest from collecting it

    test_digest: str
    model_digest: str
    role: str
    at: str


def record_read(path: Path, test_digest: str, model_digest: str, role: str, at: datetime) -> int:
    """Append an entry for one read; return the number of reads of this test set, including the new entry."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = TestSetRead(test_digest, model_digest, role, at.isoformat())
    line = (json.dumps(asdict(entry), sort_keys=True, allow_nan=False) + "\n").encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line)  # one write in append mode: lines of concurrent writers do not mix
        os.fsync(handle)
    finally:
        os.close(handle)
    return count_reads(path, test_digest)


def read_ledger(path: Path) -> Sequence[TestSetRead]:
    """All reads in order. A missing file is an empty ledger. An incomplete last line (killed process) is left out.

    Raises:
        EvidenceRejected: ``TEST_LEDGER_UNREADABLE``: a line before the last line is not an entry.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(TestSetRead(**json.loads(line)))
        except (ValueError, TypeError) as error:
            if number == len(lines):
                break
            raise EvidenceRejected(
                "TEST_LEDGER_UNREADABLE",
                found=f"line {number} of {path.name}: {error}",
                expected="one JSON entry in each line",
                remedy="restore the ledger from a backup; do not edit it",
            ) from error
    return entries


def count_reads(path: Path, test_digest: str) -> int:
    """Number of reads of the test set with this digest."""
    return sum(entry.test_digest == test_digest for entry in read_ledger(path))

"""The test-set ledger: every read of a frozen test set, counted for ever.

Contract: one JSON object per line, appended and flushed to disk, never rewritten. Why: the best of 52 equal models
looks half a degree better than it is on the one test set they were all chosen on; a reviewer must see how often a set
was looked at.
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
    """One read: which set, by which model, in which role, when (ISO 8601)."""

    __test__ = False  # not a test, whatever pytest makes of the name

    test_digest: str
    model_digest: str
    role: str
    at: str


def record_read(path: Path, test_digest: str, model_digest: str, role: str, at: datetime) -> int:
    """Append one read; returns how often this test set has been read, this time included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = TestSetRead(test_digest, model_digest, role, at.isoformat())
    line = (json.dumps(asdict(entry), sort_keys=True, allow_nan=False) + "\n").encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line)  # one write in append mode: concurrent readers do not interleave
        os.fsync(handle)
    finally:
        os.close(handle)
    return count_reads(path, test_digest)


def read_ledger(path: Path) -> Sequence[TestSetRead]:
    """All reads in order; an absent file is an empty ledger, and a line torn by a kill at the end is left out.

    Raises:
        EvidenceRejected: ``TEST_LEDGER_UNREADABLE``: a line before the last is not an entry.
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
                found=f"line {number}: {error}",
                expected="one entry per line",
                remedy="restore the ledger from a backup; it is never edited",
            ) from error
    return entries


def count_reads(path: Path, test_digest: str) -> int:
    """How often the test set with this digest has been read."""
    return sum(entry.test_digest == test_digest for entry in read_ledger(path))

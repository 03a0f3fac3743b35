"""What became of a source's candidates, counted so that nothing is lost.

Contract: received = used + already present + quarantined; a report that does not add up cannot be made.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from spine.errors import ContractViolation
from spine.storage import write_text_atomically


@dataclass(frozen=True)
class Quarantined:
    """One refused candidate.

    Attributes:
        key: keyed hash of its name: the folder in quarantine.
        position: its place in the source's order, from 1.
        code, message: why.
    """

    key: str
    position: int
    code: str
    message: str


@dataclass(frozen=True)
class IntakeReport:
    """What became of a source's candidates.

    Attributes:
        source: kind of the source.
        received: candidates offered.
        used: new studies in the store.
        already_present: candidates whose study was in the store before, or came twice.
        quarantined: the rest, each with its reason.
        study_ids: ids of used and present studies, in the source's order.

    Raises:
        ContractViolation: ``COUNTS_DISAGREE``.
    """

    source: str
    received: int
    used: int
    already_present: int
    quarantined: tuple[Quarantined, ...]
    study_ids: tuple[str, ...]

    def __post_init__(self) -> None:
        accounted = self.used + self.already_present + len(self.quarantined)
        if self.received != accounted or len(self.study_ids) != self.used + self.already_present:
            raise ContractViolation(
                "COUNTS_DISAGREE",
                found=f"{self.received} received, {accounted} accounted for",
                expected="received = used + already present + quarantined",
                remedy="report this as a defect of ingest",
            )


def write_report(report: IntakeReport, path: Path) -> None:
    """Write a report as JSON, atomically."""
    write_text_atomically(path, json.dumps(asdict(report), indent=1))

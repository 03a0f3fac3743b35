"""The report of one intake run: the outcome of each candidate, and of each file.

Contract: received = used + already present + waiting + quarantined. A report whose counts do not add up is refused.
"""

from dataclasses import dataclass, field

from spine.errors import ContractViolation
from spine.intake.records import FileCount


@dataclass(frozen=True)
class Quarantined:
    """One refused candidate: the name of its quarantine folder, its position in the source (from 1), and the reason."""

    key: str
    position: int
    code: str
    message: str


@dataclass(frozen=True)
class Waiting:
    """One candidate that is not complete yet: its position in the source (from 1), and the reason."""

    position: int
    code: str
    message: str


@dataclass(frozen=True)
class IntakeReport:
    """The outcome of one intake run. A report whose counts do not add up raises ``COUNTS_DISAGREE``.

    Attributes:
        used: number of candidates that became a new study in the store.
        already_present: number of candidates whose study was already in the store or came from an earlier candidate.
        study_ids: ids of the studies of all used and present candidates, in the source's order.
        waiting: candidates that are not complete yet; the next run reads them again.
        revised: number of used candidates that are revisions of studies in the store.
        files: the files of the source, by what became of them.
    """

    source: str
    received: int
    used: int
    already_present: int
    quarantined: tuple[Quarantined, ...]
    study_ids: tuple[str, ...]
    waiting: tuple[Waiting, ...] = ()
    revised: int = 0
    files: FileCount = field(default_factory=FileCount)

    def __post_init__(self) -> None:
        accounted = self.used + self.already_present + len(self.waiting) + len(self.quarantined)
        if self.received != accounted or len(self.study_ids) != self.used + self.already_present:
            found = f"{self.received} studies received, {accounted} studies accounted for"
            expected = "received = used + already present + waiting + quarantined"
            raise ContractViolation("COUNTS_DISAGREE", found, expected, "report this as a defect of ingest")

"""The report of one intake run: the outcome of each candidate.

Contract: received = used + already present + quarantined. A report whose counts do not add up is refused.
"""

from dataclasses import dataclass

from spine.errors import ContractViolation


@dataclass(frozen=True)
class Quarantined:
    """One refused candidate: the name of its quarantine folder, its position in the source (from 1), and the reason."""

    key: str
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
            found = f"{self.received} studies received, {accounted} studies accounted for"
            expected = "received = used + already present + quarantined"
            raise ContractViolation("COUNTS_DISAGREE", found, expected, "report this as a defect of ingest")

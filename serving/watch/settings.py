"""The settings of the loop, as plain values that the command passes in.

Contract: times are seconds, sizes are bytes. docs/pacs-loop.md explains each setting.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from serving.service.settings import MEBIBYTE, PacsAddress


@dataclass(frozen=True)
class StudyChoice:
    """Which studies of the PACS are measured.

    Attributes:
        since: the first StudyDate; None for every study of the PACS.
        modalities: a study is looked at if the PACS names one of them in ModalitiesInStudy, or names none.
        filters: keyword of an attribute -> the value that the PACS must match in its search.
    """

    since: date | None = None
    modalities: frozenset[str] = frozenset({"CR", "DX", "RG", "RF", "OT"})
    filters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pace:
    """How often the loop does what.

    Attributes:
        poll_s: time between two searches for recent studies.
        recent_days: a study is recent if its StudyDate is at most this many days ago.
        sweep_s: time between two full sweeps.
        settle_s: time for which a study must not change before it is looked at.
        pair_wait_s: time for which one view waits for the other one.
        attempts: the number of attempts after which a study is given up.
        retry_s: time before the second attempt; it doubles with each attempt.
        longest_pause_s: the longest pause while the PACS does not answer.
        verify_days: pixels are compared in full sweeps for so many days after a study was stored or refused; 0: never.
        page: the studies that are asked for at a time.
    """

    poll_s: float = 10.0
    recent_days: int = 2
    sweep_s: float = 3600.0
    settle_s: float = 5.0
    pair_wait_s: float = 900.0
    attempts: int = 3
    retry_s: float = 60.0
    longest_pause_s: float = 60.0
    verify_days: float = 7.0
    page: int = 100


@dataclass(frozen=True)
class WatchSettings:
    """The settings of one loop.

    Attributes:
        most_bytes: the largest pixels of one study.
        free_bytes: below so much free space on the disk of the state nothing new is accepted.
    """

    pacs: PacsAddress
    studies: StudyChoice = StudyChoice()
    pace: Pace = Pace()
    most_bytes: int = 256 * MEBIBYTE
    free_bytes: int = 512 * MEBIBYTE

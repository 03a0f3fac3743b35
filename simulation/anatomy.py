"""The vertebrae that a patient has, and the numbers of their end plates.

Contract: levels run from C3 to the last mobile vertebra. Every column begins with C3..C7, T1..T12, so ``T1_INDEX`` is
the index of T1 for every patient. End plates are numbered from cranial to caudal: plate 2 i is the upper plate of
level i, plate 2 i + 1 is its lower plate, and the S1 plate is last.

About one patient in ten has a transitional column (docs/sources.md, population and anatomy). The shares are a choice.

    six_lumbar          there is an L6 between L5 and S1
    four_lumbar         L5 is fused with the sacrum; the upper plate of the sacrum is called S1
    thirteen_thoracic   there is a T13 with short ribs between T12 and L1
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType

from simulation.vocabulary import Anatomy
from spine.landmarks import VERTEBRAE

CERVICAL = ("C3", "C4", "C5", "C6", "C7")
STANDARD_LEVELS: tuple[str, ...] = (*CERVICAL, *VERTEBRAE)
"""The levels of a standard column."""
T1_INDEX = len(CERVICAL)
"""The index of T1 in every column."""

_MOBILE: Mapping[Anatomy, tuple[str, ...]] = MappingProxyType(
    {
        "standard": VERTEBRAE,
        "six_lumbar": (*VERTEBRAE, "L6"),
        "four_lumbar": VERTEBRAE[:-1],
        "thirteen_thoracic": (*VERTEBRAE[:12], "T13", *VERTEBRAE[12:]),
    }
)


@dataclass(frozen=True)
class VertebralColumn:
    """The V levels of one anatomy. It has P = 2 V + 1 end plates and P - 1 segments (body, disc, body, ... disc)."""

    levels: tuple[str, ...]

    @cached_property
    def mobile(self) -> tuple[str, ...]:
        """The levels that have landmarks: T1 to the last lumbar vertebra."""
        return self.levels[T1_INDEX:]

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Level -> index of the level."""
        return {level: i for i, level in enumerate(self.levels)}

    @property
    def s1(self) -> int:
        """The index of the S1 plate."""
        return 2 * len(self.levels)

    def plate(self, level: str, side: int) -> int:
        """The index of an end plate. Side 0 is the upper plate, and side 1 is the lower plate. ``S1`` has one plate."""
        return self.s1 if level == "S1" else 2 * self.index[level] + side

    @cached_property
    def lordotic_end(self) -> str:
        """The level whose lower plate ends the angle L1-L5. This level is L5, or L4 if L5 is part of the sacrum."""
        return "L5" if "L5" in self.index else "L4"


@cache
def vertebral_column(anatomy: Anatomy) -> VertebralColumn:
    """The vertebral column of one anatomy, which must be known; ``PatientParameters`` refuses unknown anatomies."""
    return VertebralColumn((*CERVICAL, *_MOBILE[anatomy]))

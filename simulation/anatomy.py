"""Which vertebrae a patient has: the usual 24, or one of the transitional columns, and where its plates lie in arrays.

Contract: levels run from C3 to the last mobile vertebra; every column begins C3..C7, T1..T12, so ``FIRST`` is the
index of T1 for every patient. Plates are numbered cranial to caudal: 2 i the upper and 2 i + 1 the lower of level i,
the S1 plate last.

The transitional columns (docs/sources.md, population and anatomy: one in about ten patients, shares a choice):
``six_lumbar`` has L6 between L5 and S1; in ``four_lumbar`` L5 is grown into the sacrum, whose upper plate is then
called S1; ``thirteen_thoracic`` has a T13 with short ribs between T12 and L1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType

from simulation.vocabulary import Anatomy
from spine.landmarks import VERTEBRAE

CERVICAL = ("C3", "C4", "C5", "C6", "C7")
DRAWN_LEVELS: tuple[str, ...] = (*CERVICAL, *VERTEBRAE)
"""The drawn levels of a standard column."""
FIRST = len(CERVICAL)
"""Index of T1 in every column."""

_MOBILE: Mapping[Anatomy, tuple[str, ...]] = MappingProxyType(
    {
        "standard": VERTEBRAE,
        "six_lumbar": (*VERTEBRAE, "L6"),
        "four_lumbar": VERTEBRAE[:-1],
        "thirteen_thoracic": (*VERTEBRAE[:12], "T13", *VERTEBRAE[12:]),
    }
)


@dataclass(frozen=True)
class Column:
    """The V drawn levels of one anatomy; P = 2 V + 1 plates, P - 1 segments (body, disc, body, ... disc)."""

    levels: tuple[str, ...]

    @cached_property
    def mobile(self) -> tuple[str, ...]:
        """Levels with landmarks: T1 to the last lumbar vertebra."""
        return self.levels[FIRST:]

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Level -> its place among the drawn ones."""
        return {level: i for i, level in enumerate(self.levels)}

    @property
    def s1(self) -> int:
        """Index of the S1 plate."""
        return 2 * len(self.levels)

    def plate(self, level: str, side: int) -> int:
        """Index of a plate: side 0 upper, 1 lower; ``S1`` has one."""
        return self.s1 if level == "S1" else 2 * self.index[level] + side

    @cached_property
    def lordotic_end(self) -> str:
        """The level whose lower plate ends L1-L5: L5, or L4 where L5 is part of the sacrum."""
        return "L5" if "L5" in self.index else "L4"


@cache
def column_of(anatomy: Anatomy) -> Column:
    """The column of one kind of anatomy.

    Raises:
        KeyError: an anatomy that does not exist; ``parameters.check`` refuses it before.
    """
    return Column((*CERVICAL, *_MOBILE[anatomy]))

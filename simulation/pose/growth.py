"""What a growing spine still lacks: bone under its end plates, and an adult's proportions.

Contract: from ``GROWN_YEARS`` on nothing changes. The cartilage of the growth plates does not show on a radiograph: a
child's bony bodies are lower and narrower and the gaps between them wider, while the column keeps its length; the loin
grows last. All amounts are choices that meet what frontal radiographs of scoliosis show (public labels,
docs/virtual-cohort.md): gaps of 0.36 of a body in the chest and 0.45 in the loin, where adults' discs measure 0.2 and
0.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulation.anatomy import DRAWN_LEVELS
from spine.types import Floats

GROWN_YEARS = 20.0
_AGES, _LEFT = (10.0, 14.0, 17.0, GROWN_YEARS), (1.0, 0.9, 0.5, 0.0)
_CARTILAGE_MM, _CARTILAGE_SD = 1.45, 0.3
"""Beside each plate of a child; its logarithm's spread between patients."""

_AT = ("C3", "T2", "T5", "T9", "T11", "L1", "L3", "L5", "L6")
_PITCH = (1.0, 1.0, 1.08, 1.0, 0.98, 0.93, 0.93, 0.98, 0.98)
_WIDTH = (1.0, 1.0, 1.0, 0.98, 0.95, 0.90, 0.90, 0.93, 0.93)
"""A child's height from plate to plate below, and width, relative to those of an adult of the same size."""

_ORDER = (*DRAWN_LEVELS, "L6")


def share_left(age_years: float) -> float:
    """How much of the growth is left: 1 for a child of ten, 0 from ``GROWN_YEARS`` on."""
    return float(np.interp(age_years, _AGES, _LEFT))


@dataclass(frozen=True)
class Growth:
    """How V vertebrae differ from an adult's of the same size.

    Attributes:
        pitch: (V,) factor of heights and discs.
        width: (V,) factor of widths.
        cartilage_mm: beside each plate, bone in an adult and a gap on this patient's radiograph.
    """

    pitch: Floats
    width: Floats
    cartilage_mm: float


def growth_of(levels: Sequence[str], age_years: float, size: float, chance: float) -> Growth:
    """What is left of growth.

    Args:
        levels: the V names, cranial to caudal.
        age_years, size: of the patient, size relative to an adult man's.
        chance: a standard normal number: how much cartilage this patient has.
    """
    left = share_left(age_years)
    rank = [_ORDER.index("T12" if level == "T13" else level) for level in levels]
    at = [_ORDER.index(level) for level in _AT]
    pitch: Floats = 1.0 + left * (np.interp(rank, at, _PITCH) - 1.0)
    width: Floats = 1.0 + left * (np.interp(rank, at, _WIDTH) - 1.0)
    spread = float(np.exp(_CARTILAGE_SD * np.clip(chance, -2.0, 2.0)))
    return Growth(pitch, width, _CARTILAGE_MM * size * left * spread)

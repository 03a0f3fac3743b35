"""How a growing spine differs from an adult one: cartilage beside the end plates, and other proportions.

Contract: from ``GROWN_YEARS`` on there is no difference. The cartilage of the growth plates does not show on a
radiograph, so a child's bony bodies are lower and narrower and the gaps between them wider; the column keeps its
length. The lumbar spine grows last.

All amounts are choices that match frontal radiographs of scoliosis (public labels, docs/virtual-cohort.md): gaps of
0.36 of a body in the thoracic and 0.45 in the lumbar spine, where the discs of adults measure 0.2 and 0.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulation.anatomy import STANDARD_LEVELS
from spine.types import Floats

GROWN_YEARS = 20.0
_AGES, _REMAINING = (10.0, 14.0, 17.0, GROWN_YEARS), (1.0, 0.9, 0.5, 0.0)
_CARTILAGE_MM, _CARTILAGE_SD = 1.45, 0.3
"""Thickness beside each plate of a child, and the SD of its logarithm between patients."""

_AT = ("C3", "T2", "T5", "T9", "T11", "L1", "L3", "L5", "L6")
_PITCH = (1.0, 1.0, 1.08, 1.0, 0.98, 0.93, 0.93, 0.98, 0.98)
_WIDTH = (1.0, 1.0, 1.0, 0.98, 0.95, 0.90, 0.90, 0.93, 0.93)
"""Heights (body and disc) and widths of a child relative to an adult of the same size."""

_ORDER = (*STANDARD_LEVELS, "L6")


def remaining_growth(age_years: float) -> float:
    """The share of growth that remains: 1 for a child of ten, 0 from ``GROWN_YEARS`` on."""
    return float(np.interp(age_years, _AGES, _REMAINING))


@dataclass(frozen=True)
class Growth:
    """How V vertebrae differ from those of an adult of the same size.

    Attributes:
        pitch: (V,) factor of heights and discs.
        width: (V,) factor of widths.
        cartilage_mm: thickness beside each plate; bone in an adult, a gap on this patient's radiograph.
    """

    pitch: Floats
    width: Floats
    cartilage_mm: float


def growth_of(levels: Sequence[str], age_years: float, size: float, chance: float) -> Growth:
    """The growth that remains for one patient.

    Args:
        levels: the V names, cranial to caudal.
        age_years, size: of the patient; size is relative to an adult man.
        chance: a standard normal number that varies the thickness of the cartilage.
    """
    left = remaining_growth(age_years)
    rank = [_ORDER.index("T12" if level == "T13" else level) for level in levels]
    at = [_ORDER.index(level) for level in _AT]
    pitch: Floats = 1.0 + left * (np.interp(rank, at, _PITCH) - 1.0)
    width: Floats = 1.0 + left * (np.interp(rank, at, _WIDTH) - 1.0)
    spread = float(np.exp(_CARTILAGE_SD * np.clip(chance, -2.0, 2.0)))
    return Growth(pitch, width, _CARTILAGE_MM * size * left * spread)

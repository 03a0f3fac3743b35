"""The differences between a growing spine and an adult spine: cartilage beside the end plates, and other proportions.

Contract: from ``GROWN_YEARS`` on there is no difference. The cartilage of the growth plates is invisible on a
radiograph. A child's bony bodies are therefore lower and narrower, and the gaps between the bodies are wider. The
length of the column does not change. The lumbar spine grows last.

All amounts are choices that match frontal radiographs of scoliosis (public labels, docs/virtual-cohort.md). On these
radiographs, a gap is 0.36 of the height of a body in the thoracic spine and 0.45 in the lumbar spine. In
adults, a disc is 0.2 and 0.3 of the height of a body.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulation.anatomy import STANDARD_LEVELS
from spine.types import Float, Floats

GROWN_YEARS = 20.0
_AGES, _REMAINING = (10.0, 14.0, 17.0, GROWN_YEARS), (1.0, 0.9, 0.5, 0.0)
_CARTILAGE_MM, _CARTILAGE_SD = 1.45, 0.3
"""Thickness of the cartilage beside each end plate of a child, and the SD of its logarithm between patients."""

_AT = ("C3", "T2", "T5", "T9", "T11", "L1", "L3", "L5", "L6")
_PITCH = (1.0, 1.0, 1.08, 1.0, 0.98, 0.93, 0.93, 0.98, 0.98)
_WIDTH = (1.0, 1.0, 1.0, 0.98, 0.95, 0.90, 0.90, 0.93, 0.93)
"""The heights of body and disc, and the widths, of a child relative to an adult of the same size."""

_ORDER = (*STANDARD_LEVELS, "L6")


def remaining_growth(age_years: float) -> float:
    """The share of growth that remains: 1 for a child of ten, 0 from ``GROWN_YEARS`` on."""
    return float(np.interp(age_years, _AGES, _REMAINING))


@dataclass(frozen=True)
class Growth:
    """The differences of V vertebrae from the vertebrae of an adult of the same size.

    Attributes:
        pitch: factor of the heights of bodies and discs.
        width: factor of the widths.
        cartilage_mm: thickness of the cartilage beside each end plate. In an adult, this cartilage is bone.
    """

    pitch: Float[Floats, " V"]
    width: Float[Floats, " V"]
    cartilage_mm: float


def growth_of(levels: Sequence[str], age_years: float, size: float, chance: float) -> Growth:
    """The differences of one patient of ``age_years`` from an adult of the same size.

    Args:
        levels: names of the V vertebrae, cranial to caudal.
        age_years, size: age and size of the patient; the size is relative to an adult man.
        chance: a standard normal number from which the thickness of the cartilage follows.
    """
    left = remaining_growth(age_years)
    rank = [_ORDER.index("T12" if level == "T13" else level) for level in levels]
    at = [_ORDER.index(level) for level in _AT]
    pitch, width = (np.asarray(1.0 + left * (np.interp(rank, at, table) - 1.0)) for table in (_PITCH, _WIDTH))
    spread = float(np.exp(_CARTILAGE_SD * np.clip(chance, -2.0, 2.0)))
    return Growth(pitch, width, _CARTILAGE_MM * size * left * spread)

"""Coronal shear of bodies and discs: in a curve, the column leans to the side more than its end plates lean.

Contract: arrays over the column's S segments (body, disc, body, ... disc), cranial to caudal. Shear does not change the
tilts of the end plates or the distances between them.

Source: our own measurement; we know of no published value. On 481 labelled real radiographs, a vertebra's tilt was
compared with the slope of the line through the centres of its neighbours (``python -m benchmarks.sim_to_real
diagnose``). The tilt is 0.86 to 0.90 of that slope from T4 to T12, and 0.93 to 0.95 from L1 to L3. At L4 the labels are
too inconsistent. Without shear, the ratio would be 1. The variation between patients is a choice.
"""

from dataclasses import dataclass

import numpy as np

from simulation.anatomy import T1_INDEX, vertebral_column
from simulation.vocabulary import Anatomy
from spine.types import Float, Floats

_LEVELS = (2, 5, 9, 12, 16)
_SHARES = (0.0, 0.14, 0.12, 0.05, 0.04)
"""Shear at T3, T6, T10, L1 and L5 (T1 is level 0), as a share of the slope of the end plates. The neck has no shear."""
_PATIENT_SD, _MAX_DEVIATION = 0.35, 0.9
"""SD and limit of the relative variation of the shear between patients."""
_OFFSET_SD_MM = 0.5
"""SD of the random lateral offset between neighbouring vertebrae; truncated at two SD."""


@dataclass(frozen=True)
class CoronalShear:
    """The shear of S segments: added lateral slope as a share of the plates' slope, and offset to the left in mm."""

    share: Float[Floats, " S"]
    offset_mm: Float[Floats, " S"]


def mean_coronal_shear(anatomy: Anatomy) -> Float[Floats, " S"]:
    """The share of each segment in a mean patient."""
    column = vertebral_column(anatomy)
    place = (np.arange(column.s1) - 2 * T1_INDEX) / 2  # a disc lies half way to the next body
    return np.asarray(np.interp(place, _LEVELS, _SHARES))


def sample_coronal_shear(anatomy: Anatomy, rng: np.random.Generator) -> CoronalShear:
    """Sample the shear of one patient."""
    shares = mean_coronal_shear(anatomy)
    deviation = np.clip(_PATIENT_SD * rng.standard_normal(), -_MAX_DEVIATION, _MAX_DEVIATION)
    offsets = _OFFSET_SD_MM * np.clip(rng.standard_normal(len(shares)), -2.0, 2.0)
    offsets[0::2] = 0.0  # vertebrae shift at discs, not inside bodies
    offsets[: 2 * T1_INDEX] = 0.0
    return CoronalShear(shares * (1 + deviation), offsets)

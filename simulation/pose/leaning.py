"""How far the column leans to the side compared with its plates: bodies and discs are sheared in a curve.

Contract: arrays over the column's segments (body, disc, body, ... disc), cranial to caudal; plates keep their tilts
and distances.

Source: measured, no published figure is known to us. On 481 labelled real radiographs a vertebra's tilt is 0.86 to
    0.90 of the slope of the line through its neighbours' centres from T4 to T12 and 0.93 to 0.95 from L1 to L3
    (``python -m benchmarks.sim_to_real diagnose``; at L4 scrambled labels hide it). Drawn without this, plates are
    square to that line. How much patients differ is a choice.
"""

from dataclasses import dataclass

import numpy as np

from simulation.anatomy import FIRST, column_of
from simulation.vocabulary import Anatomy
from spine.types import Floats

_LEVELS = (2, 5, 9, 12, 16)
_SHARES = (0.0, 0.14, 0.12, 0.05, 0.04)
"""Steeper by this share, at T3, T6, T10, L1 and L5 (vertebrae counted from T1 = 0); none in the neck."""
_PATIENT_SD, _MOST = 0.35, 0.9
"""How much more or less of it a patient has, as a share of it; at most that much less or more."""
_STEP_MM = 0.5
"""Standard deviation of a vertebra's own step to the side on the one below; twice that at most."""


@dataclass(frozen=True)
class Leaning:
    """(S,) each: how much steeper a segment leans to the side than its plates, and its step to the left in mm."""

    share: Floats
    step_mm: Floats


def mean_shares(anatomy: Anatomy) -> Floats:
    """(S,) the shares of a mean patient."""
    column = column_of(anatomy)
    place = (np.arange(column.s1) - 2 * FIRST) / 2  # a disc lies half way to the next body
    shares: Floats = np.interp(place, _LEVELS, _SHARES)
    return shares


def sample_leaning(anatomy: Anatomy, rng: np.random.Generator) -> Leaning:
    """One patient's."""
    shares = mean_shares(anatomy)
    more = np.clip(_PATIENT_SD * rng.standard_normal(), -_MOST, _MOST)
    steps = _STEP_MM * np.clip(rng.standard_normal(len(shares)), -2.0, 2.0)
    steps[0::2] = 0.0  # bodies are sheared, discs let them slide
    steps[: 2 * FIRST] = 0.0
    return Leaning(shares * (1 + more), steps)

"""Samples the effects of age and disease: narrowed discs, slips, wedge fractures, bone density.

Contract: every sampled level exists in the patient's column.

The following figures are written from memory (docs/sources.md, population and anatomy). Forward slips are 4-12 mm at
L4-5 or L5-S1, lateral slips are 3-10 mm, and wedge fractures lose 20-40 % of the anterior height. The frequencies are a
choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulation.anatomy import VertebralColumn
from simulation.parameters import CoronalCurve, WedgeFracture
from simulation.vocabulary import Condition, Sex

_FRACTURE_LEVELS = ("T6", "T7", "T8", "T9", "T11", "T12", "L1", "L2", "L3")
_FRACTURE_WEIGHTS = np.array([0.06, 0.12, 0.12, 0.06, 0.12, 0.20, 0.20, 0.08, 0.04])
_SLIP_SHARE = {"adult_deformity": 0.2, "degenerative": 0.35, "osteoporotic": 0.1}
_LATERAL_SHARE = {"adult_deformity": 0.6, "degenerative": 0.1}
_NARROWING = {"adult_deformity": (0.25, 0.65), "degenerative": (0.3, 0.75), "osteoporotic": (0.1, 0.45)}


@dataclass(frozen=True)
class Slip:
    """A slip of the vertebra ``level`` on the vertebra below it, in mm forward or to the left."""

    level: str
    mm: float


def sample_narrowing(rng: np.random.Generator, condition: Condition, age_years: float) -> float:
    """Sample the mean loss of lumbar disc height, 0 to 1."""
    if condition in _NARROWING:
        return float(rng.uniform(*_NARROWING[condition]))
    return max(0.0, (age_years - 35.0) / 200.0)


def sample_listhesis(
    rng: np.random.Generator, condition: Condition, incidence_deg: float, column: VertebralColumn
) -> Slip | None:
    """Sample a forward slip of one of the last two lumbar vertebrae. High pelvic incidence makes a slip more likely."""
    steep = 1.0 + 0.5 * float(np.tanh((incidence_deg - 52.0) / 12.0))
    if rng.random() > _SLIP_SHARE.get(condition, 0.0) * steep:
        return None
    low = rng.random() < 0.3 * steep
    return Slip(column.mobile[-1 if low else -2], float(rng.uniform(4.0, 12.0)))


def sample_severe_listhesis(rng: np.random.Generator, column: VertebralColumn) -> Slip | None:
    """Sample a forward slip of any degree of one of the last three lumbar vertebrae, for a patient of any condition.

    Half of the patients have one. 30 mm is most of the depth of a lumbar plate. The shares are a choice.
    """
    if rng.random() < 0.5:
        return None
    return Slip(column.mobile[-int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))], float(rng.uniform(3.0, 30.0)))


def sample_severe_fractures(rng: np.random.Generator, column: VertebralColumn) -> tuple[WedgeFracture, ...]:
    """Sample up to four wedge fractures below T4, for a patient of any condition; two thirds have none."""
    if rng.random() < 2 / 3:
        return ()
    levels = rng.choice(column.mobile[4:], size=int(rng.integers(1, 5)), replace=False)
    order = [str(level) for level in column.mobile if level in levels]
    return tuple(WedgeFracture(level, float(rng.uniform(0.15, 0.5))) for level in order)


def sample_lateral_listhesis(
    rng: np.random.Generator, condition: Condition, curves: Sequence[CoronalCurve]
) -> Slip | None:
    """Sample a lateral slip at L2-3 or L3-4 towards the convexity of the largest curve, if it is degenerative."""
    major = max(curves, key=lambda curve: curve.cobb_deg)
    if major.cobb_deg < 12.0 or rng.random() > _LATERAL_SHARE.get(condition, 0.0):
        return None
    level = "L3" if rng.random() < 0.7 else "L2"
    return Slip(level, float(rng.uniform(3.0, 10.0)) * (1.0 if major.convex == "left" else -1.0))


def sample_fractures(rng: np.random.Generator, condition: Condition) -> tuple[WedgeFracture, ...]:
    """Sample one to three wedge fractures of an osteoporotic patient; other patients have none."""
    if condition != "osteoporotic":
        return ()
    count = 1 + int(np.searchsorted((0.55, 0.85), rng.random()))
    levels = rng.choice(len(_FRACTURE_LEVELS), size=count, replace=False, p=_FRACTURE_WEIGHTS / _FRACTURE_WEIGHTS.sum())
    return tuple(WedgeFracture(_FRACTURE_LEVELS[i], float(rng.uniform(0.2, 0.4))) for i in sorted(levels))


def sample_density(rng: np.random.Generator, condition: Condition, age_years: float, sex: Sex) -> float:
    """Sample the bone density relative to a young adult."""
    loss = max(0.0, age_years - 45) * (0.008 if sex == "F" else 0.005) + max(0.0, 16 - age_years) * 0.015
    if condition == "osteoporotic":
        return 0.68 + 0.07 * float(rng.standard_normal())
    return (1.0 - loss) * (1 + 0.07 * float(rng.standard_normal()))

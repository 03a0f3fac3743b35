"""How the sagittal angles of one patient are drawn: five angles together, only those a person can stand with.

Contract: order PI, PT, L1-S1, L1-L5, TK, degrees; realised means and SDs (after the refusals) are those of
``published.ALIGNMENT``; PI = PT + SS.

A draw is normal: mean, plus a drift with age, plus a root of the covariance times five normals. It is refused where
an angle leaves its bounds, or where no shape of the spine brings T1 to an inclination that the group has.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulation.population.moment_constants import MEANS, ROOTS
from simulation.pose.sagittal_plan import SagittalTargets, reach
from simulation.vocabulary import Anatomy, Condition
from spine.types import Floats

PER_YEAR: Mapping[Condition, tuple[float, ...]] = {"healthy_adult": (0.0, 0.14, -0.23, -0.23, 0.1)}
"""Drift with age: PT (EOS 3D, n = 642) and LL (Hasegawa 2016) published, TK a choice; other groups are narrow in age
or mix too much else."""
MEAN_AGE: Mapping[Condition, float] = {"healthy_adult": 46.5}
INCLINATION_DEG: Mapping[Condition, tuple[float, float]] = {
    "healthy_adolescent": (-3.0, 2.7),
    "healthy_adult": (-3.0, 2.7),
    "adolescent_scoliosis": (-3.0, 2.7),
    "adult_deformity": (2.5, 5.0),
    "degenerative": (-0.5, 3.5),
    "osteoporotic": (0.5, 3.5),
}
"""T1 inclination: -1.35 +-2.7 in a review, about -5 from TPA less PT (EOS 3D, n = 642); the sick stoop, a choice."""
BOUNDS_DEG = np.array([(23.0, 95.0), (-15.0, 50.0), (-5.0, 98.0), (-25.0, 88.0), (-27.0, 88.0)])
SLOPE_DEG = (-4.0, 70.0)
LUMBOSACRAL_DEG = (-6.0, 42.0)
_WIDEST = 2.5
"""An inclination stays within this many SD of the group's mean."""
_TRIES, _ROUNDS = 8, 200


@dataclass(frozen=True)
class Alignment:
    """One patient's sagittal angles in degrees."""

    incidence: float
    slope: float
    tilt: float
    lordosis_l1_s1: float
    lordosis_l1_l5: float
    kyphosis: float
    t1_inclination: float


def sample_alignment(rng: np.random.Generator, group: Condition, age_years: float, anatomy: Anatomy) -> Alignment:
    """Draw one patient's angles.

    Raises:
        RuntimeError: a thousand draws were refused; the constants do not fit the refusals.
    """
    for _ in range(_ROUNDS):
        drawn, wanted = candidates(rng, group, np.full(_TRIES, age_years))
        accepted, leaning = stands(drawn, wanted, group, anatomy)
        standing = np.flatnonzero(accepted)
        if len(standing):
            incidence, tilt, lordosis, upper, kyphosis = (float(v) for v in drawn[standing[0]])
            lean = float(leaning[standing[0]])
            return Alignment(incidence, incidence - tilt, tilt, lordosis, upper, kyphosis, lean)
    raise RuntimeError(
        f"no {group} patient could stand in {_ROUNDS * _TRIES} draws: run simulation.population.moment_fit"
    )


def candidates(
    rng: np.random.Generator, group: Condition, ages: Floats, mean: Floats | None = None, root: Floats | None = None
) -> tuple[Floats, Floats]:
    """(N, 5) angles and (N,) T1 inclinations for (N,) ages, before any refusal."""
    centre = np.asarray(MEANS[group]) if mean is None else mean
    spread = np.asarray(ROOTS[group]) if root is None else root
    older = ages - MEAN_AGE.get(group, 0.0)
    drift = older[:, None] * np.array(PER_YEAR.get(group, (0.0,) * 5))
    leaning, deviation = INCLINATION_DEG[group]
    normal = rng.standard_normal((len(ages), 6))
    return centre + drift + normal[:, :5] @ spread.T, leaning + deviation * np.clip(normal[:, 5], -_WIDEST, _WIDEST)


def stands(drawn: Floats, wanted: Floats, group: Condition, anatomy: Anatomy) -> tuple[np.ndarray, Floats]:
    """(N,) whether each of (N, 5) draws is within bounds and can stand, and the (N,) inclinations reached."""
    slope, lumbosacral = drawn[:, 0] - drawn[:, 1], drawn[:, 2] - drawn[:, 3]
    inside = ((drawn > BOUNDS_DEG[:, 0]) & (drawn < BOUNDS_DEG[:, 1])).all(axis=1)
    inside &= (slope > SLOPE_DEG[0]) & (slope < SLOPE_DEG[1])
    inside &= (lumbosacral > LUMBOSACRAL_DEG[0]) & (lumbosacral < LUMBOSACRAL_DEG[1])
    least, greatest = reach(anatomy, SagittalTargets(slope, drawn[:, 2], drawn[:, 3], drawn[:, 4]), drawn[:, 1])
    reached = np.clip(wanted, least, greatest)
    mean, deviation = INCLINATION_DEG[group]
    accepted: np.ndarray = inside & (np.abs(reached - mean) <= _WIDEST * deviation)
    return accepted, reached

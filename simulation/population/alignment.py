"""Samples the sagittal angles of one patient, who must be able to stand with these angles.

Contract: the five angles are PI, PT, L1-S1, L1-L5 and TK, in this order, in degrees. The accepted samples have the
means and SDs of ``published.ALIGNMENT``. PI equals PT + SS.

A sample is the mean of its group, plus a drift with age, plus a root of the covariance times five standard normal
numbers. A sample is rejected if an angle is outside its bounds. It is also rejected if no shape of the spine gives T1
an inclination that occurs in the group.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.population.moment_constants import MEANS, ROOTS
from simulation.pose.sagittal_profile import SagittalTargets, inclination_range
from simulation.vocabulary import Anatomy, Condition
from spine.types import Bool, Float, Floats

PER_YEAR: Mapping[Condition, tuple[float, ...]] = {"healthy_adult": (0.0, 0.14, -0.23, -0.23, 0.1)}
"""Drift of the five angles, degrees a year. The drifts of PT (EOS 3D, n = 642) and LL (Hasegawa 2016) are published.
The drift of TK is a choice. Other groups have no drift: their range of ages is narrow, or other effects are larger."""
MEAN_AGE: Mapping[Condition, float] = {"healthy_adult": 46.5}
INCLINATION_DEG: Mapping[Condition, tuple[float, float]] = {
    "healthy_adolescent": (-3.0, 2.7),
    "healthy_adult": (-3.0, 2.7),
    "adolescent_scoliosis": (-3.0, 2.7),
    "adult_deformity": (2.5, 5.0),
    "degenerative": (-0.5, 3.5),
    "osteoporotic": (0.5, 3.5),
}
"""Mean and SD of the T1 inclination, positive forward. A review gives -1.35 +-2.7. The difference of TPA and PT gives
about -5 (EOS 3D, n = 642). The larger values of patients with a disease are a choice."""
BOUNDS_DEG = np.array([(23.0, 95.0), (-15.0, 50.0), (-5.0, 98.0), (-25.0, 88.0), (-27.0, 88.0)])
SLOPE_DEG = (-4.0, 70.0)
LUMBOSACRAL_DEG = (-6.0, 42.0)
_MAX_SD = 2.5
"""Largest allowed distance of an inclination from the group's mean, in SDs, in the published population."""
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


def sample_alignment(
    rng: np.random.Generator, group: Condition, age_years: float, anatomy: Anatomy, spread: float = 1.0
) -> Alignment:
    """Sample the angles of one patient of ``group``. ``spread`` is a factor on all SDs of the group.

    Raises:
        RuntimeError: every sample was rejected, because the constants do not fit the bounds.
    """
    for _ in range(_ROUNDS):
        root = spread * np.asarray(ROOTS[group])
        angles, wanted = sample_angles(rng, group, np.full(_TRIES, age_years), root=root)
        accepted, inclination = can_stand(angles, wanted, group, anatomy, _MAX_SD * spread)
        standing = np.flatnonzero(accepted)
        if len(standing):
            incidence, tilt, lordosis, upper, kyphosis = (float(v) for v in angles[standing[0]])
            return Alignment(
                incidence, incidence - tilt, tilt, lordosis, upper, kyphosis, float(inclination[standing[0]])
            )
    raise RuntimeError(
        f"all {_ROUNDS * _TRIES} samples of a {group} patient were rejected; expected at least one patient who can "
        "stand: fit the constants again with python -m simulation.population.moment_fit"
    )


def sample_angles(
    rng: np.random.Generator,
    group: Condition,
    ages: Float[Floats, " N"],
    mean: Float[Floats, " 5"] | None = None,
    root: Float[Floats, "5 5"] | None = None,
) -> tuple[Float[Floats, "N 5"], Float[Floats, " N"]]:
    """(N, 5) angles and (N,) T1 inclinations for (N,) ages, before any sample is rejected."""
    centre = np.asarray(MEANS[group]) if mean is None else mean
    spread = np.asarray(ROOTS[group]) if root is None else root
    older = ages - MEAN_AGE.get(group, 0.0)
    drift = older[:, None] * np.array(PER_YEAR.get(group, (0.0,) * 5))
    inclination, deviation = INCLINATION_DEG[group]
    normal = rng.standard_normal((len(ages), 6))
    wanted = inclination + deviation * np.clip(normal[:, 5], -_MAX_SD, _MAX_SD)
    return centre + drift + normal[:, :5] @ spread.T, wanted


def can_stand(
    angles: Float[Floats, "N 5"],
    wanted: Float[Floats, " N"],
    group: Condition,
    anatomy: Anatomy,
    max_sd: float = _MAX_SD,
) -> tuple[Bool[NDArray[np.bool_], " N"], Float[Floats, " N"]]:
    """Whether each of N patients can stand, and the T1 inclination of each; ``wanted`` are the target inclinations.

    ``max_sd`` is the largest allowed distance of an inclination from the group's mean, in SDs.
    """
    slope, lumbosacral = angles[:, 0] - angles[:, 1], angles[:, 2] - angles[:, 3]
    inside = ((angles > BOUNDS_DEG[:, 0]) & (angles < BOUNDS_DEG[:, 1])).all(axis=1)
    inside &= (slope > SLOPE_DEG[0]) & (slope < SLOPE_DEG[1])
    inside &= (lumbosacral > LUMBOSACRAL_DEG[0]) & (lumbosacral < LUMBOSACRAL_DEG[1])
    targets = SagittalTargets(slope, angles[:, 2], angles[:, 3], angles[:, 4])
    least, greatest = inclination_range(anatomy, targets, angles[:, 1])
    reached = np.clip(wanted, least, greatest)
    mean, deviation = INCLINATION_DEG[group]
    return np.asarray(inside & (np.abs(reached - mean) <= max_sd * deviation)), reached

"""Fits the constants of ``alignment`` so that the accepted samples have the published means and covariances."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulation.population.alignment import MEAN_AGE, PER_YEAR, can_stand, sample_angles
from simulation.population.published import ALIGNMENT, LL, LL5, PI, PT, SS, TK
from simulation.vocabulary import Condition
from spine.types import Float, Floats

AGE_RANGE = (18.0, 75.0)  # ages of healthy adults, the only group with a drift


@dataclass(frozen=True)
class CovarianceTarget:
    """The numbers that define the target covariance of one group.

    Attributes:
        sd: target SDs of PI, PT, SS. These SDs are within 15 % of the published SDs, and the correlations PI-SS and
            PI-PT that follow from them are the published correlations.
        pi_ll, ss_ll, ll_tk, pi_tk: target correlations.
        lumbosacral_sd: SD of L1-S1 minus L1-L5, degrees.
        lordosis_sd: target SDs of L1-S1 and L1-L5.
    """

    sd: tuple[float, float, float]
    pi_ll: float
    ss_ll: float
    ll_tk: float
    lumbosacral_sd: float
    lordosis_sd: tuple[float, float]
    pi_tk: float = 0.03


COVARIANCE_TARGETS: Mapping[Condition, CovarianceTarget] = {
    "healthy_adult": CovarianceTarget((10.7, 6.4, 8.3), 0.69, 0.73, 0.54, 7.0, (12.6, 14.3)),
    "healthy_adolescent": CovarianceTarget((8.5, 7.0, 6.9), 0.56, 0.70, 0.50, 6.5, (10.4, 9.1)),
    "adolescent_scoliosis": CovarianceTarget((12.6, 8.3, 10.2), 0.66, 0.77, 0.46, 7.0, (14.4, 13.2), 0.08),
    "adult_deformity": CovarianceTarget((12.0, 10.0, 11.0), 0.40, 0.70, 0.46, 7.0, (19.0, 18.0), 0.08),
    "degenerative": CovarianceTarget((11.0, 7.5, 8.6), 0.58, 0.70, 0.50, 7.0, (13.0, 13.0)),
    "osteoporotic": CovarianceTarget((10.5, 7.5, 8.2), 0.58, 0.70, 0.50, 7.0, (13.0, 13.0)),
}


def target_moments(group: Condition) -> tuple[Float[Floats, " 5"], Float[Floats, "5 5"]]:
    """Target mean and target covariance of PI, PT, L1-S1, L1-L5, TK, in degrees.

    Raises:
        numpy.linalg.LinAlgError: the group's targets contradict each other: the covariance is not positive definite.
    """
    figures, wanted = ALIGNMENT[group], COVARIANCE_TARGETS[group]
    mean = np.array([figures[name].mean for name in (PI, PT, LL, LL5, TK)])
    mean[1] += (mean[0] - mean[1] - figures[SS].mean) / 2  # the published means can violate PI = PT + SS
    pi, pt, ss = wanted.sd
    ll, ll5 = wanted.lordosis_sd
    tk, sacral = figures[TK].sd or 0.0, wanted.lumbosacral_sd
    covariance = np.diag(np.square([pi, pt, ll, ll5, tk]))
    to_ll = {"pi": wanted.pi_ll * pi * ll, "tk": wanted.ll_tk * ll * tk}
    to_ll["pt"] = to_ll["pi"] - wanted.ss_ll * ss * ll
    pairs = {
        (0, 1): (pi**2 + pt**2 - ss**2) / 2,
        (0, 2): to_ll["pi"],
        (0, 3): to_ll["pi"] - 0.10 * pi * sacral,
        (0, 4): wanted.pi_tk * pi * tk,
        (1, 2): to_ll["pt"],
        (1, 3): to_ll["pt"],
        (1, 4): 0.0,
        (2, 3): (ll**2 + ll5**2 - sacral**2) / 2,
        (2, 4): to_ll["tk"],
        (3, 4): to_ll["tk"] + 0.12 * sacral * tk,
    }
    for (i, j), value in pairs.items():
        covariance[i, j] = covariance[j, i] = value
    np.linalg.cholesky(covariance)
    return mean, covariance


def fit(
    group: Condition, count: int = 40_000, rounds: int = 25
) -> tuple[Float[Floats, " 5"], Float[Floats, "5 5"], float]:
    """Mean, Cholesky root of the covariance, and share of accepted samples of one group."""
    target, covariance = target_moments(group)
    per_year = np.array(PER_YEAR.get(group, (0.0,) * 5))
    drift = np.outer(per_year, per_year) * (AGE_RANGE[1] - AGE_RANGE[0]) ** 2 / 12
    mean, root, share = target.copy(), np.asarray(np.linalg.cholesky(covariance - drift), np.float64), 1.0
    for _ in range(rounds):
        rng = np.random.default_rng(20190)
        ages = rng.uniform(*AGE_RANGE, count) if group in PER_YEAR else np.full(count, MEAN_AGE.get(group, 0.0))
        angles, wanted = sample_angles(rng, group, ages, mean, root)
        standing, _ = can_stand(angles, wanted, group, "standard")
        share, angles = float(standing.mean()), angles[standing]
        found = np.asarray(np.cov(angles.T), np.float64)
        mean = mean + (target - angles.mean(axis=0))
        root = _corrected(root, found, covariance)
    return mean, root, share


def _corrected(root: Floats, found: Floats, wanted: Floats) -> Floats:
    """The root of the covariance of ``root`` after the linear map that turns ``found`` into ``wanted``."""
    onto = np.linalg.cholesky(wanted) @ np.linalg.inv(np.linalg.cholesky(found))
    mapped = onto @ root @ root.T @ onto.T
    return np.asarray(np.linalg.cholesky((mapped + mapped.T) / 2))


_MODULE = Path(__file__).with_name("moment_constants.py")


def constants_module(fitted: Mapping[Condition, tuple[Float[Floats, " 5"], Float[Floats, "5 5"]]]) -> str:
    """The source code of the module ``moment_constants``: its present head and the new constants."""
    head, _, _ = _MODULE.read_text().partition("MEANS: ")
    means = "".join(f'    "{group}": {_row(mean)},\n' for group, (mean, _) in fitted.items())
    roots = "".join(
        f'    "{group}": (\n' + "".join(f"        {_row(row)},\n" for row in root) + "    ),\n"
        for group, (_, root) in fitted.items()
    )
    return (
        f"{head}MEANS: Mapping[Condition, tuple[float, ...]] = {{\n{means}}}\n\n"
        f"ROOTS: Mapping[Condition, tuple[tuple[float, ...], ...]] = {{\n{roots}}}\n"
    )


def _row(values: Floats) -> str:
    return "(" + ", ".join(f"{float(v) + 0.0:.3f}" for v in values) + ")"


def main() -> None:
    """Fit the constants of every group and rewrite the module ``moment_constants``."""
    fitted: dict[Condition, tuple[Floats, Floats]] = {}
    for group in COVARIANCE_TARGETS:
        mean, root, share = fit(group)
        fitted[group] = (mean, root)
        print(f"{group}: {share:.0%} of the samples are accepted")
    _MODULE.write_text(constants_module(fitted))


if __name__ == "__main__":
    main()

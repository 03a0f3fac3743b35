"""Agreement of predicted values with reference values: the statistics in records, charts and gates.

Contract: a figure is a finite number, with or without an interval, or it is absent with a reason. Fewer than
three pairs, or values that do not vary, give absent figures and never NaN. "Truth" is the reference value.

Definitions, for n pairs of truth x and prediction y and differences d = y - x:

- bias, sd: mean and standard deviation (n - 1) of d; limits of agreement bias -/+ 1.96 sd (Bland & Altman 1986).
- slope, intercept, standard error of the estimate: least squares of *predicted on truth*, y = a + b x + e,
  SEE = sqrt(sum e^2 / (n - 2)). Galbusera 2019 (Eur Spine J 28:951) reports standard errors of the estimate from
  a regression of predictions against sterEOS values. The abstract does not give the direction. Predicted on
  truth is the usual direction for a method (y) and its reference (x). In the other direction the SEE cannot exceed the
  spread of the truths, so a model that guesses passes any limit above that spread. The SEE of predicted on truth does
  not show a bias, or predictions that are shrunk to their mean: constant predictions would have an SEE of 0. Therefore
  constant predictions have no SEE here, and a policy must also limit bias and ICC.
- mae, median_ae, p95_ae, rmse: mean, median, 95th percentile, root mean square of |d| (linear interpolation).
- pearson_r: correlation; icc_a1: ICC(A,1), two-way, absolute agreement, single rating (McGraw & Wong 1996, table 4; it
  equals ICC(2,1) of Shrout & Fleiss 1979).

Intervals: 95 %, by percentile bootstrap over *patients* with a fixed seed. A drawn patient adds all of their studies.
The percentile method has two advantages over BCa. With the same draws each resampled mean is monotone in every
patient's value, so a gate on the end of an interval is monotone too. The percentile method also works for every figure
that is defined for a resample. Coverage has Wilson's interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from spine.types import Floats

FIGURES: tuple[str, ...] = (
    "bias", "sd", "loa_low", "loa_high", "standard_error_of_estimate", "slope", "intercept",
    "mae", "median_ae", "p95_ae", "rmse", "pearson_r", "icc_a1",
)  # fmt: skip
"""Names of the figures of ``Agreement``, except ``coverage``, ``interval_coverage`` and ``interval_width``."""

REGRESSION_FIGURES = frozenset({"standard_error_of_estimate", "slope", "intercept", "pearson_r", "icc_a1"})
"""Figures that are defined only if truths and predictions vary."""

MIN_PAIRS = 3
RESAMPLES = 2000
SEED = 20190405
LOA_FACTOR = 1.96
_MIN_USABLE_RESAMPLES = 0.95


@dataclass(frozen=True)
class Figure:
    """One figure: a finite value, with or without a 95 % interval, or the reason why the value is absent."""

    value: float | None
    low: float | None = None
    high: float | None = None
    absent_reason: str | None = None


@dataclass(frozen=True)
class Agreement:
    """Agreement of one parameter over a test set.

    Attributes:
        parameter: name in ``spine.measurement.registry.PARAMETERS``.
        unit: ``deg`` or ``mm``, the unit of every figure except slope, pearson_r, icc_a1 and the two coverages.
        n_truth: number of studies with a truth.
        n: number of studies with a truth and a prediction.
        n_patients: number of patients in these n studies.
        figures: ``coverage`` (n / n_truth), ``interval_coverage`` (share of the model's 90 % intervals that contain
            the truth), ``interval_width`` (mean width) and every name in ``FIGURES``.
    """

    parameter: str
    unit: str
    n_truth: int
    n: int
    n_patients: int
    figures: Mapping[str, Figure]


def agree(
    parameter: str,
    unit: str,
    truth: Floats,
    predicted: Floats,
    patients: Sequence[str],
    *,
    n_truth: int,
    intervals: Sequence[tuple[float, float] | None] = (),
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Agreement:
    """Agreement of (n,) ``predicted`` with (n,) ``truth``.

    Args:
        patients: patient key of each pair.
        n_truth: number of studies with a truth, with or without a prediction.
        intervals: the model's interval of each prediction, None if it has none; empty for a model without intervals.

    Raises:
        ValueError: lengths differ, a value is not finite, or there are more predictions than truths.
    """
    n = len(truth)
    if not (len(predicted) == len(patients) == n <= n_truth):
        raise ValueError(
            f"{parameter}: found {n} truths, {len(predicted)} predictions and {len(patients)} patients, "
            f"expected equal numbers of at most n_truth = {n_truth}"
        )
    if not (np.all(np.isfinite(truth)) and np.all(np.isfinite(predicted))):
        raise ValueError(f"{parameter}: found NaN or infinity, expected finite truths and predictions")
    figures = {
        "coverage": proportion(n, n_truth),
        **_interval_figures(truth, intervals),
        **_figures_of(truth, predicted, patients, resamples, seed),
    }
    return Agreement(parameter, unit, n_truth, n, len(set(patients)), figures)


def proportion(hits: int, total: int) -> Figure:
    """hits / total with Wilson's 95 % interval; absent if ``total`` is 0."""
    if total == 0:
        return Figure(None, absent_reason="no truth exists in the test set")
    low, high = _wilson_interval(hits, total)
    return Figure(hits / total, low, high)


def _wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % score interval in closed form, because loading ``scipy.stats`` would cost a second."""
    z = NormalDist().inv_cdf(0.975)
    centre = hits + z**2 / 2
    reach = z * math.sqrt(hits * (total - hits) / total + z**2 / 4)
    low = 0.0 if hits == 0 else (centre - reach) / (total + z**2)
    high = 1.0 if hits == total else (centre + reach) / (total + z**2)
    return low, high


def _interval_figures(truth: Floats, intervals: Sequence[tuple[float, float] | None]) -> dict[str, Figure]:
    known = [(x, given) for x, given in zip(truth.tolist(), intervals, strict=False) if given is not None]
    if not known:
        absent = Figure(None, absent_reason="the model reports no interval of this parameter")
        return {"interval_coverage": absent, "interval_width": absent}
    coverage = proportion(sum(low <= x <= high for x, (low, high) in known), len(known))
    width = float(np.mean([high - low for _, (low, high) in known]))
    return {"interval_coverage": coverage, "interval_width": Figure(width)}


def icc_agreement(ratings: Floats) -> float | None:
    """ICC(A,1) of (n targets, k raters), McGraw & Wong 1996; None if it is not defined."""
    n, k = ratings.shape
    if n < 2 or k < 2:
        return None
    grand = ratings.mean()
    rows = k * float(np.sum((ratings.mean(axis=1) - grand) ** 2)) / (n - 1)
    columns = n * float(np.sum((ratings.mean(axis=0) - grand) ** 2)) / (k - 1)
    total = float(np.sum((ratings - grand) ** 2))
    error = (total - rows * (n - 1) - columns * (k - 1)) / ((n - 1) * (k - 1))
    denominator = rows + (k - 1) * error + k / n * (columns - error)
    return (rows - error) / denominator if denominator > 0 else None


def draw_patients(patients: Sequence[str], resamples: int, seed: int) -> Floats:
    """(resamples, n) read-only counts of each study, when whole patients are drawn with replacement."""
    return _draws(tuple(patients), resamples, seed)


@lru_cache(maxsize=16)
def _draws(patients: tuple[str, ...], resamples: int, seed: int) -> Floats:
    """The cached draws. All parameters and models of one test set use the same draws."""
    names, index = np.unique(np.asarray(patients), return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    counts: Floats = draws[:, index].astype(np.float64)
    counts.flags.writeable = False
    return counts


def figures_of_draws(counts: Floats, truth: Floats, predicted: Floats) -> dict[str, Floats]:
    """Every figure of ``FIGURES`` for each row of (B, n) ``counts``: name -> (B,), NaN where not defined.

    One row of ones gives the figures of the sample itself, so that value and interval come from the same formula. Sums
    of squares use the differences and not the predictions, which avoids cancellation near agreement.
    """
    n = counts.sum(axis=1)
    x, d = truth - truth.mean(), predicted - truth
    y, e = predicted - predicted.mean(), d - d.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = counts @ e / n + d.mean()
        sxx, syy = _sum_of_squares(counts, x, x), _sum_of_squares(counts, y, y)
        sdd, sxd = _sum_of_squares(counts, e, e), _sum_of_squares(counts, x, e)
        varies = (sxx > _noise(x)) & (syy > _noise(y)) & (n > MIN_PAIRS - 1)
        slope = np.where(varies, 1 + sxd / sxx, np.nan)
        residual = np.maximum(sdd - sxd**2 / sxx, 0)
        see = np.where(varies, np.sqrt(residual / (n - 2)), np.nan)
        r = np.where(varies, np.clip((sxx + sxd) / np.sqrt(sxx * syy), -1, 1), np.nan)
        icc = np.where(varies, _icc_of_pairs(n, sxx, sxd, sdd, bias), np.nan)
        sd = np.sqrt(sdd / (n - 1))
        rmse = np.sqrt(counts @ d**2 / n)
    truth_mean = counts @ truth / n
    return {
        "bias": bias, "sd": sd, "loa_low": bias - LOA_FACTOR * sd, "loa_high": bias + LOA_FACTOR * sd,
        "standard_error_of_estimate": see, "slope": slope, "intercept": bias + (1 - slope) * truth_mean,
        "mae": counts @ np.abs(d) / n, "median_ae": quantiles_of_draws(counts, np.abs(d), 0.5),
        "p95_ae": quantiles_of_draws(counts, np.abs(d), 0.95), "rmse": rmse, "pearson_r": r, "icc_a1": icc,
    }  # fmt: skip


def quantiles_of_draws(counts: Floats, values: Floats, level: float) -> Floats:
    """(B,) quantiles of (n,) ``values``, interpolated linearly; row b contains value i ``counts[b, i]`` times."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(counts[:, order], axis=1)
    position = level * (reached[:, -1] - 1)
    below = np.floor(position + 1e-9)
    last = len(values) - 1
    lower = values[order][np.minimum((reached <= below[:, None]).sum(axis=1), last)]
    upper = values[order][np.minimum((reached <= below[:, None] + 1).sum(axis=1), last)]
    result: Floats = lower + np.maximum(position - below, 0) * (upper - lower)
    return result


def _figures_of(
    truth: Floats, predicted: Floats, patients: Sequence[str], resamples: int, seed: int
) -> dict[str, Figure]:
    n = len(truth)
    if n < MIN_PAIRS:
        return dict.fromkeys(
            FIGURES, Figure(None, absent_reason=f"too few predictions: {n}, at least {MIN_PAIRS} needed")
        )
    point = figures_of_draws(np.ones((1, n)), truth, predicted)
    draws = figures_of_draws(draw_patients(patients, resamples, seed), truth, predicted) if resamples else {}
    flat = _what_does_not_vary(truth, predicted)
    figures = {}
    for name in FIGURES:
        value = float(point[name][0])
        if (name in REGRESSION_FIGURES and flat) or not math.isfinite(value):
            figures[name] = Figure(None, absent_reason=flat or "not defined for these values")
        else:
            low, high = _interval(draws[name]) if draws else (None, None)
            figures[name] = Figure(value, low, high)
    return figures


def _what_does_not_vary(truth: Floats, predicted: Floats) -> str | None:
    if np.ptp(truth) == 0:
        return "the truths do not vary"
    return "the predictions do not vary" if np.ptp(predicted) == 0 else None


def _interval(drawn: Floats) -> tuple[float | None, float | None]:
    usable = drawn[np.isfinite(drawn)]
    if len(usable) < _MIN_USABLE_RESAMPLES * len(drawn):
        return None, None
    low, high = np.quantile(usable, [0.025, 0.975])
    return float(low), float(high)


def _sum_of_squares(counts: Floats, a: Floats, b: Floats) -> Floats:
    """(B,) sum of (a - mean a)(b - mean b) under each row of counts."""
    result: Floats = counts @ (a * b) - (counts @ a) * (counts @ b) / counts.sum(axis=1)
    return result


def _noise(values: NDArray[np.float64]) -> float:
    """The sum of squares below which a variation is rounding error."""
    return 1e-12 * float(values @ values)


def _icc_of_pairs(n: Floats, sxx: Floats, sxd: Floats, sdd: Floats, bias: Floats) -> Floats:
    """``icc_agreement`` for two raters, from sums of squares of truth and difference."""
    rows = 2 * (sxx + sxd + sdd / 4) / (n - 1)
    error = sdd / 2 / (n - 1)
    columns = n * bias**2 / 2
    denominator = rows + error + 2 / n * (columns - error)
    return np.where(denominator > 0, (rows - error) / denominator, np.nan)

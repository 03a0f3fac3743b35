"""Paired comparison of challenger and champion, patient by patient, on one frozen test set.

Contract: the loss of a study in one parameter is |predicted - true|, limited to the policy's penalty. Without a finite
prediction the loss is the penalty, so a model gains nothing by withholding a prediction. A larger loss of the
challenger never lowers a bound: the patients of each resample are fixed, so every resampled mean grows with every
loss, and the percentiles grow with the means. (A bound that uses a standard deviation shrinks when an outlier
disappears.) The resamples are drawn once, from the whole test set, for all parameters and groups.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from spine.types import Floats
from validation.evaluation.agreement import draw_patients
from validation.evaluation.outcomes import StudyOutcome
from validation.evaluation.record import EvaluationRecord
from validation.gates.comparison_terms import Comparison, Margin
from validation.gates.policy import is_number

UPPER = 0.975
"""The one-sided level of the bounds: an equal model appears better in at most 2.5 % of the comparisons."""

_DIGITS = 9
"""The number of decimals of each figure. A verdict must be reproducible, but the last bits of a sum depend on the
processor and on the number of threads."""

POOLED = "all parameters"
"""The subject of the pooled loss: the mean over the parameters with a true value in the study, in margins."""


@dataclass(frozen=True)
class Difference:
    """The mean paired difference of losses, challenger minus champion. It is negative if the challenger is better.

    Attributes:
        n: number of studies with a true value.
        low, high: 2.5 % and 97.5 % bounds of the mean, by bootstrap over patients.
        error: standard deviation of the resampled means, which is the standard error of ``mean``.
        sd: standard deviation of the differences.
    """

    n: int
    mean: float
    low: float
    high: float
    error: float
    sd: float


@dataclass(frozen=True)
class PairedLosses:
    """The differences of losses in the studies that both records contain.

    Attributes:
        studies: the N common studies, in the order of the challenger's record.
        differences: parameter or ``POOLED`` -> (N,) differences. The difference of a study without a true value is
            NaN. Results never contain this NaN.
        draws: (B, N) how often each of B resamples contains each study.
    """

    studies: tuple[StudyOutcome, ...]
    differences: Mapping[str, Floats]
    draws: Floats


def paired_losses(challenger: EvaluationRecord, champion: EvaluationRecord, comparison: Comparison) -> PairedLosses:
    """The losses of ``challenger`` minus the losses of ``champion`` in each study."""
    theirs = {s.study_id: s for s in champion.studies}
    pairs = [(s, theirs[s.study_id]) for s in challenger.studies if s.study_id in theirs]
    differences: dict[str, Floats] = {}
    for name, margin in comparison.margins.items():
        values = [_difference(ours, other, name, margin) for ours, other in pairs]
        differences[name] = np.array(values, dtype=np.float64)
    scaled = np.array([differences[name] / margin.margin for name, margin in comparison.margins.items()])
    known = np.isfinite(scaled)
    counts = known.sum(axis=0)
    sums = np.where(known, scaled, 0.0).sum(axis=0)
    differences[POOLED] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    draws = draw_patients([ours.patient for ours, _ in pairs], comparison.resamples, comparison.seed)
    return PairedLosses(tuple(ours for ours, _ in pairs), differences, draws)


def differences_of(losses: PairedLosses, columns: Floats) -> list[Difference | None]:
    """The mean and bounds of each column of ``columns`` (N, K). NaN values are left out; None if all values are NaN."""
    known = np.isfinite(columns)
    values = np.where(known, columns, 0.0)
    weights = losses.draws @ known.astype(np.float64)
    sums = losses.draws @ values
    # Resamples without a patient of a small group are left out. Which ones these are does not depend on predictions.
    means = [sums[weights[:, k] > 0, k] / weights[weights[:, k] > 0, k] for k in range(columns.shape[1])]
    return [_summary(columns[known[:, k], k], means[k]) for k in range(columns.shape[1])]


def paired_difference(
    challenger: EvaluationRecord, champion: EvaluationRecord, parameter: str, comparison: Comparison
) -> Difference | None:
    """The mean paired difference in one parameter, in its unit; None if no study has a true value."""
    losses = paired_losses(challenger, champion, comparison)
    return differences_of(losses, losses.differences[parameter][:, None])[0]


def pooled_difference(
    challenger: EvaluationRecord, champion: EvaluationRecord, comparison: Comparison
) -> Difference | None:
    """The mean paired difference over all parameters, in margins; None if no study has a true value."""
    return paired_difference(challenger, champion, POOLED, comparison)


def power_at(margin: float, error: float) -> float:
    """The probability that an equal model passes the non-inferiority test.

    Args:
        margin: the non-inferiority margin.
        error: standard error of the mean difference, in the same unit.
    """
    if not (is_number(error) and error > 0):
        return 1.0 if margin > 0 else 0.0
    return NormalDist().cdf(margin / error - NormalDist().inv_cdf(UPPER))


def patients_needed(margin: float, sd: float, power: float) -> int:
    """The number of patients at which an equal model passes the non-inferiority test with this power.

    Args:
        margin: the non-inferiority margin.
        sd: standard deviation of the paired differences, in the same unit.
        power: probability from 0 to 1.
    """
    z = NormalDist().inv_cdf(UPPER) + NormalDist().inv_cdf(power)
    return math.ceil((z * sd / margin) ** 2)


def same_truths(challenger: EvaluationRecord, champion: EvaluationRecord) -> bool:
    """Whether both records contain the same patients, studies and true values."""
    return _truths(challenger) == _truths(champion)


def loss_of(study: StudyOutcome, parameter: str, margin: Margin) -> float:
    """The loss of one study in one parameter: at most the penalty, and equal to it without a finite prediction."""
    outcome = study.parameter(parameter)
    if outcome.truth is None or not is_number(outcome.predicted):
        return margin.penalty
    return min(abs(outcome.predicted - outcome.truth), margin.penalty)


def _truths(record: EvaluationRecord) -> list[tuple[str, str, tuple[float | None, ...]]]:
    return [(s.study_id, s.patient, tuple(o.truth for o in s.parameters)) for s in record.studies]


def _difference(ours: StudyOutcome, theirs: StudyOutcome, parameter: str, margin: Margin) -> float:
    if ours.parameter(parameter).truth is None:
        return math.nan
    return loss_of(ours, parameter, margin) - loss_of(theirs, parameter, margin)


def _summary(values: Floats, means: Floats) -> Difference | None:
    if not len(values) or not len(means):
        return None
    low, high = np.quantile(means, [1 - UPPER, UPPER])
    sd = values.std(ddof=1) if len(values) > 1 else 0.0
    mean, low, high, error, sd = (round(float(x), _DIGITS) for x in (values.mean(), low, high, means.std(), sd))
    return Difference(len(values), mean, low, high, error, sd)

"""Paired comparison of challenger and champion, patient by patient, on one frozen test set.

Contract: the loss of a study in one parameter is |predicted - true|, at most the policy's penalty. A study without an
answer, or with one that is no number, costs the penalty, so no model gains by abstaining. A worse answer of the
challenger never lowers a bound: with the same draws of patients every resampled mean grows with every loss, and so do
its percentiles. (A bound from a standard deviation lacks this property: removing an outlier shrinks it.) The patients
are drawn once, from the whole test set, for all parameters and groups.
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
"""One-sided level of the bounds: an equal model appears better at most once in forty comparisons."""

_DIGITS = 9
"""Sums in another order (another processor, other threads) differ in the last bits; a verdict must be reproducible."""

POOLED = "all parameters"
"""Subject of the loss in margins, averaged over the parameters with a truth in the study."""


@dataclass(frozen=True)
class Difference:
    """Mean paired difference of losses, challenger minus champion; negative is better.

    Attributes:
        n: studies with a truth; low, high: 2.5 % and 97.5 % bounds of the mean over patients.
        error: standard deviation of the resampled means, hence the standard error of ``mean``.
        sd: standard deviation of the single differences.
    """

    n: int
    mean: float
    low: float
    high: float
    error: float
    sd: float


@dataclass(frozen=True)
class PairedLosses:
    """Differences of losses on the studies that both records contain.

    Attributes:
        studies: N of the challenger's, ordered as in its record.
        differences: parameter (and ``POOLED``) -> (N,) differences; NaN where the study has no truth of it (only here:
            results contain no NaN).
        draws: (B, N) how often each study counts in each resample of patients.
    """

    studies: tuple[StudyOutcome, ...]
    differences: Mapping[str, Floats]
    draws: Floats


def paired_losses(challenger: EvaluationRecord, champion: EvaluationRecord, comparison: Comparison) -> PairedLosses:
    """Losses of ``challenger`` minus losses of ``champion``, study by study."""
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
    """Mean and bounds of each column of (N, K) ``columns``, without NaN; None for a column of NaN alone."""
    known = np.isfinite(columns)
    values = np.where(known, columns, 0.0)
    weights = losses.draws @ known.astype(np.float64)
    sums = losses.draws @ values
    # A resample may contain no patient of a small group; this depends on the patients alone, not on any answer.
    means = [sums[weights[:, k] > 0, k] / weights[weights[:, k] > 0, k] for k in range(columns.shape[1])]
    return [_summary(columns[known[:, k], k], means[k]) for k in range(columns.shape[1])]


def paired_difference(
    challenger: EvaluationRecord, champion: EvaluationRecord, parameter: str, comparison: Comparison
) -> Difference | None:
    """Difference in one parameter, in its unit; None where the test set contains no truth of it."""
    losses = paired_losses(challenger, champion, comparison)
    return differences_of(losses, losses.differences[parameter][:, None])[0]


def pooled_difference(
    challenger: EvaluationRecord, champion: EvaluationRecord, comparison: Comparison
) -> Difference | None:
    """Difference over all compared parameters, in margins: each study's mean over its parameters with a truth."""
    return paired_difference(challenger, champion, POOLED, comparison)


def power_at(margin: float, error: float) -> float:
    """Probability of showing that an equal model is not worse by ``margin``, at this standard error of the mean."""
    if not (is_number(error) and error > 0):
        return 1.0 if margin > 0 else 0.0
    return NormalDist().cdf(margin / error - NormalDist().inv_cdf(UPPER))


def patients_needed(margin: float, sd: float, power: float) -> int:
    """How many patients it takes to show with this probability that an equal model is not worse by ``margin``."""
    z = NormalDist().inv_cdf(UPPER) + NormalDist().inv_cdf(power)
    return math.ceil((z * sd / margin) ** 2)


def same_truths(challenger: EvaluationRecord, champion: EvaluationRecord) -> bool:
    """Whether both records contain the same patients, studies and truths."""
    return _truths(challenger) == _truths(champion)


def loss_of(study: StudyOutcome, parameter: str, margin: Margin) -> float:
    """The loss of one study in one parameter, at most the penalty."""
    outcome = study.parameter(parameter)
    if outcome.truth is None or outcome.predicted is None or not is_number(outcome.predicted):
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

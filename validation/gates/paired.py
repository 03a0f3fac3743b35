"""Challenger against champion, patient by patient, on one frozen test set.

What belongs here: paired losses and the bounds of their mean. What does not: which bound suffices (``policy``,
``rules``). Contract: the loss of a study in one parameter is |predicted - true|, at most the policy's penalty;
a study that was not answered, or answered with something that is no number, costs the penalty. Nobody can
therefore win by abstaining, and making any single answer of the challenger worse never lowers a bound: with the
same draws of patients each resampled mean grows with each loss, and so does their percentile (a bound from a
standard deviation would not do that: removing an outlier shrinks it).
"""

from dataclasses import dataclass

import numpy as np

from spine.scanner import Floats
from validation.evaluation.agreement import draw_patients
from validation.evaluation.outcomes import StudyOutcome
from validation.evaluation.record import EvaluationRecord
from validation.gates.policy import Comparison, Margin, is_number

UPPER = 0.975
"""One-sided level of the bounds: an equal model is taken for a better one at most once in forty."""


@dataclass(frozen=True)
class PairedDifference:
    """Mean paired difference of losses, challenger minus champion; negative is better.

    Attributes:
        n: studies with a truth; low, high: 2.5 % and 97.5 % bounds of the mean over patients.
    """

    n: int
    mean: float
    low: float
    high: float


def paired_difference(
    challenger: EvaluationRecord, champion: EvaluationRecord, parameter: str, comparison: Comparison
) -> PairedDifference | None:
    """Difference in one parameter, in its unit; None where the test set holds no truth of it."""
    margin = comparison.margins[parameter]
    rows = [
        (ours.patient, _loss(ours, parameter, margin) - _loss(theirs, parameter, margin))
        for ours, theirs in _pairs(challenger, champion)
        if ours.parameter(parameter).truth is not None
    ]
    return _bounds([p for p, _ in rows], np.array([d for _, d in rows]), comparison) if rows else None


def pooled_difference(
    challenger: EvaluationRecord, champion: EvaluationRecord, comparison: Comparison
) -> PairedDifference | None:
    """Difference over all compared parameters, in margins: each study's mean over the parameters it has truths of."""
    patients, differences = [], []
    for ours, theirs in _pairs(challenger, champion):
        scaled = [
            (_loss(ours, name, margin) - _loss(theirs, name, margin)) / margin.margin
            for name, margin in comparison.margins.items()
            if ours.parameter(name).truth is not None
        ]
        if scaled:
            patients.append(ours.patient)
            differences.append(float(np.mean(scaled)))
    return _bounds(patients, np.array(differences), comparison) if patients else None


def same_truths(challenger: EvaluationRecord, champion: EvaluationRecord) -> bool:
    """Whether both records hold the same patients, studies and truths."""
    return _truths(challenger) == _truths(champion)


def _truths(record: EvaluationRecord) -> list[tuple[str, str, tuple[float | None, ...]]]:
    return [(s.study_id, s.patient, tuple(o.truth for o in s.parameters)) for s in record.studies]


def _pairs(challenger: EvaluationRecord, champion: EvaluationRecord) -> list[tuple[StudyOutcome, StudyOutcome]]:
    theirs = {s.study_id: s for s in champion.studies}
    return [(s, theirs[s.study_id]) for s in challenger.studies if s.study_id in theirs]


def _loss(study: StudyOutcome, parameter: str, margin: Margin) -> float:
    outcome = study.parameter(parameter)
    if outcome.truth is None or outcome.predicted is None or not is_number(outcome.predicted):
        return margin.penalty
    return min(abs(outcome.predicted - outcome.truth), margin.penalty)


def _bounds(patients: list[str], differences: Floats, comparison: Comparison) -> PairedDifference:
    counts = draw_patients(patients, comparison.resamples, comparison.seed)
    means = counts @ differences / counts.sum(axis=1)
    low, high = np.quantile(means, [1 - UPPER, UPPER])
    return PairedDifference(len(differences), float(differences.mean()), float(low), float(high))

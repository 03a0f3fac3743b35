"""A model's errors by condition, field of view and appearance, from an evaluation record.

Every patient of the record is in one row of each table by group. For a group that is too small, only the number of
patients is shown. Square brackets contain 95 % percentile bootstrap intervals. For the interval coverage, the bootstrap
also draws patients and not values, because the errors of one patient's parameters are not independent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spine.measurement.registry import PAPER_PARAMETERS, PARAMETERS
from spine.types import Floats
from validation.evaluation.agreement import draw_patients
from validation.evaluation.outcomes import ParameterOutcome, StudyOutcome
from validation.evaluation.record import EvaluationRecord

FACTS: Mapping[str, str] = {"condition": "condition", "field_of_view": "field of view", "appearance": "appearance"}
MIN_PATIENTS = 5
"""The smallest number of patients in a group for which figures are shown."""

COVERAGE = "90 % interval coverage"
_RESAMPLES, _SEED = 4000, 20190405


@dataclass(frozen=True)
class Table:
    """A table of text: column headings and rows."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class GroupErrors:
    """The errors of one record by group.

    Attributes:
        test_set: digest of the test set.
        count: number of patients.
        patients: ``virtual patients`` or ``real patients``.
        tables: a table of all patients, then one table for each of ``FACTS``.
    """

    test_set: str
    count: int
    patients: str
    tables: tuple[Table, ...]


def group_errors_of(record: EvaluationRecord) -> GroupErrors:
    """The mean absolute error of the paper's parameters and the coverage of their intervals, by group."""
    tables = (_overall(record.studies), *(_by(fact, title, record.studies) for fact, title in FACTS.items()))
    return GroupErrors(record.test_digest, record.n_patients, record.patients_are, tables)


def _overall(studies: Sequence[StudyOutcome]) -> Table:
    rows = []
    for name, parameter in PARAMETERS.items():
        covered = [
            h for s in studies for o in s.parameters if o.parameter == name and (h := _covers_truth(o)) is not None
        ]
        rows.append((parameter.label, f"{np.mean(covered):.1%}" if covered else "no intervals", str(len(covered))))
    return Table(("all patients", COVERAGE, "intervals"), tuple(rows))


def _by(fact: str, title: str, studies: Sequence[StudyOutcome]) -> Table:
    groups: dict[str, list[StudyOutcome]] = {}
    for study in studies:
        groups.setdefault(str(study.facts.get(fact, "not known")), []).append(study)
    heads = (title, "patients", *(PARAMETERS[name].label for name in PAPER_PARAMETERS), COVERAGE)
    return Table(heads, tuple(_row(group, groups[group]) for group in sorted(groups)))


def _row(group: str, studies: Sequence[StudyOutcome]) -> tuple[str, ...]:
    name, count = group.replace("_", " "), len(studies)
    if count < MIN_PATIENTS:
        return (name, str(count), *["too few"] * (len(PAPER_PARAMETERS) + 1))
    errors = (_error([o for s in studies for o in s.parameters if o.parameter == p]) for p in PAPER_PARAMETERS)
    return (name, str(count), *errors, _coverage(studies))


def _error(outcomes: Sequence[ParameterOutcome]) -> str:
    """The mean absolute error as text. If predictions are missing, the text also states the number of predictions."""
    truths = [outcome for outcome in outcomes if outcome.truth is not None]
    errors = [abs(outcome.error) for outcome in truths if outcome.error is not None]
    if not errors:
        return f"0 of {len(truths)} predicted"
    answered = "" if len(errors) == len(truths) else f" ({len(errors)} of {len(truths)})"
    if len(errors) < MIN_PATIENTS:
        return f"{np.mean(errors):.1f}{answered}"
    low, high = _interval(np.array(errors), np.ones(len(errors)))
    return f"{np.mean(errors):.1f} [{low:.1f}, {high:.1f}]{answered}"


def _coverage(studies: Sequence[StudyOutcome]) -> str:
    each = [
        [h for o in study.parameters if o.parameter in PAPER_PARAMETERS and (h := _covers_truth(o)) is not None]
        for study in studies
    ]
    covered = [found for found in each if found]
    if not covered:
        return "no intervals"
    low, high = _interval(np.array([sum(h) for h in covered], float), np.array([len(h) for h in covered], float))
    every = [value for found in covered for value in found]
    return f"{np.mean(every):.0%} [{low:.0%}, {high:.0%}] of {len(every)}"


def _covers_truth(outcome: ParameterOutcome) -> bool | None:
    """Whether the model's interval contains the true value; None without an interval or a true value."""
    if outcome.interval is None or outcome.truth is None:
        return None
    return outcome.interval[0] <= outcome.truth <= outcome.interval[1]


def _interval(sums: Floats, counts: Floats) -> tuple[float, float]:
    """The 95 % interval of sum(sums) / sum(counts), by bootstrap over N patients; both arrays are (N,)."""
    drawn = draw_patients([str(i) for i in range(len(sums))], _RESAMPLES, _SEED)
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)

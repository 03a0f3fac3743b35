"""Groups of patients, and how the challenger stands to the champion in each: what a mean over everybody hides.

What belongs here: which groups a study is in, paired differences by parameter and group, the guardrails over them.
What does not: losses and bounds (``paired``), the comparison over everybody (``comparing``). Contract: a study's
groups follow from its facts and its true Cobb angle, never from an answer, so that no model chooses its groups; a
group below the policy's least number is told and not judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.measurement.registry import PARAMETERS
from validation.evaluation.outcomes import StudyOutcome
from validation.evaluation.record import EvaluationRecord
from validation.gates.paired import POOLED, PairedLosses, differences_of, paired_losses
from validation.gates.policy import Policy, is_number

EVERYBODY = "all"
SEVERITIES: tuple[tuple[float, str], ...] = (
    (10.0, "Cobb below 10"),
    (25.0, "Cobb 10 to 25"),
    (45.0, "Cobb 25 to 45"),
    (float("inf"), "Cobb 45 and more"),
)
"""Upper ends and names: no scoliosis, watched, braced, operated on (10, 25 and 40 to 50 degrees are customary)."""
AGES: tuple[tuple[float, str], ...] = (
    (10.0, "below 10 years"),
    (18.0, "10 to 17 years"),
    (65.0, "18 to 64 years"),
    (float("inf"), "65 years and more"),
)
GROUPINGS: tuple[str, ...] = ("condition", "severity", "field_of_view", "age", "sex", "appearance", "anatomy")


@dataclass(frozen=True)
class PairedDifference:
    """How one group stands in one parameter: mean paired loss, challenger minus champion; negative is better.

    Attributes:
        subject: parameter, or ``all parameters`` (in margins).
        group: ``all``, or ``<grouping>: <group>``.
        n: studies with a truth; mean, low, high: with 95 % bounds over patients, in ``unit``.
        margin: the upper bound must lie below it.
        judged: whether the group is large enough for its bound to decide anything.
    """

    subject: str
    group: str
    n: int
    mean: float
    low: float
    high: float
    unit: str
    margin: float
    judged: bool = True


def groups_of(study: StudyOutcome) -> Mapping[str, str]:
    """Grouping -> the group this study is in; a grouping it says nothing about is left out."""
    groups = {
        name: str(study.facts[name]).replace("_", " ")
        for name in ("condition", "field_of_view", "sex", "appearance", "anatomy")
        if study.facts.get(name) not in (None, "")
    }
    age, cobb = study.facts.get("age_years"), study.parameter("cobb").truth
    if isinstance(age, int | float) and is_number(age):
        groups["age"] = _band(float(age), AGES)
    if cobb is not None and is_number(cobb):
        groups["severity"] = _band(abs(cobb), SEVERITIES)
    return {name: groups[name] for name in GROUPINGS if name in groups}


def label_of(grouping: str, group: str) -> str:
    """``<grouping>: <group>`` for people."""
    return f"{grouping.replace('_', ' ')}: {group}"


def paired_differences(
    challenger: EvaluationRecord, champion: EvaluationRecord, policy: Policy
) -> tuple[PairedDifference, ...]:
    """Every parameter of the policy's comparison, and all of them together, for everybody and for each group."""
    losses = paired_losses(challenger, champion, policy.comparison)
    groups = {EVERYBODY: np.ones(len(losses.studies), dtype=bool), **_members(losses)}
    keys = [(subject, group) for subject in losses.differences for group in groups]
    columns = np.array([np.where(groups[g], losses.differences[s], np.nan) for s, g in keys]).T
    found = differences_of(losses, columns.reshape(len(losses.studies), len(keys)))
    rows = []
    for (subject, group), difference in zip(keys, found, strict=True):
        if difference is not None:
            unit, margin = _terms(policy, subject)
            rows.append(
                PairedDifference(
                    subject, group, difference.n, difference.mean, difference.low, difference.high, unit, margin
                )
            )
    return tuple(rows)


def _terms(policy: Policy, subject: str) -> tuple[str, float]:
    """Unit and margin of one subject."""
    if subject == POOLED:
        return "margins", 0.0 - policy.comparison.required_gain
    return PARAMETERS[subject].unit, policy.comparison.margins[subject].margin


def _members(losses: PairedLosses) -> dict[str, NDArray[np.bool_]]:
    """Group -> (N,) which studies are in it; groupings in order, groups by name or by size of what they band."""
    each = [groups_of(study) for study in losses.studies]
    members: dict[str, NDArray[np.bool_]] = {}
    bands = [name for band in (SEVERITIES, AGES) for _, name in band]
    for grouping in GROUPINGS:
        names = {groups[grouping] for groups in each if grouping in groups}
        for name in sorted(names, key=lambda n: (bands.index(n) if n in bands else -1, n)):
            members[label_of(grouping, name)] = np.array([groups.get(grouping) == name for groups in each])
    return members


def _band(value: float, bands: tuple[tuple[float, str], ...]) -> str:
    return next(name for end, name in bands if value < end)

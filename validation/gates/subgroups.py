"""Comparison of challenger and champion in groups of patients, because a mean over all patients can hide a bad group.

Contract: a study's groups follow from its facts and its true Cobb angle. No model can influence the groups, because
they never depend on a prediction. A group with fewer studies than the policy's ``min_studies`` is shown but not judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from spine.measurement.registry import PARAMETERS
from validation.evaluation.outcomes import StudyOutcome
from validation.evaluation.record import EvaluationRecord
from validation.gates.comparison_terms import Grouping, Subgroups
from validation.gates.paired import POOLED, Difference, differences_of, loss_of, paired_losses
from validation.gates.policy import Policy, is_number
from validation.gates.rule_results import Outcome, RuleResult, not_asked

EVERYBODY = "all"
SEVERITIES: tuple[tuple[float, str], ...] = (
    (10.0, "Cobb below 10"),
    (25.0, "Cobb 10 to 25"),
    (45.0, "Cobb 25 to 45"),
    (float("inf"), "Cobb 45 and more"),
)
"""The upper ends and names of the bands. The limits are customary: scoliosis begins at 10 degrees, bracing at 25, and
surgery at 40 to 50."""
AGES: tuple[tuple[float, str], ...] = (
    (10.0, "below 10 years"),
    (18.0, "10 to 17 years"),
    (65.0, "18 to 64 years"),
    (float("inf"), "65 years and more"),
)
GROUPINGS: tuple[str, ...] = get_args(Grouping)


@dataclass(frozen=True)
class PairedDifference:
    """The mean paired difference of losses of one parameter in one group of patients.

    The difference is challenger minus champion, so it is negative if the challenger is better.

    Attributes:
        subject: a parameter, or ``all parameters`` with the unit ``margins``.
        group: ``all``, or ``<grouping>: <group>``.
        n: number of studies with a true value.
        mean, low, high: the mean and its 95 % bounds by bootstrap over patients, in ``unit``.
        margin: the limit of ``high``, in ``unit``.
        judged: whether the group is large enough to be judged.
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
    """Grouping -> group of this study, such as ``sex`` -> ``F``. Groupings whose value is unknown are left out."""
    groups = {
        name: str(study.facts[name]).replace("_", " ")
        for name in ("condition", "field_of_view", "sex", "appearance", "anatomy")
        if study.facts.get(name) not in (None, "")
    }
    age = study.facts.get("age_years")
    cobb = next((o.truth for o in study.parameters if o.parameter == "cobb"), None)
    if is_number(age):
        groups["age"] = _band(float(age), AGES)
    if is_number(cobb):
        groups["severity"] = _band(abs(cobb), SEVERITIES)
    return {name: groups[name] for name in GROUPINGS if name in groups}


def label_of(grouping: str, group: str) -> str:
    """The label ``<grouping>: <group>``, with spaces instead of underscores."""
    return f"{grouping.replace('_', ' ')}: {group}"


def paired_differences(
    challenger: EvaluationRecord, champion: EvaluationRecord, policy: Policy
) -> tuple[PairedDifference, ...]:
    """The paired differences of each parameter with a margin and of ``POOLED``, over all patients and in each group."""
    losses = paired_losses(challenger, champion, policy.comparison)
    groupings = policy.subgroups.by if policy.subgroups else GROUPINGS
    groups = {EVERYBODY: np.ones(len(losses.studies), dtype=bool), **_members(losses.studies, groupings)}
    keys = [(subject, group) for subject in losses.differences for group in groups]
    columns = np.array([np.where(groups[g], losses.differences[s], np.nan) for s, g in keys]).T
    found = differences_of(losses, columns.reshape(len(losses.studies), len(keys)))
    rows = []
    for (subject, group), difference in zip(keys, found, strict=True):
        if difference is not None:
            rows.append(_row(policy, subject, group, difference))
    return tuple(rows)


def evaluate_subgroups(
    policy: Policy, challenger: EvaluationRecord, differences: Sequence[PairedDifference]
) -> list[RuleResult]:
    """The results of the limits in groups of patients.

    The list contains every result that did not pass. For each parameter, it also contains the passing result that is
    closest to its limit. One more result lists the groups that are too small.
    """
    terms = policy.subgroups
    if terms is None:
        reason = "the policy sets no limits for groups of patients"
        rule, found = "subgroups/all/guardrails", "not required"
        return [not_asked(rule, "SUBGROUPS_NOT_ASKED", found=found, reason=reason, subject="groups")]
    paired = [_evaluate_difference(terms, d) for d in differences if _is_limited(d)]
    ceilings = _evaluate_ceilings(policy, terms, challenger)
    return [*_worst_and_broken(paired), *_worst_and_broken(ceilings), *_too_small(terms, challenger)]


def _is_limited(difference: PairedDifference) -> bool:
    return difference.judged and difference.group != EVERYBODY and difference.subject != POOLED


def _evaluate_difference(terms: Subgroups, d: PairedDifference) -> RuleResult:
    outcome: Outcome
    if is_number(d.high) and d.high < d.margin:
        outcome, code = "PASS", "SUBGROUPS_KEPT"
    elif is_number(d.mean) and d.mean < d.margin:
        outcome, code = "HOLD", "SUBGROUP_NOT_SHOWN"
    else:
        outcome, code = "REJECT", "SUBGROUP_WORSE"
    found = f"{d.group}: mean difference {d.mean:+.2f} {d.unit} over {d.n} studies"
    return RuleResult(
        rule=f"subgroup/{d.subject}/paired_loss",
        kind="comparison",
        subject=d.subject,
        outcome=outcome,
        code=code,
        reason=terms.reason,
        source=terms.source,
        figure_name="upper bound of the paired difference in a group",
        figure=d.high,
        low=d.low,
        high=d.high,
        relation="<",
        threshold=d.margin,
        unit=d.unit,
        found=found,
        group=d.group,
        n=d.n,
    )


def _evaluate_ceilings(policy: Policy, terms: Subgroups, record: EvaluationRecord) -> list[RuleResult]:
    members = _members(record.studies, terms.by)
    results = []
    for name, ceiling in terms.mae_at_most.items():
        margin = policy.comparison.margins[name]
        for group, inside in members.items():
            studies = [s for s, is_in in zip(record.studies, inside.tolist(), strict=True) if is_in]
            losses = [loss_of(s, name, margin) for s in studies if has_truth(s, name)]
            if len(losses) >= terms.min_studies:
                results.append(_evaluate_ceiling(terms, name, group, ceiling, losses))
    return results


def _evaluate_ceiling(terms: Subgroups, name: str, group: str, ceiling: float, losses: Sequence[float]) -> RuleResult:
    mae = round(float(np.mean(losses)), 9)
    kept = is_number(mae) and mae <= ceiling
    return RuleResult(
        rule=f"subgroup/{name}/mae",
        kind="limit",
        subject=name,
        outcome="PASS" if kept else "REJECT",
        code="SUBGROUPS_KEPT" if kept else "SUBGROUP_WORSE",
        reason=terms.reason,
        source=terms.source,
        figure_name="mean absolute error in a group",
        figure=mae,
        relation="<=",
        threshold=ceiling,
        unit=PARAMETERS[name].unit,
        found=f"{group}: {len(losses)} studies, including studies without a prediction",
        group=group,
        n=len(losses),
    )


def _worst_and_broken(results: Sequence[RuleResult]) -> list[RuleResult]:
    """The results that did not pass and, for each parameter, the passing result that is closest to its limit."""
    kept = [r for r in results if r.outcome == "PASS"]
    worst = {r.subject: r for r in sorted(kept, key=lambda r: (r.figure or 0.0) / (r.threshold or 1.0))}
    return [r for r in results if r.outcome != "PASS" or worst.get(r.subject) is r]


def _too_small(terms: Subgroups, record: EvaluationRecord) -> list[RuleResult]:
    members = _members(record.studies, terms.by)
    small = [f"{group} ({int(inside.sum())})" for group, inside in members.items() if inside.sum() < terms.min_studies]
    if not small:
        return []
    found = f"groups with fewer than {terms.min_studies} studies, which are not judged: {', '.join(small)}"
    rule, code = "subgroups/all/too_small", "SUBGROUPS_TOO_SMALL"
    return [not_asked(rule, code, found=found, reason=terms.reason, subject="groups")]


def has_truth(study: StudyOutcome, parameter: str) -> bool:
    """Whether the study has a true value of this parameter."""
    return any(o.parameter == parameter and o.truth is not None for o in study.parameters)


def _row(policy: Policy, subject: str, group: str, d: Difference) -> PairedDifference:
    """The difference as a row with unit and margin, marked as judged or not judged."""
    terms = policy.subgroups
    judged = group == EVERYBODY or (terms is not None and d.n >= terms.min_studies)
    if subject == POOLED:
        unit, margin = "margins", 0.0 - policy.comparison.required_gain
    else:
        times = terms.times_margin if terms is not None and group != EVERYBODY else 1.0
        unit, margin = PARAMETERS[subject].unit, policy.comparison.margins[subject].margin * times
    return PairedDifference(subject, group, d.n, d.mean, d.low, d.high, unit, margin, judged)


def _members(studies: Sequence[StudyOutcome], groupings: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Label of each group -> (N,) True for each study that is in the group.

    The groupings keep their order. Bands of age and severity are sorted by value, other groups by name.
    """
    each = [groups_of(study) for study in studies]
    members: dict[str, NDArray[np.bool_]] = {}
    bands = [name for band in (SEVERITIES, AGES) for _, name in band]
    for grouping in groupings:
        names = {groups[grouping] for groups in each if grouping in groups}
        for name in sorted(names, key=lambda n: (bands.index(n) if n in bands else -1, n)):
            members[label_of(grouping, name)] = np.array([groups.get(grouping) == name for groups in each])
    return members


def _band(value: float, bands: tuple[tuple[float, str], ...]) -> str:
    return next(name for end, name in bands if value < end)

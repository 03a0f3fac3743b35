"""Groups of patients, and how the challenger stands to the champion in each: what a mean over everybody hides.

Contract: a study's groups follow from its facts and its true Cobb angle, never from an answer, so that no model
chooses its groups; a group below the policy's least number is told and not judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.measurement.registry import PARAMETERS
from validation.evaluation.outcomes import StudyOutcome
from validation.evaluation.record import EvaluationRecord
from validation.gates.comparison_terms import Subgroups
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
    age = study.facts.get("age_years")
    cobb = next((o.truth for o in study.parameters if o.parameter == "cobb"), None)
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
    groups = {EVERYBODY: np.ones(len(losses.studies), dtype=bool), **_members(losses.studies, _groupings(policy))}
    keys = [(subject, group) for subject in losses.differences for group in groups]
    columns = np.array([np.where(groups[g], losses.differences[s], np.nan) for s, g in keys]).T
    found = differences_of(losses, columns.reshape(len(losses.studies), len(keys)))
    rows = []
    for (subject, group), difference in zip(keys, found, strict=True):
        if difference is not None:
            rows.append(_row(policy, subject, group, difference))
    return tuple(rows)


def weigh_subgroups(
    policy: Policy, challenger: EvaluationRecord, differences: Sequence[PairedDifference]
) -> list[RuleResult]:
    """The guardrails: each group that breaks one, and for each parameter the group that comes nearest to it."""
    terms = policy.subgroups
    if terms is None:
        reason = "the policy asks for no guardrails over groups of patients"
        rule, found = "subgroups/all/guardrails", "not asked"
        return [not_asked(rule, "SUBGROUPS_NOT_ASKED", found=found, reason=reason, subject="groups")]
    paired = [_weigh_difference(terms, d) for d in differences if _is_guarded(d)]
    ceilings = _weigh_ceilings(policy, terms, challenger)
    return [*_worst_and_broken(paired), *_worst_and_broken(ceilings), *_too_small(terms, challenger)]


def _is_guarded(difference: PairedDifference) -> bool:
    return difference.judged and difference.group != EVERYBODY and difference.subject != POOLED


def _weigh_difference(terms: Subgroups, d: PairedDifference) -> RuleResult:
    outcome: Outcome
    if is_number(d.high) and d.high < d.margin:
        outcome, code = "PASS", "SUBGROUPS_KEPT"
    elif is_number(d.mean) and d.mean < d.margin:
        outcome, code = "HOLD", "SUBGROUP_NOT_SHOWN"
    else:
        outcome, code = "REJECT", "SUBGROUP_WORSE"
    found = f"{d.group}: mean difference {d.mean:+.2f} {d.unit} over {d.n} studies"
    return RuleResult(
        f"subgroup/{d.subject}/paired_loss", "comparison", d.subject, "upper bound of the paired difference in a group",
        d.high, d.low, d.high, "<", d.margin, d.unit, outcome, code, found, terms.reason, terms.source, d.group, d.n,
    )  # fmt: skip


def _weigh_ceilings(policy: Policy, terms: Subgroups, record: EvaluationRecord) -> list[RuleResult]:
    members = _members(record.studies, terms.by)
    results = []
    for name, ceiling in terms.mae_at_most.items():
        margin = policy.comparison.margins[name]
        for group, inside in members.items():
            studies = [s for s, is_in in zip(record.studies, inside.tolist(), strict=True) if is_in]
            losses = [loss_of(s, name, margin) for s in studies if has_truth(s, name)]
            if len(losses) >= terms.least:
                results.append(_weigh_ceiling(terms, name, group, ceiling, losses))
    return results


def _weigh_ceiling(terms: Subgroups, name: str, group: str, ceiling: float, losses: Sequence[float]) -> RuleResult:
    mae = round(float(np.mean(losses)), 9)
    kept = is_number(mae) and mae <= ceiling
    found, unit = f"{group}: {len(losses)} studies, unanswered counted", PARAMETERS[name].unit
    return RuleResult(
        f"subgroup/{name}/mae", "limit", name, "mean absolute error in a group", mae, None, None, "<=", ceiling, unit,
        "PASS" if kept else "REJECT", "SUBGROUPS_KEPT" if kept else "SUBGROUP_WORSE", found, terms.reason,
        terms.source, group, len(losses),
    )  # fmt: skip


def _worst_and_broken(results: Sequence[RuleResult]) -> list[RuleResult]:
    """Every result that did not pass and, of each parameter, the one that passed most narrowly."""
    kept = [r for r in results if r.outcome == "PASS"]
    worst = {r.subject: r for r in sorted(kept, key=lambda r: (r.figure or 0.0) / (r.threshold or 1.0))}
    return [r for r in results if r.outcome != "PASS" or worst.get(r.subject) is r]


def _too_small(terms: Subgroups, record: EvaluationRecord) -> list[RuleResult]:
    members = _members(record.studies, terms.by)
    small = [f"{group} ({int(inside.sum())})" for group, inside in members.items() if inside.sum() < terms.least]
    if not small:
        return []
    found = f"below {terms.least} studies, told and not judged: {', '.join(small)}"
    rule, code = "subgroups/all/too_small", "SUBGROUPS_TOO_SMALL"
    return [not_asked(rule, code, found=found, reason=terms.reason, subject="groups")]


def has_truth(study: StudyOutcome, parameter: str) -> bool:
    """Whether the study has a truth of this parameter."""
    return any(o.parameter == parameter and o.truth is not None for o in study.parameters)


def _groupings(policy: Policy) -> Sequence[str]:
    return policy.subgroups.by if policy.subgroups else GROUPINGS


def _row(policy: Policy, subject: str, group: str, d: Difference) -> PairedDifference:
    """A difference with unit, margin and whether it decides anything."""
    terms = policy.subgroups
    judged = group == EVERYBODY or (terms is not None and d.n >= terms.least)
    if subject == POOLED:
        unit, margin = "margins", 0.0 - policy.comparison.required_gain
    else:
        times = terms.times_margin if terms is not None and group != EVERYBODY else 1.0
        unit, margin = PARAMETERS[subject].unit, policy.comparison.margins[subject].margin * times
    return PairedDifference(subject, group, d.n, d.mean, d.low, d.high, unit, margin, judged)


def _members(studies: Sequence[StudyOutcome], groupings: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Group -> (N,) which studies are in it; groupings in order, groups by name or by size of what they band."""
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

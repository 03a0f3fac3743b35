"""The challenger beside the champion and the last model a human approved: not worse, better, and how surely.

Contract: every comparison states its power; one that a test set of this size could not have decided is INSUFFICIENT,
not a pass. The power that decides is that of the *planned* spread, which no model can change.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from spine.measurement.registry import PARAMETERS
from validation.evaluation.record import EvaluationRecord
from validation.gates.comparison_terms import Margin
from validation.gates.paired import (
    POOLED,
    Difference,
    PairedLosses,
    differences_of,
    paired_losses,
    patients_needed,
    power_at,
)
from validation.gates.policy import Policy, is_number
from validation.gates.rule_results import Outcome, RuleResult, not_asked, plain_result
from validation.gates.seed_spread import MEAN_ERROR, figure_over_seeds, spread_of

_USUAL_POWER = 0.8


def weigh_comparison(
    policy: Policy, challenger: EvaluationRecord, champion: EvaluationRecord | None
) -> list[RuleResult]:
    """Non-inferiority in every parameter and a gain overall; or the rule for the first champion."""
    if champion is None:
        return [_first_champion(policy, challenger)]
    if champion.model_digest == challenger.model_digest:
        found = f"model {challenger.model_digest[:12]} in both roles"
        reason = "a model does not replace itself"
        return [plain_result("comparison/model/digest", "comparison", "HOLD", "SAME_MODEL", found=found, reason=reason)]
    losses = paired_losses(challenger, champion, policy.comparison)
    results = [_planned_power(policy, name, losses) for name in policy.comparison.margins if policy.comparison.power]
    return results + weigh_losses(policy, losses)


def weigh_losses(policy: Policy, losses: PairedLosses) -> list[RuleResult]:
    """Not worse than the champion by a margin in any parameter, and better by more than chance overall."""
    found = _differences(losses)
    return [*_non_inferior(policy, found, "champion", 1.0), _gain(policy, found[POOLED])]


def weigh_baseline(
    policy: Policy,
    challenger: EvaluationRecord,
    champion: EvaluationRecord | None,
    baseline: EvaluationRecord | None,
) -> list[RuleResult]:
    """Non-inferiority to the last model that a human approved, so that small steps down do not add up."""
    terms, rule = policy.baseline, "comparison/baseline/model"
    if terms is None:
        reason = "the policy asks for no comparison with the last model a human approved"
        return [not_asked(rule, "BASELINE_NOT_ASKED", found="not asked", reason=reason, subject="baseline")]
    if baseline is None:
        found = "no human has approved a model yet"
        if terms.absent == "insufficient":
            return [_insufficient(rule, "NO_BASELINE", found, terms.reason, "baseline")]
        return [not_asked(rule, "NO_BASELINE", found=found, reason=terms.reason, subject="baseline")]
    if champion is not None and baseline.model_digest == champion.model_digest:
        found = f"the champion {champion.model_digest[:12]} is the last model a human approved"
        return [not_asked(rule, "BASELINE_IS_CHAMPION", found=found, reason=terms.reason, subject="baseline")]
    losses = paired_losses(challenger, baseline, policy.comparison)
    return _non_inferior(policy, _differences(losses), "baseline", terms.times_margin)


def weigh_seeds(policy: Policy, siblings: Sequence[EvaluationRecord]) -> list[RuleResult]:
    """Whether each margin lies above what the seed alone changes; ``siblings`` are fits of the recipe's other seeds."""
    terms, rule = policy.seeds, "comparison/seeds/spread"
    if terms is None:
        reason = "the policy asks for no spread between seeds"
        return [not_asked(rule, "SEEDS_NOT_ASKED", found="seed spread not known", reason=reason, subject="seeds")]
    spreads = {name: _seed_spread(policy, name, siblings) for name in policy.comparison.margins}
    unknown = [name for name, spread in spreads.items() if spread is None]
    results = [_above_spread(policy, name, *spread) for name, spread in spreads.items() if spread is not None]
    if unknown:
        found = f"seed spread not known of {', '.join(unknown)}"
        if terms.unknown == "insufficient":
            return [*results, _insufficient(rule, "SEED_SPREAD_UNKNOWN", found, terms.reason, "seeds")]
        return [*results, not_asked(rule, "SEED_SPREAD_UNKNOWN", found=found, reason=terms.reason, subject="seeds")]
    return results


def _first_champion(policy: Policy, challenger: EvaluationRecord) -> RuleResult:
    decision = policy.first_champion.decision
    allowed = decision == "allowed" or (decision == "allowed_on_virtual_patients" and challenger.simulated)
    return plain_result(
        "first_champion/model/approval",
        "first_champion",
        "NOT_ASKED" if allowed else "HOLD",
        "FIRST_CHAMPION" if allowed else "APPROVAL_NEEDED",
        found="there is no champion to compare with",
        reason=policy.first_champion.reason,
        subject="champion",
    )


def _planned_power(policy: Policy, name: str, losses: PairedLosses) -> RuleResult:
    """Whether a test set with so many patients can decide about this margin at all."""
    terms, margin = policy.comparison.power, policy.comparison.margins[name]
    assert terms is not None
    assert margin.planned_sd is not None
    known = losses.differences[name]
    patients = len({s.patient for s, d in zip(losses.studies, known, strict=True) if is_number(float(d))})
    power = power_at(margin.margin, margin.planned_sd / patients**0.5) if patients else 0.0
    enough = power >= terms.at_least
    needed = patients_needed(margin.margin, margin.planned_sd, terms.at_least)
    unit = PARAMETERS[name].unit
    found = f"{patients} patients; {needed} are needed for a margin of {margin.margin:g} {unit}"
    return RuleResult(
        f"evidence/{name}/power", "evidence", name, "probability of showing that an equal model is not worse", power,
        None, None, ">=", terms.at_least, "", "PASS" if enough else "INSUFFICIENT",
        "ENOUGH_POWER" if enough else "TOO_FEW_FOR_MARGIN", found, terms.reason, terms.source, n=patients, power=power,
    )  # fmt: skip


def _differences(losses: PairedLosses) -> dict[str, Difference | None]:
    """Over everybody, for each parameter and all together; at once, because the draws are large."""
    columns = np.stack(list(losses.differences.values()), axis=1)
    return dict(zip(losses.differences, differences_of(losses, columns), strict=True))


def _non_inferior(policy: Policy, found: Mapping[str, Difference | None], rival: str, times: float) -> list[RuleResult]:
    results = []
    for name, margin in policy.comparison.margins.items():
        rule = f"comparison/{name}/paired_loss" if rival == "champion" else f"comparison/{name}/{rival}_loss"
        difference = found[name]
        if difference is None:
            missing = "the test set holds no truth of it"
            results.append(_insufficient(rule, "FIGURE_MISSING", missing, margin.reason, name))
        else:
            outcome, code = _standing(policy, difference, margin.margin * times, rival)
            results.append(_compared(rule, name, difference, margin, times, outcome, code))
    return results


def _standing(policy: Policy, difference: Difference, margin: float, rival: str) -> tuple[Outcome, str]:
    if is_number(difference.high) and difference.high < margin:
        return "PASS", "NON_INFERIOR"
    if not (is_number(difference.mean) and difference.mean < margin):
        return "REJECT", "WORSE_THAN_CHAMPION" if rival == "champion" else "WORSE_THAN_BASELINE"
    wanted = policy.comparison.power.at_least if policy.comparison.power else _USUAL_POWER
    if power_at(margin, difference.error) < wanted:
        return "INSUFFICIENT", "UNDERPOWERED"
    return "HOLD", "NOT_SHOWN_NON_INFERIOR" if rival == "champion" else "NOT_SHOWN_AGAINST_BASELINE"


def _compared(
    rule: str, subject: str, difference: Difference, margin: Margin, times: float, outcome: Outcome, code: str
) -> RuleResult:
    """The upper bound is the figure that is held against the threshold; mean and power are told beside it."""
    threshold, unit = margin.margin * times, PARAMETERS[subject].unit
    power = power_at(threshold, difference.error)
    found = f"mean difference {difference.mean:+.2f} {unit} over {difference.n} studies; power {power:.0%}"
    if code == "UNDERPOWERED":
        found += f", about {patients_needed(threshold, difference.sd, _USUAL_POWER)} studies would decide"
    return RuleResult(
        rule, "comparison", subject, "upper bound of the paired difference", difference.high, difference.low,
        difference.high, "<", threshold, unit, outcome, code, found, margin.reason, margin.source, n=difference.n,
        power=power,
    )  # fmt: skip


def _gain(policy: Policy, difference: Difference | None) -> RuleResult:
    wanted = policy.comparison
    rule = "comparison/all parameters/pooled_loss"
    if difference is None:
        return _insufficient(rule, "FIGURE_MISSING", "no study with a truth in both records", wanted.reason, POOLED)
    better = is_number(difference.high) and difference.high < -wanted.required_gain
    found = f"mean difference {difference.mean:+.2f} margins over {difference.n} studies"
    return RuleResult(
        rule, "comparison", POOLED, "upper bound of the paired difference", difference.high, difference.low,
        difference.high, "<", 0.0 - wanted.required_gain, "margins", "PASS" if better else "HOLD",
        "BETTER_THAN_CHAMPION" if better else "NO_GAIN", found, wanted.reason, "policy", n=difference.n,
    )  # fmt: skip


def _seed_spread(policy: Policy, name: str, siblings: Sequence[EvaluationRecord]) -> tuple[float, str] | None:
    """(SD of the mean absolute error between seeds, how it is known), the larger where it is known twice.

    The challenger itself is left out: a worse one might lie nearer to its siblings.
    """
    known: list[tuple[float, str]] = []
    if policy.seeds is not None and name in policy.seeds.known:
        known.append((policy.seeds.known[name].sd, policy.seeds.known[name].source))
    found = spread_of(figure_over_seeds(siblings, name, MEAN_ERROR))
    if found is not None:
        known.append((found.sd, f"{found.n} fits of other seeds"))
    return max(known, default=None)


def _above_spread(policy: Policy, name: str, spread: float, how: str) -> RuleResult:
    assert policy.seeds is not None
    margin, least = policy.comparison.margins[name].margin, spread * policy.seeds.times_spread
    above = is_number(least) and margin >= least
    return RuleResult(
        f"comparison/{name}/seed_spread", "comparison", name, "margin above the spread between seeds", margin, None,
        None, ">=", round(least, 9), PARAMETERS[name].unit, "PASS" if above else "INSUFFICIENT",
        "ABOVE_SEED_SPREAD" if above else "WITHIN_SEED_SPREAD", f"spread {spread:.2f}, known from {how}",
        policy.seeds.reason, how,
    )  # fmt: skip


def _insufficient(rule: str, code: str, found: str, reason: str, subject: str) -> RuleResult:
    return plain_result(rule, "comparison", "INSUFFICIENT", code, found=found, reason=reason, subject=subject)

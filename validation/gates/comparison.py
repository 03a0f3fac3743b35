"""Comparison of the challenger with the champion, with the last approved model, and with fits of other seeds.

Contract: every comparison states its power. If the test set is too small to decide a comparison, the result is
INSUFFICIENT and not PASS. The power must also be sufficient at the *planned* SD of the policy. No model can change
this SD.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from spine.measurement.registry import PARAMETERS
from validation.evaluation.model_facts import new_patients
from validation.evaluation.record import EvaluationRecord
from validation.gates.comparison_terms import Equal, Margin
from validation.gates.evidence import Evidence
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
_UPPER_BOUND = "upper bound of the paired difference"


def evaluate_comparison(policy: Policy, evidence: Evidence) -> list[RuleResult]:
    """The results of the comparison with the champion; without a champion, the result of ``first_champion``."""
    challenger, champion = evidence.challenger, evidence.champion
    if champion is None:
        return [_first_champion(policy, challenger)]
    if champion.model_digest == challenger.model_digest:
        found = f"model {challenger.model_digest[:12]} is both challenger and champion"
        reason = "a model cannot replace itself"
        return [plain_result("comparison/model/digest", "comparison", "HOLD", "SAME_MODEL", found=found, reason=reason)]
    losses = paired_losses(challenger, champion, policy.comparison)
    results = [_planned_power(policy, name, losses) for name in policy.comparison.margins if policy.comparison.power]
    return results + evaluate_losses(policy, losses, new_patients(challenger.model_facts, champion.model_facts))


def evaluate_losses(policy: Policy, losses: PairedLosses, added: int | None = None) -> list[RuleResult]:
    """The results on non-inferiority to the champion in every parameter, and on the gain over all parameters.

    ``added`` is the number of patients from which only the challenger learnt; None if this is not known.
    """
    found = _differences(losses)
    return [*_non_inferior(policy, found, "champion", 1.0), _gain(policy, found[POOLED], added)]


def evaluate_baseline(policy: Policy, evidence: Evidence) -> list[RuleResult]:
    """The results on non-inferiority to the last model that a person approved, so that small losses do not add up."""
    terms, rule, baseline = policy.baseline, "comparison/baseline/model", evidence.baseline
    if terms is None:
        reason = "the policy requires no comparison with the last model that a person approved"
        return [not_asked(rule, "BASELINE_NOT_ASKED", found="not required", reason=reason, subject="baseline")]
    if baseline is None:
        found = "no person has approved a model yet"
        if terms.absent == "insufficient":
            return [_insufficient(rule, "NO_BASELINE", found, terms.reason, "baseline")]
        return [not_asked(rule, "NO_BASELINE", found=found, reason=terms.reason, subject="baseline")]
    if evidence.separate_baseline is None:
        found = f"the champion {baseline.model_digest[:12]} is the last model that a person approved"
        return [not_asked(rule, "BASELINE_IS_CHAMPION", found=found, reason=terms.reason, subject="baseline")]
    losses = paired_losses(evidence.challenger, baseline, policy.comparison)
    return _non_inferior(policy, _differences(losses), "baseline", terms.times_margin)


def evaluate_seeds(policy: Policy, other_seeds: Sequence[EvaluationRecord]) -> list[RuleResult]:
    """The results of the rule that each margin must be larger than the spread between seeds.

    Args:
        other_seeds: the records of fits of the challenger's recipe with other seeds.
    """
    terms, rule = policy.seeds, "comparison/seeds/spread"
    if terms is None:
        reason = "the policy requires no comparison of the margins with the spread between seeds"
        return [not_asked(rule, "SEEDS_NOT_ASKED", found="not required", reason=reason, subject="seeds")]
    spreads = {name: _seed_spread(policy, name, other_seeds) for name in policy.comparison.margins}
    unknown = [name for name, spread in spreads.items() if spread is None]
    results = [_above_spread(policy, name, *spread) for name, spread in spreads.items() if spread is not None]
    if unknown:
        found = f"the spread between seeds is not known for {', '.join(unknown)}"
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
    """The result of the rule that the test set must have enough patients for this margin."""
    terms, margin = policy.comparison.power, policy.comparison.margins[name]
    assert terms is not None
    assert margin.planned_sd is not None
    known = losses.differences[name]
    patients = len({s.patient for s, d in zip(losses.studies, known, strict=True) if is_number(float(d))})
    power = power_at(margin.margin, margin.planned_sd / patients**0.5) if patients else 0.0
    enough = power >= terms.at_least
    needed = patients_needed(margin.margin, margin.planned_sd, terms.at_least)
    unit = PARAMETERS[name].unit
    return RuleResult(
        rule=f"evidence/{name}/power",
        kind="evidence",
        subject=name,
        outcome="PASS" if enough else "INSUFFICIENT",
        code="ENOUGH_POWER" if enough else "TOO_FEW_FOR_MARGIN",
        reason=terms.reason,
        source=terms.source,
        figure_name="probability that an equal model passes the comparison",
        figure=power,
        relation=">=",
        threshold=terms.at_least,
        found=f"{patients} patients have a true value; for a margin of {margin.margin:g} {unit}, {needed} are needed",
        n=patients,
        power=power,
    )


def _differences(losses: PairedLosses) -> dict[str, Difference | None]:
    """The mean paired difference over all patients, for each parameter and for ``POOLED``.

    One matrix product computes all differences, because the array of draws is large.
    """
    columns = np.stack(list(losses.differences.values()), axis=1)
    return dict(zip(losses.differences, differences_of(losses, columns), strict=True))


def _non_inferior(
    policy: Policy, found: Mapping[str, Difference | None], reference: str, times: float
) -> list[RuleResult]:
    results = []
    for name, margin in policy.comparison.margins.items():
        rule = f"comparison/{name}/paired_loss" if reference == "champion" else f"comparison/{name}/{reference}_loss"
        difference = found[name]
        if difference is None:
            missing = "no study in the test set has a true value"
            results.append(_insufficient(rule, "FIGURE_MISSING", missing, margin.reason, name))
        else:
            outcome, code = _inferiority(policy, difference, margin.margin * times, reference)
            results.append(_compared(rule, name, difference, margin, times, outcome, code))
    return results


def _inferiority(policy: Policy, difference: Difference, margin: float, reference: str) -> tuple[Outcome, str]:
    if is_number(difference.high) and difference.high < margin:
        return "PASS", "NON_INFERIOR"
    if not (is_number(difference.mean) and difference.mean < margin):
        return "REJECT", "WORSE_THAN_CHAMPION" if reference == "champion" else "WORSE_THAN_BASELINE"
    wanted = policy.comparison.power.at_least if policy.comparison.power else _USUAL_POWER
    if power_at(margin, difference.error) < wanted:
        return "INSUFFICIENT", "UNDERPOWERED"
    return "HOLD", "NOT_SHOWN_NON_INFERIOR" if reference == "champion" else "NOT_SHOWN_AGAINST_BASELINE"


def _compared(
    rule: str, subject: str, difference: Difference, margin: Margin, times: float, outcome: Outcome, code: str
) -> RuleResult:
    """The result of one non-inferiority test. Its figure is the upper bound; its ``found`` states mean and power."""
    threshold, unit = margin.margin * times, PARAMETERS[subject].unit
    power = power_at(threshold, difference.error)
    found = f"mean difference {difference.mean:+.2f} {unit} over {difference.n} studies; power {power:.0%}"
    if code == "UNDERPOWERED":
        found += f"; about {patients_needed(threshold, difference.sd, _USUAL_POWER)} studies are needed to decide"
    return RuleResult(
        rule=rule,
        kind="comparison",
        subject=subject,
        outcome=outcome,
        code=code,
        reason=margin.reason,
        source=margin.source,
        figure_name=_UPPER_BOUND,
        figure=difference.high,
        low=difference.low,
        high=difference.high,
        relation="<",
        threshold=threshold,
        unit=unit,
        found=found,
        n=difference.n,
        power=power,
    )


def _gain(policy: Policy, difference: Difference | None, added: int | None) -> RuleResult:
    wanted = policy.comparison
    rule = "comparison/all parameters/pooled_loss"
    if difference is None:
        return _insufficient(rule, "FIGURE_MISSING", "no study has a true value in both records", wanted.reason, POOLED)
    better = is_number(difference.high) and difference.high < -wanted.required_gain
    equal = _is_equal(wanted.equal, difference, added)
    note = f"; equal, with {added} new training patients: a person may approve" if equal and not better else ""
    return RuleResult(
        rule=rule,
        kind="comparison",
        subject=POOLED,
        outcome="PASS" if better else "HOLD",
        code="BETTER_THAN_CHAMPION" if better else "EQUAL_WITH_MORE_DATA" if equal else "NO_GAIN",
        reason=wanted.reason,
        source="policy",
        figure_name=_UPPER_BOUND,
        figure=difference.high,
        low=difference.low,
        high=difference.high,
        relation="<",
        threshold=0.0 - wanted.required_gain,
        unit="margins",
        found=f"mean difference {difference.mean:+.2f} margins over {difference.n} studies{note}",
        n=difference.n,
    )


def _is_equal(terms: Equal | None, difference: Difference, added: int | None) -> bool:
    """Whether the challenger counts as equal and learnt from enough new patients.

    A worse model has a larger bound, so a model that became worse never enters this path.
    """
    if terms is None or added is None or added < terms.new_patients:
        return False
    return is_number(difference.high) and difference.high < terms.within


def _seed_spread(policy: Policy, name: str, other_seeds: Sequence[EvaluationRecord]) -> tuple[float, str] | None:
    """The SD of the mean absolute error between seeds, and the source of this SD; None if no SD is known.

    If both the policy and the records give an SD, the function returns the larger SD. The challenger's own record is
    left out, because a worse challenger could be closer to the other fits and make the SD smaller.
    """
    known: list[tuple[float, str]] = []
    if policy.seeds is not None and name in policy.seeds.known:
        known.append((policy.seeds.known[name].sd, policy.seeds.known[name].source))
    found = spread_of(figure_over_seeds(other_seeds, name, MEAN_ERROR))
    if found is not None:
        known.append((found.sd, f"{found.n} fits of other seeds"))
    return max(known, default=None)


def _above_spread(policy: Policy, name: str, spread: float, source: str) -> RuleResult:
    assert policy.seeds is not None
    margin, least = policy.comparison.margins[name].margin, spread * policy.seeds.times_spread
    above = is_number(least) and margin >= least
    return RuleResult(
        rule=f"comparison/{name}/seed_spread",
        kind="comparison",
        subject=name,
        outcome="PASS" if above else "INSUFFICIENT",
        code="ABOVE_SEED_SPREAD" if above else "WITHIN_SEED_SPREAD",
        reason=policy.seeds.reason,
        source=source,
        figure_name="margin, compared with the spread between seeds",
        figure=margin,
        relation=">=",
        threshold=round(least, 9),
        unit=PARAMETERS[name].unit,
        found=f"the spread between seeds is {spread:.2f}; source: {source}",
    )


def _insufficient(rule: str, code: str, found: str, reason: str, subject: str) -> RuleResult:
    return plain_result(rule, "comparison", "INSUFFICIENT", code, found=found, reason=reason, subject=subject)

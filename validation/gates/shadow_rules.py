"""Shadow use: whether a challenger measured enough studies beside the champion, and how far the two disagree.

Contract: too few cases and disagreements lead to HOLD, never to a pass. A disagreement does not say which model is
right. Therefore a person's approval satisfies it, and does not satisfy too few cases.
"""

from validation.gates.evidence import Evidence
from validation.gates.policy import Policy
from validation.gates.rule_results import Outcome, RuleResult
from validation.gates.shadow_record import ShadowParameter, ShadowRecord
from validation.gates.shadow_terms import ShadowUse

_NONE = ShadowParameter(0, None, None, 0, 0)


def evaluate_shadow(policy: Policy, evidence: Evidence) -> list[RuleResult]:
    """The results of the policy's section on shadow use; none without the section or without a champion."""
    terms, champion = policy.shadow, evidence.champion
    if terms is None or champion is None:
        return []
    record = evidence.shadow
    if record is None or (record.champion, record.challenger) != (
        champion.model_digest,
        evidence.challenger.model_digest,
    ):
        record = ShadowRecord(champion.model_digest, evidence.challenger.model_digest, 0, 0, {})
    enough = record.cases >= terms.least_cases
    results = [_result(terms, "shadow use/cases", enough, "SHADOW_TOO_FEW", record.cases, terms.least_cases, "", ">=")]
    if not enough:
        return results
    for name, limit in terms.median_difference_at_most.items():
        found = record.parameters.get(name, _NONE)
        kept = found.median is not None and found.median <= limit
        rule = f"{name}/median difference to the champion"
        results.append(_result(terms, rule, kept, "SHADOW_DISAGREES", found.median, limit, "", "<=", found.count))
        alone = found.only_champion + found.only_challenger + record.refused
        share, most = alone / record.cases, terms.absences_at_most
        rule = f"{name}/share reported by one model only"
        results.append(_result(terms, rule, share <= most, "SHADOW_DISAGREES", share, most, "", "<=", record.cases))
    return results


def _result(
    terms: ShadowUse,
    rule: str,
    kept: bool,
    code: str,
    figure: float | None,
    limit: float,
    unit: str,
    relation: str,
    n: int | None = None,
) -> RuleResult:
    subject, name = rule.split("/")
    outcome: Outcome = "PASS" if kept else "HOLD"
    return RuleResult(
        rule=f"shadow/{rule}",
        kind="change",
        subject=subject,
        outcome=outcome,
        code="SHADOW_KEPT" if kept else code,
        reason=terms.reason,
        source=terms.source,
        figure_name=name,
        figure=None if figure is None else float(figure),
        relation=relation,
        threshold=float(limit),
        unit=unit,
        found="" if figure is not None else "no case in which both models report a value",
        n=n,
    )

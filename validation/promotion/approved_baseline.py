"""The approved baseline: the last model that a person approved.

Contract: a model that was denied by a rollback, or refused by a person, is not the baseline. Every candidate must be
compared with the baseline before its promotion, so that small losses do not add up unnoticed.
"""

from collections.abc import Collection, Sequence

from spine.errors import GateRefused
from validation.gates.policy import Policy
from validation.gates.verdict import Verdict
from validation.promotion.history import HistoryEntry
from validation.promotion.refusals import standing_refusals


def last_approved(
    entries: Sequence[HistoryEntry], production_model: str, denied: Collection[str]
) -> HistoryEntry | None:
    """The entry of the last approved promotion; None if there is none. Denied and refused models are left out.

    Args:
        denied: digests of the denied models (``ChampionRecord.denials``).
    """
    excluded = {*denied, *(refusal.model for refusal in standing_refusals(entries))}
    promoted = [e for e in entries if e.production_model == production_model and e.event == "promoted"]
    approved = [e for e in promoted if e.approval is not None and e.model_digest not in excluded]
    return approved[-1] if approved else None


def require_expected_baseline(
    policy: Policy, verdict: Verdict, entries: Sequence[HistoryEntry], production_model: str, denied: Collection[str]
) -> None:
    """Refuse a verdict that lacks the comparison with the last approved model, if the policy requires the comparison.

    Raises:
        GateRefused: STALE_BASELINE.
    """
    approved = last_approved(entries, production_model, denied)
    if policy.baseline is None or approved is None:
        return
    if approved.model_digest not in (verdict.baseline_model, verdict.champion_model):
        raise GateRefused(
            "STALE_BASELINE",
            found=f"a comparison with baseline {(verdict.baseline_model or 'none')[:12]}",
            expected=f"a comparison with {approved.model_digest[:12]}, the last model that a person approved",
            remedy="evaluate the expected model on the same test set, then judge again",
        )

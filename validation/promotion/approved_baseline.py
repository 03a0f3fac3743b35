"""The approved baseline: the last model that a person approved, with which every verdict must have been compared.

Contract: the baseline is an approved model that was neither left by a rollback nor refused since. A verdict was
compared with it, or with the champion where they are the same model, so that small losses cannot add up unnoticed.
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
    """The last promotion with an approval, of a model that may still serve; None without one.

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
    """Refuse a verdict that was not compared with the last approved model, where its policy asks for that.

    Args:
        denied: as in ``last_approved``.

    Raises:
        GateRefused: STALE_BASELINE.
    """
    approved = last_approved(entries, production_model, denied)
    if policy.baseline is None or approved is None:
        return
    if approved.model_digest not in (verdict.baseline_model, verdict.champion_model):
        raise GateRefused(
            "STALE_BASELINE",
            found=f"a verdict that was compared with baseline {(verdict.baseline_model or 'none')[:12]}",
            expected=f"baseline {approved.model_digest[:12]}, the last model that a person approved",
            remedy="evaluate that model on the same test set and judge again",
        )

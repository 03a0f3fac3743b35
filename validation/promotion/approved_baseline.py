"""The last model that a human approved: which it is, and whether a verdict was held against it.

Contract: where the history knows an approved model that nobody took back since (rolled back from, refused), a verdict
was compared with it, or with the champion when they are one; small steps down cannot add up unseen.
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
    """The last promotion that a human approved, of a model that may still serve; None without one.

    Args:
        denied: digests of the models that were rolled back from (``ChampionRecord.denials``).
    """
    against = {*denied, *(refusal.model for refusal in standing_refusals(entries))}
    mine = [e for e in entries if e.production_model == production_model and e.event == "promoted"]
    approved = [e for e in mine if e.approval is not None and e.model_digest not in against]
    return approved[-1] if approved else None


def require_expected_baseline(
    policy: Policy, verdict: Verdict, entries: Sequence[HistoryEntry], production_model: str, denied: Collection[str]
) -> None:
    """Refuse a verdict that was not held against the last approved model, where its policy asks for that.

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
            found=f"a verdict held against baseline {(verdict.baseline_model or 'none')[:12]}",
            expected=f"{approved.model_digest[:12]}, the last model a human approved",
            remedy="score that model on the same test set and judge again",
        )

"""The last model that a human approved: what it is, and whether a verdict was held against it.

What belongs here: finding it in the history and refusing a verdict that passed it over. What does not: comparing
(``comparing``), approving. Contract: where the history knows an approved model, a verdict was compared with it, or with
the champion when they are one; small steps down cannot add up unseen.
"""

from collections.abc import Sequence

from spine.errors import GateRefused
from validation.gates.history import HistoryEntry
from validation.gates.policy import Policy
from validation.gates.verdict import Verdict


def approved_baseline(entries: Sequence[HistoryEntry], production_model: str) -> HistoryEntry | None:
    """The last promotion that carries a human's approval, or None."""
    mine = [e for e in entries if e.production_model == production_model and e.event == "promoted"]
    return next((e for e in reversed(mine) if getattr(e, "approval", None) is not None), None)


def demand_expected_baseline(
    policy: Policy, verdict: Verdict, entries: Sequence[HistoryEntry], production_model: str
) -> None:
    """Refuse a verdict that was not held against the last approved model, where its policy asks for that.

    Raises:
        GateRefused: STALE_BASELINE.
    """
    approved = approved_baseline(entries, production_model)
    if policy.baseline is None or approved is None:
        return
    if approved.model_digest not in (verdict.baseline_model, verdict.champion_model):
        raise GateRefused(
            "STALE_BASELINE",
            found=f"a verdict held against baseline {(verdict.baseline_model or 'none')[:12]}",
            expected=f"{approved.model_digest[:12]}, the last model a human approved",
            remedy="score that model on the same test set and judge again",
        )

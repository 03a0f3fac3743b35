"""The last model that a human approved: what it is, and whether a verdict was held against it.

What belongs here: refusing a verdict that passed it over. What does not: finding it (``history``), comparing
(``comparing``), approving. Contract: where the history knows an approved model, a verdict was compared with it, or with
the champion when they are one; small steps down cannot add up unseen.
"""

from collections.abc import Sequence

from spine.errors import GateRefused
from validation.gates.history import HistoryEntry, last_approved
from validation.gates.policy import Policy
from validation.gates.verdict import Verdict


def demand_expected_baseline(
    policy: Policy, verdict: Verdict, entries: Sequence[HistoryEntry], production_model: str
) -> None:
    """Refuse a verdict that was not held against the last approved model, where its policy asks for that.

    Raises:
        GateRefused: STALE_BASELINE.
    """
    approved = last_approved(tuple(entries), production_model)
    if policy.baseline is None or approved is None:
        return
    if approved.model_digest not in (verdict.baseline_model, verdict.champion_model):
        raise GateRefused(
            "STALE_BASELINE",
            found=f"a verdict held against baseline {(verdict.baseline_model or 'none')[:12]}",
            expected=f"{approved.model_digest[:12]}, the last model a human approved",
            remedy="score that model on the same test set and judge again",
        )

"""Refusals: which models a person has refused, and whether the refusal still stands.

Contract: a refusal binds to the model's bytes, so the same model stays refused under every later verdict. It stands
until a later reinstatement of that model. "Later" is the order in the history; where only the sealed record of the
refusal is left, it is the order of the times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from spine.errors import GateRefused
from validation.promotion.history import HistoryEntry


@dataclass(frozen=True)
class Refusal:
    """A person's refusal of a model.

    Attributes:
        model, verdict: digests; production_model: where the model may not serve.
        by, at, comment: who, when (ISO 8601), why.
        record: digest of the sealed record.
        sequence: number of the history entry, None where the history has lost it.
    """

    model: str
    verdict: str
    production_model: str
    by: str
    at: str
    comment: str
    record: str
    sequence: int | None = None


def standing_refusals(entries: Sequence[HistoryEntry], sealed: Sequence[Refusal] = ()) -> tuple[Refusal, ...]:
    """Every refusal without a later reinstatement: those of the history in order, then those that it has lost.

    Args:
        sealed: the refusals of the sealed records.
    """
    written = [
        Refusal(
            model=e.model_digest,
            verdict=e.verdict or "",
            production_model=e.production_model,
            by=e.promoter,
            at=e.at,
            comment=e.reason or "",
            record=e.approval or "",
            sequence=e.sequence,
        )
        for e in entries
        if e.event == "rejected"
    ]
    known = {refusal.record for refusal in written}
    lost = [refusal for refusal in sealed if refusal.record not in known]
    return tuple(refusal for refusal in (*written, *lost) if not _is_reinstated(refusal, entries))


def require_no_refusal(model: str, entries: Sequence[HistoryEntry], sealed: Sequence[Refusal] = ()) -> None:
    """Refuse a model that a person has refused, under any verdict.

    Raises:
        GateRefused: APPROVAL_REJECTED.
    """
    refusal = next((r for r in standing_refusals(entries, sealed) if r.model == model), None)
    if refusal is not None:
        lost = f", sealed as {refusal.record[:12]}" if refusal.sequence is None else ""
        raise GateRefused(
            "APPROVAL_REJECTED",
            found=f"model {model[:12]}, refused by {refusal.by} on {refusal.at[:10]} with verdict "
            f"{refusal.verdict[:12]}{lost}: {refusal.comment}",
            expected="a model that no person has refused",
            remedy="train another candidate without the fault; judging the same files again changes nothing. If "
            "the refusal was a mistake, a person other than the author reinstates the model: "
            f"`plumbline reinstate {model[:12]} --as NAME --comment TEXT`",
        )


def _is_reinstated(refusal: Refusal, entries: Sequence[HistoryEntry]) -> bool:
    key = ("reinstated", refusal.model, refusal.production_model)
    reinstated = [e for e in entries if (e.event, e.model_digest, e.production_model) == key]
    if refusal.sequence is not None:
        return any(e.sequence > refusal.sequence for e in reinstated)
    refused_at = datetime.fromisoformat(refusal.at)
    return any(datetime.fromisoformat(e.at) >= refused_at for e in reinstated)

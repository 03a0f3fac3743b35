"""Refusals: which models a human has refused, and whether the refusal still stands.

Contract: a refusal binds to the bytes it was said of, not to the paper: judged again, the same model stays refused. It
stands until a lifting of that model is written after it; by the place in the history where its line is there, by the
clock where only the record is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from spine.errors import GateRefused
from validation.promotion.history import HistoryEntry


@dataclass(frozen=True)
class Refusal:
    """A human's no.

    Attributes:
        model, verdict: digests; production_model: where it may not serve.
        by, at, comment: who, when (ISO 8601), why.
        record: digest of the sealed record; line: its place in the history, None where that has no such line.
    """

    model: str
    verdict: str
    production_model: str
    by: str
    at: str
    comment: str
    record: str
    line: int | None = None


def standing_refusals(entries: Sequence[HistoryEntry], sealed: Sequence[Refusal] = ()) -> tuple[Refusal, ...]:
    """Every refusal that was not lifted, oldest first: those of the history, then those that it has lost."""
    told = [
        Refusal(
            e.model_digest, e.verdict or "", e.production_model, e.promoter, e.at, e.reason or "", e.approval or "",
            e.sequence,
        )
        for e in entries
        if e.event == "rejected"
    ]  # fmt: skip
    known = {refusal.record for refusal in told}
    lost = [refusal for refusal in sealed if refusal.record not in known]
    return tuple(refusal for refusal in (*told, *lost) if not _lifted(refusal, entries))


def require_no_refusal(model: str, entries: Sequence[HistoryEntry], sealed: Sequence[Refusal] = ()) -> None:
    """Refuse a model that a human refused, under whatever verdict.

    Raises:
        GateRefused: APPROVAL_REJECTED.
    """
    refusal = next((r for r in standing_refusals(entries, sealed) if r.model == model), None)
    if refusal is not None:
        lost = f", sealed as {refusal.record[:12]}" if refusal.line is None else ""
        raise GateRefused(
            "APPROVAL_REJECTED",
            found=f"model {model[:12]}, refused by {refusal.by} on {refusal.at[:10]} with verdict "
            f"{refusal.verdict[:12]}{lost}: {refusal.comment}",
            expected="a model that no human refused",
            remedy="answer the reason with another candidate; judging these bytes again changes nothing. If the "
            "refusal was a mistake, somebody other than the author lifts it: "
            f"`plumbline lift {model[:12]} --as NAME --comment TEXT`",
        )


def _lifted(refusal: Refusal, entries: Sequence[HistoryEntry]) -> bool:
    of_it = [
        e
        for e in entries
        if (e.event, e.model_digest, e.production_model) == ("lifted", refusal.model, refusal.production_model)
    ]
    if refusal.line is not None:
        return any(e.sequence > refusal.line for e in of_it)
    said = datetime.fromisoformat(refusal.at)
    return any(datetime.fromisoformat(e.at) >= said for e in of_it)

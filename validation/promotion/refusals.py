"""The refusals: the models that a person has refused and that were not reinstated since.

Contract: a refusal applies to the model's files, so the same model stays refused under every later verdict. A later
reinstatement of the model ends the refusal. "Later" means later in the history. If the history has lost the refusal,
and only its sealed record is left, the times of both are compared.
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
        model, verdict: digests of the model and of the refused verdict.
        production_model: the registered model to which the refused model must not be promoted.
        by, at, comment: person, time (ISO 8601) and reason.
        record: digest of the sealed record.
        sequence: number of the history entry; None if the history has lost the entry.
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
    """The refusals without a later reinstatement. Refusals that the history has lost are last.

    Args:
        sealed: the refusals from the sealed records.
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
    """Refuse a model that a person has refused and that was not reinstated since.

    Raises:
        GateRefused: APPROVAL_REJECTED.
    """
    refusal = next((r for r in standing_refusals(entries, sealed) if r.model == model), None)
    if refusal is not None:
        lost = f" (sealed record {refusal.record[:12]})" if refusal.sequence is None else ""
        raise GateRefused(
            "APPROVAL_REJECTED",
            found=f"{refusal.by} refused model {model[:12]} on {refusal.at[:10]}, after verdict "
            f"{refusal.verdict[:12]}{lost}: {refusal.comment}",
            expected="a model that no person has refused",
            remedy="train another candidate; judging the same files again does not help. If the refusal was a mistake, "
            "a person other than the author can reinstate the model: "
            f"`plumbline reinstate {model[:12]} --as NAME --comment TEXT`",
        )


def _is_reinstated(refusal: Refusal, entries: Sequence[HistoryEntry]) -> bool:
    key = ("reinstated", refusal.model, refusal.production_model)
    reinstated = [e for e in entries if (e.event, e.model_digest, e.production_model) == key]
    if refusal.sequence is not None:
        return any(e.sequence > refusal.sequence for e in reinstated)
    refused_at = datetime.fromisoformat(refusal.at)
    return any(datetime.fromisoformat(e.at) >= refused_at for e in reinstated)

"""Lifting: a human says that a model which was rolled back from, or refused, may serve again.

Contract: named, with a comment, by somebody else than the author, in the history and in the database or in neither; a
kill between the two is settled like any other move. One lifting takes away all that stands against the model. It does
not serve by that: it may be judged and promoted as any other, and be returned to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from spine.errors import GateRefused
from validation.promotion.approval import SignOff, require_other_person, require_signed, sealed_refusals
from validation.promotion.champion import TAG, open_registry, version_numbered
from validation.promotion.champion_change import mirror, settle
from validation.promotion.champion_record import Denial, ChampionRecord, open_champion_record
from validation.promotion.history import OUTCOME_OF, HistoryEntry, append_entry, read_history, require_time_goes_on
from validation.promotion.history_length import open_for_append
from validation.promotion.promote import refusing
from validation.promotion.refusals import Refusal, standing_refusals

_SHORTEST = 8


@dataclass(frozen=True)
class Reinstatement:
    """What stood against a model and does not any more.

    Attributes:
        digest: of the model; denial: of a rollback, None without one; refusals: by humans.
    """

    digest: str
    denial: Denial | None
    refusals: tuple[Refusal, ...]


def reinstate(
    tracking_uri: str, production_model: str, *, ledger_path: Path, model: str, word: SignOff, at: datetime,
    author: Callable[[str], str | None], approvals: Path | None = None,
) -> Reinstatement:  # fmt: skip
    """Lift what stands against ``model`` (a version, or the beginning of its digest).

    Args:
        author: who made the model of a digest, by its run; None where nobody can tell.
        approvals: folder of the sealed words, where refusals lie that the history has lost.

    Raises:
        GateRefused: APPROVAL_EMPTY (no name or comment), NOT_DENIED, SAME_PERSON (the author lifts nothing of their
            own), AUTHOR_UNKNOWN, HISTORY_CUT, HISTORY_BROKEN, CLOCK_WENT_BACK, REGISTRY_UNAVAILABLE, EVIDENCE_* (a
            sealed word is altered): nothing was lifted.
    """
    require_signed(word)
    with errors_as_refusals():
        client, seat = open_registry(tracking_uri), open_champion_record(tracking_uri, production_model)
        with open_for_append(seat, ledger_path):
            require_time_goes_on(read_history(ledger_path), at)
            holder = settle(client, seat, ledger_path, at)
            version = version_numbered(client, production_model, model) if model.isdigit() else None
            against = standing_refusals(read_history(ledger_path), sealed_refusals(approvals) if approvals else ())
            named = version.tags.get(TAG + "model_digest", "") if version is not None else model
            lifted = _find(seat, against, named)
            require_other_person(word.approver, author(lifted.digest))
            entry = HistoryEntry(
                "reinstatement_intended", at.isoformat(), word.approver.strip(), production_model,
                str(version.version) if version is not None else "", lifted.digest, holder.digest if holder else None,
                reason=word.comment.strip(),
            )  # fmt: skip
            announced = append_entry(ledger_path, entry)
            said = Denial(lifted.digest, entry.reason or "", entry.promoter, entry.at)
            seat.lift(said, announced.digest, denied=lifted.denial is not None)
            append_entry(ledger_path, replace(entry, event=OUTCOME_OF[entry.event]))
            if holder is not None:
                mirror(client, seat)  # the version's state follows
    return lifted


def _find(seat: ChampionRecord, refusals: Sequence[Refusal], digest: str) -> Reinstatement:
    denials = seat.denials()
    mine = [r for r in refusals if r.production_model == seat.production_model]
    known = dict.fromkeys((*denials, *(r.model for r in mine)))
    found = [d for d in known if len(digest) >= _SHORTEST and d.startswith(digest)]
    if len(found) == 1:
        return Reinstatement(found[0], denials.get(found[0]), tuple(r for r in mine if r.model == found[0]))
    raise GateRefused(
        "NOT_DENIED",
        found=f"{len(found)} denied or refused models of {digest[:12] or 'no digest'}",
        expected=f"one of those that are: {', '.join(d[:12] for d in known) or 'none'}",
        remedy=f"name its version, or at least {_SHORTEST} characters of its digest",
    )

"""Lifting a denial: a human says that a model which was rolled back from may serve again.

What belongs here: finding the denial, the order of the move. What does not: denying (``rollback``), the transaction
(``seat``). Contract: named, with a comment, in the history and in the database or in neither; a kill between the two is
settled like any other move. A model whose denial was lifted does not serve by that: it may be judged and promoted as
any other, and be returned to.
"""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from spine.errors import GateRefused
from validation.gates.anchor import anchored
from validation.gates.approval import Word, demand_signed
from validation.gates.champion import TAG, open_registry, version_numbered
from validation.gates.history import SETTLED_AS, HistoryEntry, append_entry, demand_time_goes_on, read_history
from validation.gates.moving import mirror, settle
from validation.gates.promotion import refusing
from validation.gates.seat import Denial, Seat, open_seat

_SHORTEST = 8


def lift_denial(
    tracking_uri: str, production_model: str, *, ledger_path: Path, model: str, word: Word, at: datetime
) -> Denial:
    """Take ``model`` (a version, or the beginning of its digest) off the deny-list; the denial that was lifted.

    Raises:
        GateRefused: APPROVAL_EMPTY (no name or comment), NOT_DENIED, HISTORY_CUT, HISTORY_BROKEN, CLOCK_WENT_BACK,
            REGISTRY_UNAVAILABLE: nothing was lifted.
    """
    demand_signed(word)
    with refusing():
        client, seat = open_registry(tracking_uri), open_seat(tracking_uri, production_model)
        with anchored(seat, ledger_path):
            demand_time_goes_on(read_history(ledger_path), at)
            holder = settle(client, seat, ledger_path, at)
            version = version_numbered(client, production_model, model) if model.isdigit() else None
            denial = _find(seat, version.tags.get(TAG + "model_digest", "") if version is not None else model)
            entry = HistoryEntry(
                "lift_intended", at.isoformat(), word.approver.strip(), production_model,
                str(version.version) if version is not None else "", denial.digest, holder.digest if holder else None,
                reason=word.comment.strip(),
            )  # fmt: skip
            announced = append_entry(ledger_path, entry)
            seat.lift(Denial(denial.digest, entry.reason or "", entry.promoter, entry.at), announced.digest)
            append_entry(ledger_path, replace(entry, event=SETTLED_AS[entry.event]))
            if holder is not None:
                mirror(client, seat)  # the version's state follows
    return denial


def _find(seat: Seat, digest: str) -> Denial:
    denials = seat.denials()
    found = [d for d in denials.values() if len(digest) >= _SHORTEST and d.digest.startswith(digest)]
    if len(found) == 1:
        return found[0]
    told = ", ".join(d.digest[:12] for d in denials.values()) or "none"
    raise GateRefused(
        "NOT_DENIED",
        found=f"{len(found)} denied models of {digest[:12] or 'no digest'}",
        expected=f"one of those that are denied: {told}",
        remedy=f"name its version, or at least {_SHORTEST} characters of its digest",
    )

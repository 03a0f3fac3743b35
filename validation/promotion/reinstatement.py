"""The reinstatement: a person permits a denied or refused model to go back into service.

Contract: a reinstatement has a name and a comment, and comes from a person other than the author. It is written to the
history and to the database. If the process is killed between these two steps, the next repair completes or abandons the
reinstatement. A reinstatement ends the denial and all refusals of the model. It does not put the model into service:
afterwards the model can be judged and promoted, or a rollback can return to it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from spine.errors import GateRefused
from validation.promotion.approval import SignOff, require_other_person, require_signed, sealed_refusals
from validation.promotion.champion import TAG, version_numbered
from validation.promotion.champion_change import open_for_change, sync, sync_aliases
from validation.promotion.champion_record import ChampionRecord, Denial, ServingVersion
from validation.promotion.history import OUTCOME_OF, HistoryEntry, append_entry, read_history
from validation.promotion.refusals import Refusal, standing_refusals

_SHORTEST_DIGEST = 8


@dataclass(frozen=True)
class ReinstatementRequest:
    """The input of ``reinstate``.

    Attributes:
        tracking_uri: the address of the registry.
        ledger_path: the file of the history.
        model: the model's version number, or the beginning of its digest.
        sign_off: the person who decides, and the reason.
        at: the time of the decision.
        author: a function from a model's digest to the model's author. It returns None if the run names no author.
        approvals: the folder of the sealed records, which also contain refusals that the history has lost.
    """

    tracking_uri: str
    production_model: str
    ledger_path: Path
    model: str
    sign_off: SignOff
    at: datetime
    author: Callable[[str], str | None]
    approvals: Path | None = None


@dataclass(frozen=True)
class Reinstatement:
    """The denial and the refusals that a reinstatement ended.

    Attributes:
        digest: digest of the model.
        denial: the denial by a rollback; None without a denial.
        refusals: the refusals by persons.
    """

    digest: str
    denial: Denial | None
    refusals: tuple[Refusal, ...]


def reinstate(request: ReinstatementRequest) -> Reinstatement:
    """End the denial and the refusals of a model.

    Raises:
        GateRefused: APPROVAL_EMPTY (no name or comment), NOT_DENIED, SAME_PERSON (the author), AUTHOR_UNKNOWN,
            HISTORY_CUT, HISTORY_BROKEN, CLOCK_WENT_BACK, REGISTRY_UNAVAILABLE, EVIDENCE_* (a sealed record is
            altered). All these codes mean that nothing changed.
    """
    require_signed(request.sign_off)
    model, ledger = request.production_model, request.ledger_path
    with open_for_change(request.tracking_uri, model, ledger, request.at) as (client, record):
        serving = sync(client, record, ledger, request.at)
        version = version_numbered(client, model, request.model) if request.model.isdigit() else None
        sealed = sealed_refusals(request.approvals) if request.approvals else ()
        refusals = standing_refusals(read_history(ledger), sealed)
        digest = version.tags.get(TAG + "model_digest", "") if version is not None else request.model
        found = _find(record, refusals, digest)
        require_other_person(request.sign_off.approver, request.author(found.digest))
        entry = _announcement(request, str(version.version) if version is not None else "", found.digest, serving)
        announced = append_entry(ledger, entry)
        why = Denial(found.digest, entry.reason or "", entry.promoter, entry.at)
        record.reinstate(why, announced.digest, denied=found.denial is not None)
        append_entry(ledger, replace(entry, event=OUTCOME_OF[entry.event]))
        if serving is not None:
            sync_aliases(client, record)  # This call also updates the version's state.
    return found


def _announcement(
    request: ReinstatementRequest, version: str, digest: str, serving: ServingVersion | None
) -> HistoryEntry:
    return HistoryEntry(
        event="reinstatement_intended",
        at=request.at.isoformat(),
        promoter=request.sign_off.approver.strip(),
        production_model=request.production_model,
        version=version,
        model_digest=digest,
        previous_digest=serving.digest if serving else None,
        reason=request.sign_off.comment.strip(),
    )


def _find(record: ChampionRecord, refusals: Sequence[Refusal], digest: str) -> Reinstatement:
    denials = record.denials()
    mine = [r for r in refusals if r.production_model == record.production_model]
    known = dict.fromkeys((*denials, *(r.model for r in mine)))
    found = [d for d in known if len(digest) >= _SHORTEST_DIGEST and d.startswith(digest)]
    if len(found) == 1:
        return Reinstatement(found[0], denials.get(found[0]), tuple(r for r in mine if r.model == found[0]))
    raise GateRefused(
        "NOT_DENIED",
        found=f"{len(found)} denied or refused models with digest {digest[:12] or '(none)'}",
        expected=f"one of the denied or refused models: {', '.join(d[:12] for d in known) or 'there is none'}",
        remedy=f"give the version number, or at least {_SHORTEST_DIGEST} characters of the digest",
    )

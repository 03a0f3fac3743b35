"""The history: its events, and the state that follows from them. This module decides which model is in service.

Contract: a history is a sequence of events, numbered from 0. Each event has the digest of the event before it.
``state_of`` is pure. It refuses a sequence whose chain is broken, or whose events contradict each other: no event can
put a denied or rejected model into service, use an approval twice, or replace a model that was not in service.

    approved    a person approved a verdict for one promotion
    rejected    a person rejected a model: its files can no longer go into service
    promoted    a judged model went into service
    rolled_back an earlier model went back into service, and the model that it replaced is denied
    reinstated  a person permitted a denied or rejected model to go into service again
    restored    a person restored lost or altered events, or went on after a clock that was ahead
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import reduce
from typing import Literal, get_args

from spine.errors import EvidenceRejected
from validation.evaluation.sealing import digest_of

SCHEMA = "plumbline.event/1"
GENESIS = "0" * 64
"""The field ``before`` of the first event."""

RESTORE = "`plumbline history --restore --as NAME --reason TEXT`"

Kind = Literal["approved", "rejected", "promoted", "rolled_back", "reinstated", "restored"]


@dataclass(frozen=True)
class Event:
    """One event in the history of a registered model. A field without a value is "".

    Attributes:
        at: time (ISO 8601).
        actor: the person or program that decided.
        account: the account that ran the command. A name is typed, and is only as trustworthy as the account.
        version, digest: the model concerned: its version in the registry, and the digest of its files.
        previous: digest of the champion before a promotion or a rollback.
        verdict: digest of the verdict.
        approval: the field ``sha256`` of the approval that a promotion used.
        expires: time at which an approval expires (ISO 8601).
        reason: a person's comment.
        model: the registered model whose history this is.
        sequence: number of the event.
        before: ``sha256`` of the previous event.
        sha256: digest of all other fields.
    """

    kind: Kind
    at: str
    actor: str
    account: str = ""
    version: str = ""
    digest: str = ""
    previous: str = ""
    verdict: str = ""
    approval: str = ""
    expires: str = ""
    reason: str = ""
    model: str = ""
    sequence: int = 0
    before: str = GENESIS
    sha256: str = ""


@dataclass(frozen=True)
class State:
    """What follows from a history.

    Attributes:
        events: the history.
        served: the event that last put each model into service. The last event, which is the champion's, is first.
        barred: digest of a denied or rejected model -> the events that barred it.
        approvals: ``sha256`` of each unused approval -> its event.
    """

    events: tuple[Event, ...] = ()
    served: tuple[Event, ...] = ()
    barred: Mapping[str, tuple[Event, ...]] = field(default_factory=dict)
    approvals: Mapping[str, Event] = field(default_factory=dict)

    @property
    def champion(self) -> Event | None:
        """The event that put the present model into service; None if no model was ever in service."""
        return self.served[0] if self.served else None

    @property
    def previous(self) -> Event | None:
        """The event of the last model before the champion that may go back into service."""
        return next((e for e in self.served[1:] if e.digest not in self.barred), None)

    @property
    def put_into_service(self) -> Mapping[str, Event]:
        """Version -> the last event that put it into service."""
        return {e.version: e for e in self.events if e.kind in ("promoted", "rolled_back")}

    @property
    def baseline(self) -> Event | None:
        """The promotion of the last model that a person approved and that is neither denied nor rejected."""
        approved = (e for e in reversed(self.events) if e.kind == "promoted" and e.approval)
        return next((e for e in approved if e.digest not in self.barred), None)


def chained(event: Event, events: tuple[Event, ...], model: str) -> Event:
    """The event with model, number and digests, so that it follows ``events``."""
    before = events[-1].sha256 if events else GENESIS
    event = replace(event, model=model, sequence=len(events), before=before, sha256="")
    return replace(event, sha256=_digest(event))


def state_of(events: Iterable[Event]) -> State:
    """The state after these events; raises the error of ``after`` for the first event that cannot follow."""
    return reduce(after, events, State())


def after(state: State, event: Event) -> State:
    """The state after one more event.

    Raises:
        EvidenceRejected: HISTORY_BROKEN: the event breaks the chain, or contradicts the events before it.
    """
    fault = _chain_fault(state, event) or contradiction(state, event)
    if fault:
        raise EvidenceRejected(
            "HISTORY_BROKEN",
            found=f"event {len(state.events)}: {fault}",
            expected="the events that were recorded",
            remedy="restore the database from a backup. Without a backup, put back the events of history.jsonl: "
            f"{RESTORE}. If that is refused, too, history.jsonl is not intact",
        )
    served, barred, approvals = state.served, dict(state.barred), dict(state.approvals)
    if event.kind == "approved":
        approvals[event.sha256] = event
    elif event.kind == "rejected":
        barred[event.digest] = (*barred.get(event.digest, ()), event)
    elif event.kind == "reinstated":
        del barred[event.digest]
    elif event.kind in ("promoted", "rolled_back"):
        approvals.pop(event.approval, None)
        served = (event, *(e for e in served if e.digest != event.digest))
        if event.kind == "rolled_back":
            barred[event.previous] = (*barred.get(event.previous, ()), event)
    return State((*state.events, event), served, barred, approvals)


def contradiction(state: State, event: Event) -> str:
    """Why ``event`` cannot follow; "" if it can."""
    if event.kind not in get_args(Kind) or not _is_time(event.at):
        return f"it is no event: kind {event.kind!r}, time {event.at!r}"
    if not event.actor.strip():
        return "no person or program is named"
    if event.kind == "approved" and not _is_time(event.expires):
        return "an approval does not expire"
    if event.kind in ("promoted", "rolled_back"):
        replaced = state.champion.digest if state.champion else ""
        if not event.version or event.previous != replaced:
            return (
                f"it replaces model {event.previous[:12] or 'none'}, but {replaced[:12] or 'no model'} was in service"
            )
        if event.digest in state.barred:
            return f"model {event.digest[:12]} went into service although it was denied or rejected"
    if event.kind == "promoted":
        if not event.verdict or not event.digest:
            return "a model was promoted without a verdict"
        approval = state.approvals.get(event.approval)
        if event.approval and approval is None:
            return f"approval {event.approval[:12]} was never given, or was used before"
        if approval is not None and (approval.verdict, approval.digest) != (event.verdict, event.digest):
            return f"approval {event.approval[:12]} is for another verdict or model"
    if event.kind == "rolled_back" and event.digest not in {e.digest for e in state.served[1:]}:
        return f"model {event.digest[:12]} was not in service before"
    if event.kind == "reinstated" and event.digest not in state.barred:
        return f"model {event.digest[:12]} was neither denied nor rejected"
    return ""


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _chain_fault(state: State, event: Event) -> str:
    last = state.events[-1] if state.events else None
    if (event.sequence, event.before) != (len(state.events), last.sha256 if last else GENESIS):
        return f"event {event.sequence} does not follow the event before it"
    if last is not None and event.model != last.model:
        return f"it belongs to the model {event.model}"
    return "" if event.sha256 == _digest(replace(event, sha256="")) else "the event was edited"


def _digest(event: Event) -> str:
    # A table that was edited by hand can have bytes in the place of text.
    content = {name: value if isinstance(value, str | int) else repr(value) for name, value in vars(event).items()}
    return digest_of(SCHEMA, content)

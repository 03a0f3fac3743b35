"""The status of a verdict: the approvals, rejections, promotions and rollbacks, with person, time and reason.

The status comes from the history. Each action has a line, and the oldest is first. A rejection of the same model under
another verdict counts, too, as it does in a promotion.
"""

from dataclasses import dataclass
from datetime import datetime

from spine.times import to_the_minute
from validation.gates.verdict import Verdict
from validation.promotion.events import Event, State

NOTHING = "no action yet"


@dataclass(frozen=True)
class VerdictStatus:
    """The actions on a verdict.

    Attributes:
        actions: one line for each action. The oldest action is first.
        decided: whether the model was promoted or refused, so that the verdict needs no further decision.
        serving: whether this verdict put the judged model into service and the model is still in service.
        no_rollback_target: whether a rollback has no model to which it could return.
        approved: whether an approval exists that can still be used.
        unknown: the reason why the status cannot be read; "" if the status is known.
    """

    actions: tuple[str, ...] = ()
    decided: bool = False
    serving: bool = False
    no_rollback_target: bool = False
    approved: bool = False
    unknown: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines to show: the actions. If there is no action, or if the actions are unknown, one line says so."""
        if self.unknown:
            return (f"the actions on this verdict are not known: {self.unknown}",)
        return self.actions or (NOTHING,)

    @property
    def text(self) -> str:
        """All lines as one text."""
        return "; ".join(self.lines)


def status_of(verdict: Verdict, state: State, at: datetime) -> VerdictStatus:
    """The status of ``verdict`` in the history ``state`` at the time ``at``."""
    about = [e for e in state.events if verdict.digest == e.verdict and e.kind in ("approved", "rejected", "promoted")]
    promoted = next((e for e in about if e.kind == "promoted"), None)
    bars = [e for e in state.barred.get(verdict.challenger_model, ()) if e.kind == "rejected"]
    actions = [(e, _described(e, state, at)) for e in about]
    actions += [(e, f"{_text(e)} (same model, verdict {e.verdict[:12]})") for e in bars if e.verdict != verdict.digest]
    if any(e.kind == "rejected" for e in about):
        ours = (e for e in state.events if e.kind == "reinstated" and e.digest == verdict.challenger_model)
        actions += [(e, f"model {_text(e)}") for e in ours]
    if promoted is not None:
        actions += _after(promoted, state)
    actions.sort(key=lambda action: action[0].sequence)
    valid = (e for e in state.approvals.values() if e.verdict == verdict.digest)
    return VerdictStatus(
        actions=tuple(text for _, text in actions),
        decided=promoted is not None or bool(bars),
        serving=promoted is not None and state.champion is not None and state.champion.digest == promoted.digest,
        no_rollback_target=promoted is not None and state.previous is None,
        approved=any(at < datetime.fromisoformat(e.expires) for e in valid),
    )


def _described(event: Event, state: State, at: datetime) -> str:
    if event.kind == "promoted":
        return f"promoted on {to_the_minute(event.at)} as version {event.version} by {event.actor}"
    if event.kind == "rejected":
        return _text(event)
    if event.sha256 not in state.approvals:
        return f"{_text(event)}; used"
    expired = not at < datetime.fromisoformat(event.expires)
    return f"{_text(event)}; {'expired' if expired else 'expires'} {to_the_minute(event.expires)}"


def _text(event: Event) -> str:
    return f"{event.kind} by {event.actor} on {to_the_minute(event.at)}: {event.reason or 'no comment'}"


def _after(promoted: Event, state: State) -> list[tuple[Event, str]]:
    """A line for each later event that took the promoted model out of service or put it back into service."""
    actions, serving = [], True
    later = (e for e in state.events[promoted.sequence + 1 :] if e.kind in ("promoted", "rolled_back"))
    for event in later:
        ours, when = event.digest == promoted.digest, f"{to_the_minute(event.at)} by {event.actor}"
        if serving and not ours and event.kind == "rolled_back":
            text = f"rolled back on {when}: {event.reason}; version {event.version} is in service instead"
            actions.append((event, text))
        elif serving and not ours:
            actions.append((event, f"replaced by version {event.version} on {to_the_minute(event.at)}"))
        elif ours and not serving:
            actions.append((event, f"back in service on {when}: {event.reason or event.kind}"))
        serving = ours
    return actions

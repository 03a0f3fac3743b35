"""Verdicts, events and states without a database."""

from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

from tests.validation.promotion.registry import AT, SERVED
from validation.gates.policy import DEFAULT_POLICY, Policy, read_policy
from validation.gates.rule_results import plain_result
from validation.gates.verdict import Verdict
from validation.promotion.events import Event, Kind, State, chained, state_of

MODELS = tuple(letter * 64 for letter in "abcdef")
"""Digests of models."""


@cache
def policy_with(required: str = "never", *, baseline: bool = True) -> Policy:
    """The default policy with another rule for approvals, and with or without the comparison with a baseline."""
    policy = read_policy(DEFAULT_POLICY)
    approval = policy.approval.model_copy(update={"required": required, "ttl_hours": 48.0})
    return policy.model_copy(update={"approval": approval} | ({} if baseline else {"baseline": None}))


@cache
def verdict_on(
    model: str,
    champion: str | None = None,
    *,
    decision: str = "PROMOTE",
    required: str = "never",
    baseline: str | None = None,
) -> Verdict:
    """A verdict by ``policy_with(required)``. The decision ``waits`` is a HOLD that only waits for an approval."""
    code, outcome = ("APPROVAL_NEEDED", "HOLD") if decision == "waits" else ("NO_GAIN", decision)
    held = plain_result("comparison/x", "comparison", outcome, code, found="", reason="r")  # type: ignore[arg-type]
    return Verdict(
        decision="HOLD" if decision == "waits" else decision,  # type: ignore[arg-type]
        results=() if decision == "PROMOTE" else (held,),
        policy="test",
        policy_version=1,
        policy_hash=policy_with(required).hash,
        challenger_model=model,
        challenger_evidence="e" * 64,
        champion_model=champion,
        champion_evidence=champion,
        test_digest="t" * 64,
        simulated=True,
        judged_at=AT.isoformat(),
        baseline_model=baseline,
    )


def event(kind: Kind, digest: str = "", **fields: Any) -> Event:
    """An event that is not chained yet. Its version is the place of the model in ``MODELS``."""
    served = (
        {"version": str(MODELS.index(digest) + 1), "verdict": "v" * 64} if kind in ("promoted", "rolled_back") else {}
    )
    made = {"at": AT.isoformat(), "actor": "test", "digest": digest} | served
    expires = {"expires": (AT + timedelta(hours=48)).isoformat()} if kind == "approved" else {}
    return Event(kind, **(made | expires | fields))


def events_of(*events: Event, before: tuple[Event, ...] = ()) -> tuple[Event, ...]:
    """The chained history of these events, after the events ``before``."""
    for each in events:
        before = (*before, chained(each, before, SERVED))
    return before


def forged(events: tuple[Event, ...], number: int, **fields: Any) -> tuple[Event, ...]:
    """The history with an edited event, in which every digest was computed again."""
    return events_of(*(replace(e, **fields) if e.sequence == number else e for e in events))


def state_after(*events: Event) -> State:
    """The state after these events."""
    return state_of(events_of(*events))

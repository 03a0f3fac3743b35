"""Random decisions by random people: no history puts a model into service that must not be in service.

The oracle computes from the written events alone, in another way than ``state_of``.
"""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.errors import EvidenceRejected, GateRefused
from tests.validation.promotion.registry import AT, SERVED
from tests.validation.promotion.short_histories import MODELS, events_of, policy_with, verdict_on
from validation.gates.verdict import Verdict
from validation.promotion.approval import SignOff
from validation.promotion.decisions import approved, promoted, reinstated, rejected, rolled_back
from validation.promotion.events import Event, State, chained, state_of
from validation.promotion.history import require_clock

KINDS = (*("promote",) * 6, *("approve",) * 4, *("reinstate",) * 3, *("roll back",) * 2, "reject")
PEOPLE = (*("R. Viewer",) * 6, *("N. Ay",) * 3, "A. Trainer", "a trainer ", " ")
AUTHORS = (*("A. Trainer",) * 7, *("N. Ay",) * 2, None)
JUDGED = (*("PROMOTE",) * 8, *("waits",) * 3, "HOLD", "REJECT", "INSUFFICIENT")
HOURS = (*(0.0,) * 4, *(1.0,) * 8, 30.0, 50.0, -0.05, -3.0)
SERVICES = ("promoted", "rolled_back")
TTL = timedelta(hours=48)


@dataclass
class World:
    """Models with authors, a policy, and people who decide at random."""

    chance: random.Random

    def __post_init__(self) -> None:
        pick = self.chance.choice
        self.authors = {model: pick(AUTHORS) for model in MODELS[:5]}
        self.required = pick(("never", "always", "first_champion"))
        self.verdicts: dict[str, Verdict] = {}
        self.last: Verdict | None = None

    def judged(self, state: State) -> Verdict:
        """The last verdict, or a new one: mostly a comparison with the present champion and baseline."""
        pick = self.chance.choice
        if self.last is None or pick((True, False, False)):
            champion = state.champion.digest if state.champion and pick((True, True, True, True, False)) else None
            baseline = state.baseline.digest if state.baseline and pick((True, True, True, False)) else None
            model, decision = pick(MODELS[:5]), pick(JUDGED)
            self.last = verdict_on(model, champion, decision=decision, required=self.required, baseline=baseline)
            self.verdicts[self.last.digest] = self.last
        return self.last

    def decide(self, state: State) -> Event:
        """The event of somebody's decision at some time, or a refusal."""
        pick, verdict, kind = self.chance.choice, self.judged(state), self.chance.choice(KINDS)
        at = datetime.fromisoformat(state.events[-1].at) if state.events else AT
        at += timedelta(hours=pick(HOURS))
        sign_off = SignOff(pick(PEOPLE), "why", pick((None, None, None, 1.0, 99.0)))
        policy, author = policy_with(self.required), self.authors[verdict.challenger_model]
        if kind == "approve":
            told = pick((author, author, author, "E. Lse"))  # The author's name can be corrected later.
            return approved(state, verdict, policy, sign_off, author=told, at=at)
        if kind == "reject":
            return rejected(verdict, sign_off, at)
        if kind == "reinstate":
            model = pick((*state.barred, MODELS[0]))
            return reinstated(state, model, sign_off, author_of=self.authors.get, at=at)
        if kind == "promote":
            given = [e.sha256 for e in state.events if e.kind == "approved"]
            named, version = pick((*given[-3:], "", "", "")), str(len(state.events) + 1)
            return promoted(state, verdict, policy, version=version, author=author, approval=named, actor="test", at=at)
        if not state.served[1:] or state.champion is None:
            raise GateRefused("NO_GOOD_MODEL", "", "", "")
        return rolled_back(state, pick(state.served[1:]), state.champion, reason="why", actor="test", at=at)


def play(world: World, steps: int) -> tuple[tuple[Event, ...], Counter[str]]:
    """The events of a history after so many decisions, and how often each kind of event or refusal occurred."""
    state, seen = State(), Counter[str]()
    for _ in range(steps):
        try:
            event = world.decide(state)
            require_clock(state, datetime.fromisoformat(event.at))
        except GateRefused as refusal:
            seen[refusal.code] += 1
            continue
        state = state_of((*state.events, chained(event, state.events, SERVED)))
        seen[event.kind] += 1
        served = [e.digest for e in state.events if e.kind in SERVICES]
        assert (state.champion.digest if state.champion else None) == (served[-1] if served else None)
        assert violations(world, state.events[-1], state.events[:-1]) == []
    return state.events, seen


def last_word(earlier: Sequence[Event], digest: str) -> str:
    """The kind of the last event that barred or reinstated the model; "" if there is none."""
    for event in reversed(earlier):
        barred = event.previous if event.kind == "rolled_back" else event.digest
        if barred == digest and event.kind in ("rejected", "rolled_back", "reinstated"):
            return event.kind
    return ""


def true_ones(faults: dict[str, bool]) -> list[str]:
    return [fault for fault, holds in faults.items() if holds]


def violations(world: World, event: Event, earlier: Sequence[Event]) -> list[str]:
    """What is wrong with an event that puts a model into service, from the events alone."""
    if event.kind not in SERVICES:
        return []
    promotions = [e for e in earlier if e.kind == "promoted"]
    barred = last_word(earlier, event.digest) in ("rejected", "rolled_back")
    found = ["a denied or rejected model"] if barred else []
    if event.kind == "rolled_back":
        return found + true_ones({"never in service": event.digest not in {e.digest for e in promotions}})
    verdict = world.verdicts.get(event.verdict)
    if verdict is None or verdict.challenger_model != event.digest:
        return [*found, "no verdict on this model"]
    waits, compared = verdict.decision == "HOLD", (verdict.champion_model, verdict.baseline_model)
    champion = [e.digest for e in earlier if e.kind in SERVICES][-1:] or [None]
    baseline = [e.digest for e in promotions if e.approval and last_word(earlier, e.digest) in ("", "reinstated")][-1:]
    first = world.required == "first_champion" and not promotions
    faults = {
        "the verdict permits no promotion": verdict.decision not in ("PROMOTE", "HOLD"),
        "HOLD for another reason": waits and {r.code for r in verdict.results} != {"APPROVAL_NEEDED"},
        "no required approval": not event.approval and (waits or first or world.required == "always"),
        "compared with another champion": compared[0] != champion[0],
        "not compared with the last approved model": not set(baseline) <= set(compared),
    }
    return found + true_ones(faults) + (approval_faults(world, event, earlier) if event.approval else [])


def approval_faults(world: World, event: Event, earlier: Sequence[Event]) -> list[str]:
    given = [e for e in earlier if e.kind == "approved" and e.sha256 == event.approval]
    if not given:
        return ["nobody gave the approval"]
    approval, author = given[0], world.authors[event.digest] or ""
    now, begin, end = map(datetime.fromisoformat, (event.at, approval.at, approval.expires))
    plain = [re.sub(r"\W", "", name.lower()) for name in (approval.actor, author)]
    faults = {
        "approval of another verdict or model": (approval.verdict, approval.digest) != (event.verdict, event.digest),
        "approval used before": event.approval in {e.approval for e in earlier if e.kind == "promoted"},
        "approval out of its time": not begin <= now < end or end - begin > TTL,
        "approval by the author, or without an author": plain[0] == plain[1] or not plain[1],
    }
    return true_ones(faults)


chances = st.randoms(use_true_random=True)
"""Sources of chance with the probabilities that the second test counts."""


@settings(max_examples=150, deadline=None)
@given(chances, st.integers(1, 60))
def test_no_random_history_serves_what_must_not_serve(chance: random.Random, steps: int) -> None:
    play(World(chance), steps)


def test_the_random_histories_reach_every_event_and_refusal() -> None:
    """Otherwise the property above says nothing."""
    seen, used = Counter[str](), 0
    for seed in range(300):
        events, counted = play(World(random.Random(seed)), 50)
        seen, used = seen + counted, used + sum(e.kind == "promoted" and bool(e.approval) for e in events)
    done = {kind: seen[kind] for kind in ("approved", "rejected", "promoted", "rolled_back", "reinstated")}
    assert used > 60 and min(done.values()) > 60, (used, done)
    refused = {"STALE_CHAMPION", "STALE_BASELINE", "MODEL_DENIED", "SAME_PERSON", "AUTHOR_UNKNOWN", "NOT_DENIED"}
    refused |= {"VERDICT_HOLD", "VERDICT_REJECT", "CLOCK_WENT_BACK"}
    refused |= {f"APPROVAL_{w}" for w in ("MISSING", "REJECTED", "OTHER", "EXPIRED", "POINTLESS", "EMPTY", "TTL")}
    assert {code for code in refused if not seen[code]} == set()


def forged_by(chance: random.Random, world: World, events: Sequence[Event], served: Sequence[Event]) -> Event:
    """A service with another model, approval, verdict or kind than decided."""
    pick, present = chance.choice, served[-1].digest
    fields: dict[str, Any] = {
        "kind": pick(("promoted", "promoted", "rolled_back")),
        "digest": pick((*MODELS[:5], "")),
        "previous": pick((*(present,) * 5, *MODELS[:5], "")),
        "approval": pick((*(e.sha256 for e in events if e.kind == "approved"), *("",) * 5, "f" * 64)),
        "verdict": pick((*sorted(world.verdicts), *("",) * 5)),
    }
    return replace(pick(served), **fields)


@settings(max_examples=100, deadline=None)
@given(chances)
def test_a_forged_event_that_serves_what_must_not_serve_is_refused(chance: random.Random) -> None:
    """The forger can compute all digests. Every other forged event is a history that can happen."""
    world = World(chance)
    events, _ = play(world, 50)
    served = [e for e in events if e.kind in SERVICES]
    for _ in range(10 if served else 0):
        forged = forged_by(chance, world, events, served)
        wrong = forged.previous != served[-1].digest
        wrong |= last_word(events, forged.digest) in ("rejected", "rolled_back")
        if forged.kind == "rolled_back":
            wrong |= forged.digest not in {e.digest for e in served} - {served[-1].digest}
        else:
            approval = next((e for e in events if e.sha256 == forged.approval), forged)
            wrong |= not forged.verdict or not forged.digest or forged.approval == "f" * 64
            wrong |= forged.approval in {e.approval for e in served} - {""}
            wrong |= (approval.verdict, approval.digest) != (forged.verdict, forged.digest)
        if not wrong:
            state_of(events_of(forged, before=events))
            continue
        with pytest.raises(EvidenceRejected, match=f"HISTORY_BROKEN: found event {len(events)}"):
            state_of(events_of(forged, before=events))

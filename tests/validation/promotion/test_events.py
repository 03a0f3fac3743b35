"""The history without a database: which events are refused, and which state follows from them."""

from dataclasses import replace
from typing import Any

import pytest

from spine.errors import EvidenceRejected
from tests.validation.promotion.registry import SERVED
from tests.validation.promotion.short_histories import MODELS, event, events_of, state_after
from validation.promotion.events import Event, chained, contradiction, state_of

A, B, C, D, *_ = MODELS
V = "v" * 64
FIRST, SECOND = event("promoted", A), event("promoted", B, previous=A)
APPROVED = event("approved", A, verdict=V)
APPROVAL = events_of(APPROVED)[0].sha256
ROLLED_BACK = event("rolled_back", A, previous=B)
HISTORY = events_of(APPROVED, replace(FIRST, approval=APPROVAL), SECOND, ROLLED_BACK, event("reinstated", B))


def edited(number: int, **fields: Any) -> tuple[Event, ...]:
    """The history in which an event was edited."""
    return tuple(replace(e, **fields) if e.sequence == number else e for e in HISTORY)


@pytest.mark.parametrize(
    ("what", "events", "number"),
    [
        ("removed first", HISTORY[1:], 0),
        ("removed", HISTORY[:2] + HISTORY[3:], 2),
        ("swapped", (HISTORY[0], HISTORY[2], HISTORY[1], *HISTORY[3:]), 1),
        ("repeated", HISTORY[:2] + HISTORY[1:], 2),
        ("inserted", (*HISTORY[:2], chained(FIRST, HISTORY[:2], SERVED), *HISTORY[2:]), 2),
        ("a second beginning", HISTORY + events_of(FIRST), 5),
        ("of another model", (*HISTORY[:4], chained(HISTORY[4], HISTORY[:4], "another")), 4),
        ("edited", edited(0, expires="2099-01-01T00:00:00+00:00"), 0),
        ("edited", edited(0, sequence=7), 0),
        ("edited", edited(1, sha256="0" * 64), 1),
        ("edited", edited(2, digest=C), 2),
        ("edited", edited(3, reason="another reason"), 3),
        ("edited", edited(4, actor="somebody"), 4),
    ],
)
def test_an_edited_removed_inserted_or_moved_event_is_refused(
    what: str, events: tuple[Event, ...], number: int
) -> None:
    assert len(state_of(HISTORY).events) == 5
    with pytest.raises(EvidenceRejected, match=rf"HISTORY_BROKEN: found event {number}:.*plumbline history --restore"):
        state_of(events)


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (event("promoted", A), "replaces model none, but bbbbbbbbbbbb was in service"),
        (event("promoted", C, previous=A), "replaces model aaaaaaaaaaaa, but bbbbbbbbbbbb"),
        (event("promoted", C, previous=B, version=""), "replaces model"),
        (event("promoted", D, previous=B), "dddddddddddd went into service although"),
        (event("promoted", C, previous=B, verdict=""), "without a verdict"),
        (replace(FIRST, digest="", previous=B), "without a verdict"),
        (event("promoted", C, previous=B, approval="9" * 64), "never given"),
        (event("promoted", A, previous=B, approval=APPROVAL), "was used before"),
        (event("promoted", C, previous=B, approval="other"), "another verdict or model"),
        (event("promoted", B, previous=B, verdict="w" * 64, approval="other"), "another verdict or model"),
        (event("rolled_back", A, previous=A), "replaces model"),
        (event("rolled_back", B, previous=B), "bbbbbbbbbbbb was not in service before"),
        (event("rolled_back", C, previous=B), "cccccccccccc was not in service before"),
        (event("rolled_back", D, previous=B), "although it was denied or rejected"),
        (event("reinstated", A), "neither denied nor rejected"),
        (replace(event("rejected", A), kind="observed"), "no event: kind 'observed'"),  # type: ignore[arg-type]
        (event("rejected", A, at="2026-11-23"), "time '2026-11-23'"),
        (event("approved", A, expires="tomorrow"), "does not expire"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_event_that_contradicts_the_others_is_refused(last: Event, why: str) -> None:
    """An intact chain does not help: whoever forges an event can compute its digests."""
    history = events_of(APPROVED, replace(FIRST, approval=APPROVAL), SECOND, event("rejected", D))
    other = events_of(event("approved", B, verdict=V), before=history)
    last = replace(last, approval=other[-1].sha256) if last.approval == "other" else last
    assert why in contradiction(state_of(other), last)
    with pytest.raises(EvidenceRejected, match="HISTORY_BROKEN: found event 5"):
        state_of(events_of(last, before=other))


def digests(*found: Event | None) -> tuple[str | None, ...]:
    return tuple(each.digest if each is not None else None for each in found)


@pytest.mark.parametrize(
    ("events", "champion", "previous", "barred"),
    [
        ((), None, None, set()),
        ((event("rejected", A), event("rejected", A)), None, None, {A}),
        ((FIRST,), A, None, set()),
        ((FIRST, SECOND), B, A, set()),
        ((FIRST, SECOND, event("promoted", C, previous=B)), C, B, set()),
        ((FIRST, SECOND, event("promoted", A, previous=B, version="3")), A, B, set()),
        ((FIRST, SECOND, event("rejected", A)), B, None, {A}),
        ((FIRST, SECOND, event("rejected", B)), B, A, {B}),
        ((FIRST, SECOND, ROLLED_BACK), A, None, {B}),
        ((FIRST, SECOND, ROLLED_BACK, event("reinstated", B)), A, B, set()),
        ((FIRST, SECOND, ROLLED_BACK, event("rejected", B), event("reinstated", B)), A, B, set()),
        ((FIRST, SECOND, event("promoted", C, previous=B), event("rolled_back", A, previous=C)), A, B, {C}),
        ((FIRST, SECOND, ROLLED_BACK, event("promoted", C, previous=A), event("restored")), C, A, {B}),
    ],
)
def test_the_state_follows_from_the_events(
    events: tuple[Event, ...], champion: str | None, previous: str | None, barred: set[str]
) -> None:
    state = state_after(*events)
    assert digests(state.champion, state.previous) == (champion, previous)
    assert set(state.barred) == barred
    assert state.baseline is None, "no model was approved"


def test_every_bar_is_kept_until_a_reinstatement_and_every_approval_until_its_use() -> None:
    bars = state_after(FIRST, SECOND, ROLLED_BACK, event("rejected", B)).barred[B]
    assert [bar.kind for bar in bars] == ["rolled_back", "rejected"]
    assert set(state_of(HISTORY[:1]).approvals) == {APPROVAL}
    assert state_of(HISTORY[:2]).approvals == {}
    again = events_of(APPROVED, before=HISTORY)
    assert set(state_of(again).approvals) == {again[-1].sha256} != {APPROVAL}


def test_the_baseline_is_the_last_approved_model_that_is_not_barred() -> None:
    """G12: a model without an approval is no baseline, and a barred one is none until it is reinstated."""
    both = events_of(APPROVED, replace(FIRST, approval=APPROVAL), event("approved", B, verdict=V))
    both = events_of(replace(SECOND, approval=both[2].sha256), event("promoted", C, previous=B), before=both)
    assert digests(state_of(both).baseline) == (B,)
    without = events_of(event("rejected", B), before=both)
    assert digests(state_of(without).baseline) == (A,)
    assert digests(state_of(events_of(event("rejected", A), before=without)).baseline) == (None,)
    assert digests(state_of(events_of(event("reinstated", B), before=without)).baseline) == (B,)

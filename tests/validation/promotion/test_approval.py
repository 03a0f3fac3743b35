"""Approval (fault G13): who may approve which verdict, how long and how often it is valid, and when it is required."""

from datetime import timedelta
from typing import Any

import pytest
import yaml

from spine.errors import GateRefused
from tests.validation.promotion.registry import AT, AUTHOR, REVIEWER, Registry
from tests.validation.promotion.short_histories import MODELS, event, events_of, policy_with, state_after, verdict_on
from validation.gates.policy import DEFAULT_POLICY
from validation.promotion.approval import SignOff
from validation.promotion.decisions import approved, promoted
from validation.promotion.events import Event, State, state_of
from validation.registry.client import TAG, open_registry

A, B, C, *_ = MODELS
ALWAYS, VERDICT = policy_with("always"), verdict_on(A, required="always")
FIRST, REJECTED = verdict_on(A, required="first_champion"), verdict_on(A, decision="REJECT", required="always")
WAITS = verdict_on(A, decision="waits", required="always")
EMPTY, HOUR = State(), timedelta(hours=1)


def approve(state: State = EMPTY, person: str = "R. Viewer", ttl: float | None = None, **changes: Any) -> Event:
    sign_off = SignOff(person, changes.pop("comment", "good"), ttl)
    arguments: dict[str, Any] = {"verdict": VERDICT, "policy": ALWAYS, "author": AUTHOR, "at": AT} | changes
    return approved(state, sign_off=sign_off, **arguments)


def promote(state: State, **changes: Any) -> Event:
    arguments: dict[str, Any] = {"verdict": VERDICT, "policy": ALWAYS, "author": AUTHOR, "at": AT} | changes
    return promoted(state, version="1", actor="test", **({"approval": ""} | arguments))


GIVEN = state_after(approve())
MINE = GIVEN.events[0].sha256
BRIEF = state_after(approve(ttl=2.0))
DONE = state_after(event("promoted", A, verdict=VERDICT.digest))


@pytest.mark.parametrize("name", [AUTHOR, "a. trainer", " A  Trainer "])
def test_nobody_approves_their_own(name: str) -> None:
    with pytest.raises(GateRefused, match="SAME_PERSON"):
        approve(person=name)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        *(("AUTHOR_UNKNOWN", {"author": author}) for author in (None, "", " . ")),
        *(("APPROVAL_TTL", {"ttl": hours}) for hours in (0.0, -1.0, 48.5, float("nan"), float("inf"))),
        *(("APPROVAL_EMPTY", {"person": person}) for person in (" ", ".")),
        ("APPROVAL_EMPTY", {"comment": "  "}),
        ("APPROVAL_POINTLESS", {"verdict": REJECTED}),
        ("APPROVAL_POINTLESS", {"verdict": verdict_on(A, decision="HOLD", required="always")}),
        ("APPROVAL_POINTLESS", {"policy": policy_with("never")}),
        (f"POINTLESS.*which test used for the promotion of version 1 on {AT:%Y-%m-%d}", {"state": DONE}),
        ("APPROVAL_REJECTED", {"state": state_after(event("rejected", A))}),
    ],
)
def test_an_approval_that_cannot_help_or_is_not_signed_is_not_given(code: str, changes: dict[str, Any]) -> None:
    with pytest.raises(GateRefused, match=code):
        approve(**changes)


def test_approver_is_compared_with_the_author_again_at_promotion() -> None:
    """An approval that was given under a wrong author's name does not help."""
    given = state_after(approve(person=AUTHOR, author="somebody else"))
    with pytest.raises(GateRefused, match="SAME_PERSON"):
        promote(given)
    assert promote(given, author="somebody else").approval == given.events[0].sha256


@pytest.mark.parametrize(
    ("code", "state", "changes"),
    [
        ("AUTHOR_UNKNOWN", GIVEN, {"author": None}),
        ("APPROVAL_MISSING", EMPTY, {}),
        (
            "APPROVAL_MISSING: .*only waits for a person's approval",
            EMPTY,
            {"verdict": verdict_on(A, decision="waits"), "policy": policy_with()},
        ),
        ("APPROVAL_MISSING", EMPTY, {"verdict": FIRST, "policy": policy_with("first_champion")}),
        ("APPROVAL_MISSING", GIVEN, {"verdict": verdict_on(B, required="always")}),
        ("APPROVAL_OTHER", GIVEN, {"verdict": verdict_on(B, required="always"), "approval": MINE}),
        ("APPROVAL_MISSING", GIVEN, {"verdict": WAITS}),
        ("APPROVAL_OTHER", GIVEN, {"verdict": WAITS, "approval": MINE}),
        ("APPROVAL_UNKNOWN", GIVEN, {"approval": "9" * 64}),
        ("APPROVAL_UNKNOWN", GIVEN, {"approval": MINE[:7]}),
        ("APPROVAL_UNKNOWN", EMPTY, {"approval": MINE}),
        ("APPROVAL_EXPIRED", GIVEN, {"at": AT + 48 * HOUR}),
        ("APPROVAL_EXPIRED", BRIEF, {"at": AT + 2 * HOUR}),
        ("APPROVAL_NOT_YET", BRIEF, {"at": AT - HOUR / 60}),
        ("VERDICT_REJECT", GIVEN, {"verdict": REJECTED}),
    ],
)
def test_a_promotion_that_no_approval_permits_is_refused(code: str, state: State, changes: dict[str, Any]) -> None:
    with pytest.raises(GateRefused, match=code):
        promote(state, **changes)


def test_the_latest_valid_approval_is_used() -> None:
    assert promote(BRIEF, at=AT + HOUR).approval == BRIEF.events[0].sha256
    again = events_of(approve(BRIEF, at=AT + 2 * HOUR), before=BRIEF.events)
    assert promote(state_of(again), at=AT + 3 * HOUR).approval == again[1].sha256


def test_replayed_approval_is_refused() -> None:
    """An approval works once, even if the same verdict fits again after a rollback and a reinstatement."""
    verdict, policy = verdict_on(A, B, required="always"), policy_with("always", baseline=False)
    before = events_of(event("promoted", B))
    given = events_of(approve(state_of(before), verdict=verdict), before=before)
    used = events_of(promote(state_of(given), verdict=verdict), before=given)
    back = state_of(events_of(event("rolled_back", B, previous=A), event("reinstated", A), before=used))
    for named in ("", given[-1].sha256):
        with pytest.raises(GateRefused, match="APPROVAL_USED"):
            promote(back, policy=policy, verdict=verdict, approval=named)


def test_first_champion_alone_needs_a_person() -> None:
    """G8: a person approves the first champion; the figures decide on later ones."""
    policy = policy_with("first_champion")
    assert promote(state_after(approve(verdict=FIRST, policy=policy)), verdict=FIRST, policy=policy).approval
    later = verdict_on(B, A, required="first_champion")
    assert promote(DONE, verdict=later, policy=policy).approval == ""


@pytest.mark.parametrize("required", ["never", "always"])
def test_verdict_held_for_approval_is_promoted_with_one(required: str) -> None:
    """``first_champion: needs_approval`` gives HOLD; an approval satisfies that rule and no other."""
    verdict, policy = verdict_on(A, decision="waits", required=required), policy_with(required)
    assert promote(state_after(approve(verdict=verdict, policy=policy)), verdict=verdict, policy=policy).approval


def test_a_verdict_without_the_baseline_is_refused() -> None:
    """G12: the last approved model is compared, too; or it is the champion, or the policy does not ask for it."""
    approved_champion = events_of(promote(GIVEN), before=GIVEN.events)
    history = state_of(events_of(event("promoted", B, previous=A), before=approved_champion))
    for baseline in (None, C):
        with pytest.raises(GateRefused, match="STALE_BASELINE"):
            promote(history, policy=policy_with(), verdict=verdict_on(C, B, baseline=baseline))
    assert promote(history, policy=policy_with(), verdict=verdict_on(C, B, baseline=A)).previous == B
    assert promote(history, policy=policy_with(baseline=False), verdict=verdict_on(C, B)).previous == B
    assert promote(state_of(approved_champion), policy=policy_with(), verdict=verdict_on(C, A)).previous == A


def require(registry: Registry, required: str, **other: Any) -> None:
    """Let the registry's policy require an approval."""
    content = yaml.safe_load(DEFAULT_POLICY.read_text())
    content["approval"] = {"required": required, "ttl_hours": 48.0, "reason": "a person answers for it"}
    registry.policy = registry.folder / "policy.yaml"
    registry.policy.write_text(yaml.safe_dump(content | other))


def test_a_required_approval_promotes_the_judged_model_once_and_is_in_the_history(registry: Registry) -> None:
    require(registry, "always")
    address = registry.candidate("model")
    registry.refuses(address, "APPROVAL_MISSING")
    given = registry.approve(registry.judge("model"))
    promotion = registry.promote(address, approval=given.sha256[:12])
    assert registry.state.events == (given, promotion)
    assert (given.actor, given.reason, given.digest) == ("R. Viewer", REVIEWER.comment, registry.digest("model"))
    assert (promotion.approval, promotion.digest) == (given.sha256, given.digest)
    registry.refuses(address, "STALE_CHAMPION", approval=given.sha256)


def test_unknown_author_is_refused(registry: Registry) -> None:
    """The author is the one that the candidate's run names at the promotion."""
    require(registry, "always")
    address = registry.candidate("model")
    registry.approve(registry.judge("model"), SignOff(AUTHOR, "mine"), author="somebody else")
    registry.refuses(address, "SAME_PERSON")
    open_registry(registry.tracking_uri).delete_tag(registry.stored(address).name, TAG + "author")
    registry.refuses(address, "AUTHOR_UNKNOWN")


def test_forged_and_edited_approvals_are_refused(registry: Registry) -> None:
    """An approval is an event: one that was added or edited in the database breaks the chain of the history."""
    require(registry, "always")
    address = registry.candidate("model")
    registry.approve(registry.judge("model"), SignOff(AUTHOR, "mine"), author="somebody else")
    registry.execute("UPDATE plumbline_events SET actor = 'R. Viewer'")
    with pytest.raises(GateRefused, match="HISTORY_BROKEN: found event 0: the event was edited"):
        registry.promote(address)


def test_a_rejected_model_stays_rejected_when_it_is_judged_again(registry: Registry) -> None:
    """The rejection is bound to the model's files, under any policy. Another verdict on them does not end it."""
    address = registry.register("model")
    first = registry.judge("model")
    registry.reject(first, SignOff("R. Viewer", "three mirrored spines"))
    registry.refuses(address, "APPROVAL_REJECTED")
    require(registry, "never", version=99)
    assert registry.judge("model").digest != first.digest
    refusal = registry.refuses(address, "APPROVAL_REJECTED")
    for part in ("R. Viewer", f"{AT:%Y-%m-%d}", first.digest[:12], "three mirrored spines"):
        assert part in refusal.found
    assert f"plumbline reinstate {registry.digest('model')[:12]}" in refusal.remedy
    registry.promote(registry.candidate("other"))

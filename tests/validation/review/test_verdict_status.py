"""The status of a verdict after actions of people and of the gate."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.validation.review.constructed_reviews import AT
from validation.gates.verdict import Verdict
from validation.promotion.events import Event, State, chained, state_of
from validation.review.actions import advice_for, approval_notice, options_for
from validation.review.page import ReviewMaterial, render_review
from validation.review.verdict_status import NOTHING, VerdictStatus, status_of

Make = Callable[..., ReviewMaterial]
OTHER = "f" * 64


@pytest.fixture
def verdict(material: Make) -> Verdict:
    return replace(material().verdict, decision="PROMOTE", results=())


def history(verdict: Verdict, *steps: tuple[str, dict[str, Any]]) -> State:
    """The state after events an hour apart about the verdict and its model; ``steps`` can change single fields."""
    events: tuple[Event, ...] = ()
    for kind, changes in steps:
        champion = state_of(events).champion
        fields: dict[str, Any] = {
            "at": (AT + timedelta(hours=len(events))).isoformat(), "actor": "R. Viewer", "version": "3",
            "digest": verdict.challenger_model, "verdict": verdict.digest,
            "previous": champion.digest if champion else "",
            "expires": (AT + timedelta(hours=72)).isoformat() if kind == "approved" else "",
        }  # fmt: skip
        events = (*events, chained(Event(kind, **(fields | changes)), events, "plumbline"))  # type: ignore[arg-type]
    return state_of(events)


def status(verdict: Verdict, *steps: tuple[str, dict[str, Any]], hours: float = 99) -> VerdictStatus:
    return status_of(verdict, history(verdict, *steps), AT + timedelta(hours=hours))


def titles(verdict: Verdict, done: VerdictStatus) -> set[str]:
    return {option.title for option in options_for(verdict, None, done)}


PROMOTED: tuple[str, dict[str, Any]] = ("promoted", {})
OF_OTHER: dict[str, Any] = {"verdict": OTHER, "digest": OTHER, "version": "2"}
OTHER_PROMOTED = ("promoted", OF_OTHER)
ROLLED_BACK = ("rolled_back", OF_OTHER | {"reason": "wrong side"})
REINSTATED: tuple[str, dict[str, Any]] = ("reinstated", {"verdict": "", "reason": "the wrong radiographs"})
APPROVED = ("approved", {"reason": "looked", "expires": (AT + timedelta(hours=72)).isoformat()})


def test_a_new_verdict_has_no_actions(verdict: Verdict) -> None:
    done = status(verdict, ("approved", OF_OTHER), OTHER_PROMOTED)
    assert (done.lines, done.decided, done.serving, done.approved) == ((NOTHING,), False, False, False)
    assert "Promote" in titles(verdict, done)


def test_a_promotion_is_shown_with_its_version_until_it_is_replaced(verdict: Verdict) -> None:
    done = status(verdict, PROMOTED)
    assert done.lines == ("promoted on 2026-11-23 12:00 UTC as version 3 by R. Viewer",)
    assert done.decided and done.serving
    assert titles(verdict, done) == {"Explain the verdict"}, "the only one so far"
    assert "This verdict needs no further decision" in advice_for(verdict, None, done)
    done = status(verdict, PROMOTED, ("promoted", OF_OTHER | {"version": "4"}))
    assert done.lines[-1] == "replaced by version 4 on 2026-11-23 13:00 UTC"
    assert done.decided and not done.serving


@pytest.mark.parametrize(
    ("after", "offered"),
    [((), True), ((("rejected", OF_OTHER),), False), ((("rejected", OF_OTHER), ("reinstated", OF_OTHER)), True)],
)
def test_a_rollback_is_offered_where_another_model_could_serve(verdict: Verdict, after: Any, offered: bool) -> None:
    done = status(verdict, OTHER_PROMOTED, PROMOTED, *after)
    assert done.serving
    assert ("Roll back" in titles(verdict, done)) == offered


def test_a_rollback_is_shown_with_its_reason_and_a_return_too(verdict: Verdict) -> None:
    steps = (OTHER_PROMOTED, PROMOTED, ROLLED_BACK)
    done = status(verdict, *steps)
    assert done.lines[-1] == (
        "rolled back on 2026-11-23 14:00 UTC by R. Viewer: wrong side; version 2 is in service instead"
    )
    assert not done.serving
    done = status(verdict, *steps, REINSTATED, ("rolled_back", {"reason": "the other is worse"}))
    assert done.lines[-1] == "back in service on 2026-11-23 16:00 UTC by R. Viewer: the other is worse"
    assert done.serving


def test_an_approval_is_shown_with_its_end_its_use_or_its_expiry(verdict: Verdict) -> None:
    fresh = status(verdict, APPROVED, hours=1)
    line = "approved by R. Viewer on 2026-11-23 12:00 UTC: looked; expires 2026-11-26 12:00 UTC"
    assert fresh.lines == (line,) and not fresh.decided and fresh.approved
    expired = status(verdict, APPROVED, hours=72)
    assert "; expired 2026-11-26" in expired.text and not expired.approved
    (approval,) = history(verdict, APPROVED).approvals
    used = status(verdict, APPROVED, ("promoted", {"approval": approval}), hours=1)
    assert used.lines[0].endswith(": looked; used") and not used.approved


def test_the_approval_notice_is_shown_until_there_is_an_approval(verdict: Verdict, material: Make) -> None:
    policy, always = material().policy, {"required": "always", "reason": "a person answers"}
    asking = policy.model_copy(update={"approval": policy.approval.model_copy(update=always)})
    notice = approval_notice(verdict, asking, VerdictStatus(), where="ws")
    assert "(a person answers)" in notice
    assert notice.endswith(f"plumbline approve {verdict.digest[:12]} --as NAME --comment WHY -w ws")
    assert approval_notice(verdict, policy) == approval_notice(verdict, None) == ""
    assert approval_notice(replace(verdict, decision="HOLD"), None)
    assert approval_notice(replace(verdict, decision="REJECT"), asking) == ""
    assert approval_notice(verdict, asking, status(verdict, APPROVED, hours=1)) == ""
    assert approval_notice(verdict, asking, status(verdict, APPROVED, hours=99)), "it has expired"
    (approval,) = history(verdict, APPROVED).approvals
    assert approval_notice(verdict, asking, status(verdict, APPROVED, ("promoted", {"approval": approval}))) == ""


@pytest.mark.parametrize(("of", "named"), [("", ""), (OTHER, f" (same model, verdict {OTHER[:12]})")])
def test_a_rejection_is_shown_until_the_model_is_reinstated(verdict: Verdict, of: str, named: str) -> None:
    """A rejection under another verdict counts, too, because it binds the model."""
    rejected = ("rejected", {"reason": "mirrored"} | ({"verdict": of} if of else {}))
    done = status(verdict, rejected)
    assert done.lines == (f"rejected by R. Viewer on 2026-11-23 12:00 UTC: mirrored{named}",)
    assert done.decided and titles(verdict, done) == {"Explain the verdict"}
    done = status(verdict, rejected, REINSTATED)
    assert not done.decided
    reinstated = "model reinstated by R. Viewer on 2026-11-23 13:00 UTC: the wrong radiographs"
    assert done.lines[-1] == (NOTHING if of else reinstated)


@pytest.mark.slow
def test_the_page_shows_the_actions_and_the_time_of_writing(material: Make) -> None:
    given = material()
    done = status(given.verdict, ("promoted", {"actor": "<b>R</b>"}))
    page = render_review(replace(given, status=done, written_at=AT.isoformat()))
    assert "promoted on 2026-11-23 12:00 UTC as version 3 by &lt;b&gt;R" in page
    assert "This verdict needs no further decision" in page
    assert "until 2026-11-23 12:00 UTC, when this page was written" in page
    assert 'id="status" class="decided"' in page
    assert "plumbline approve" not in page and "plumbline promote" not in page
    assert "How to decide" not in page and "plumbline rollback" not in page
    assert "with Plumbline's environment on your path" in page
    assert "How to decide" in render_review(given)
    unknown = render_review(replace(given, status=VerdictStatus(unknown="HISTORY_BROKEN, event 3")))
    assert "the actions on this verdict are not known: HISTORY_BROKEN, event 3" in unknown
    assert NOTHING not in unknown

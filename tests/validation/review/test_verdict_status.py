"""The status of a verdict after actions of people and of the gate."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.validation.review.constructed_reviews import AT
from validation.gates.verdict import Verdict
from validation.promotion.approval import Approval
from validation.promotion.history import HistoryEntry
from validation.review.actions import advice_for, approval_notice, options_for
from validation.review.page import ReviewMaterial, render_review
from validation.review.verdict_status import NOTHING, VerdictStatus, status_of

Make = Callable[..., ReviewMaterial]
OTHER = "f" * 64


@pytest.fixture
def verdict(material: Make) -> Verdict:
    return replace(material().verdict, decision="PROMOTE", results=())


def history(verdict: Verdict, *events: tuple[str, dict[str, Any]]) -> list[HistoryEntry]:
    """Entries an hour apart about the verdict and its model; ``events`` can change single fields."""
    found = []
    for number, (event, changes) in enumerate(events):
        fields: dict[str, Any] = {
            "at": (AT + timedelta(hours=number)).isoformat(), "promoter": "R. Viewer", "production_model": "plumbline",
            "version": "3", "model_digest": verdict.challenger_model, "previous_digest": None,
            "verdict": verdict.digest, "sequence": number,
        }  # fmt: skip
        found.append(HistoryEntry(event, **(fields | changes)))  # type: ignore[arg-type]
    return found


def status(verdict: Verdict, entries: Sequence[HistoryEntry], *approvals: Approval, hours: float = 99) -> VerdictStatus:
    return status_of(verdict, entries, approvals, AT + timedelta(hours=hours))


def approval(verdict: Verdict, decision: Any = "granted", ttl: float = 72) -> Approval:
    return Approval(
        decision, verdict.digest, verdict.challenger_model, "plumbline", "A. Trainer", "R. Viewer", "rv", "looked",
        AT.isoformat(), (AT + timedelta(hours=ttl)).isoformat(), "n",
    )  # fmt: skip


def test_a_new_verdict_has_no_actions(verdict: Verdict) -> None:
    others = history(verdict, ("promoted", {"verdict": OTHER}), ("approved", {"verdict": OTHER}))
    done = status(verdict, others)
    assert (done.lines, done.decided, done.serving) == ((NOTHING,), False, False)
    assert "Promote" in {o.title for o in options_for(verdict, None, done)}


def test_a_promotion_is_shown_with_its_version_until_it_is_replaced(verdict: Verdict) -> None:
    events: list[tuple[str, dict[str, Any]]] = [("intended", {}), ("promoted", {})]
    done = status(verdict, history(verdict, *events))
    assert done.lines == ("promoted on 2026-11-23 13:00 UTC as version 3 by R. Viewer",)
    assert done.decided and done.serving
    assert [o.title for o in options_for(verdict, None, done)] == ["Explain the verdict"], "the only one so far"
    assert "This verdict needs no further decision" in advice_for(verdict, None, done)
    later = ("promoted", {"verdict": OTHER, "model_digest": OTHER, "version": "4"})
    done = status(verdict, history(verdict, *events, later))
    assert done.lines[-1] == "replaced by version 4 on 2026-11-23 14:00 UTC"
    assert done.decided and not done.serving


def test_a_rollback_is_offered_where_another_model_could_serve(verdict: Verdict) -> None:
    other: dict[str, Any] = {"verdict": OTHER, "model_digest": OTHER, "version": "2"}
    ours: tuple[str, dict[str, Any]] = ("promoted", {})
    before = ("promoted", other)
    denied = ("rolled_back", {"previous_digest": OTHER, "verdict": None})
    reinstated = ("reinstated", other | {"verdict": None})
    for events, offered in (
        ((before, ours), True),
        ((before, ours, ("promoted", other), denied), False),
        ((before, ours, ("promoted", other), denied, reinstated), True),
        ((("promoted", other | {"production_model": "another"}), ours), False),
    ):
        done = status(verdict, history(verdict, *events))
        assert done.serving
        assert ("Roll back" in {o.title for o in options_for(verdict, None, done)}) == offered, events


def test_a_rollback_is_shown_with_its_reason_and_a_return_too(verdict: Verdict) -> None:
    left = ("rolled_back", {"verdict": OTHER, "model_digest": OTHER, "version": "2", "reason": "wrong side"})
    back = ("restored", {"verdict": None, "reason": None})
    done = status(verdict, history(verdict, ("promoted", {}), left))
    assert done.lines[-1] == (
        "rolled back on 2026-11-23 13:00 UTC by R. Viewer: wrong side; version 2 is in service instead"
    )
    assert not done.serving
    done = status(verdict, history(verdict, ("promoted", {}), left, back))
    assert done.lines[-1].startswith("back in service on 2026-11-23 14:00 UTC")
    assert done.serving


def test_an_approval_is_shown_with_its_end_its_use_or_its_expiry(verdict: Verdict) -> None:
    grant = approval(verdict)
    entries = history(verdict, ("approved", {"approval": grant.digest, "reason": "looked"}))
    (line,) = status(verdict, entries, grant, hours=1).lines
    assert line == "approved by R. Viewer on 2026-11-23 12:00 UTC: looked; expires 2026-11-26 12:00 UTC"
    assert not status(verdict, entries, grant, hours=1).decided
    assert "; expired 2026-11-26" in status(verdict, entries, grant, hours=72).text
    assert "its sealed record is missing" in status(verdict, entries).text
    used = [*entries, replace(history(verdict, ("promoted", {"approval": grant.digest}))[0], sequence=1)]
    assert status(verdict, used, grant).lines[0].endswith(": looked; used")


def test_the_approval_notice_is_shown_until_there_is_an_approval(verdict: Verdict, material: Make) -> None:
    policy, always = material().policy, {"required": "always", "reason": "a person answers"}
    asking = policy.model_copy(update={"approval": policy.approval.model_copy(update=always)})
    notice = approval_notice(verdict, asking, VerdictStatus(), where="ws")
    assert "(a person answers)" in notice
    assert notice.endswith(f"plumbline approve {verdict.digest[:12]} --as NAME --comment WHY -w ws")
    assert approval_notice(verdict, policy) == approval_notice(verdict, None) == ""
    assert approval_notice(replace(verdict, decision="HOLD"), None)
    assert approval_notice(replace(verdict, decision="REJECT"), asking) == ""
    grant = approval(verdict)
    entries = history(verdict, ("approved", {"approval": grant.digest, "reason": "looked"}))
    assert approval_notice(verdict, asking, status(verdict, entries, grant, hours=1)) == ""
    assert approval_notice(verdict, asking, status(verdict, entries, grant, hours=99))
    used = [*entries, replace(history(verdict, ("promoted", {"approval": grant.digest}))[0], sequence=1)]
    assert approval_notice(verdict, asking, status(verdict, used, grant, hours=1)) == ""


def test_a_refusal_is_shown_without_its_line_in_the_history(verdict: Verdict) -> None:
    refusal = approval(verdict, "rejected")
    entries = history(verdict, ("rejected", {"approval": refusal.digest, "reason": "looked"}))
    done = status(verdict, entries, refusal)
    assert done.lines == ("rejected by R. Viewer on 2026-11-23 12:00 UTC: looked",)
    assert done.decided
    assert [o.title for o in options_for(verdict, None, done)] == ["Explain the verdict"]
    lost = status(verdict, [], refusal)
    assert lost.decided and "the history has lost the entry" in lost.text


def test_a_refusal_of_the_same_model_under_another_verdict_is_shown_until_it_is_reinstated(verdict: Verdict) -> None:
    refusal = replace(approval(verdict, "rejected"), verdict=OTHER)
    line = ("rejected", {"approval": refusal.digest, "reason": "mirrored", "verdict": OTHER})
    for done in (status(verdict, history(verdict, line), refusal), status(verdict, [], refusal)):
        assert "rejected by R. Viewer" in done.text and f"(same model, verdict {OTHER[:12]})" in done.text
        assert done.decided
    reinstated = ("reinstated", {"verdict": None, "reason": "the wrong radiographs"})
    done = status(verdict, history(verdict, line, reinstated), refusal)
    assert not done.decided and done.lines == (NOTHING,)
    own = ("rejected", {"approval": "c" * 64, "reason": "mirrored"})
    done = status(verdict, history(verdict, own, reinstated))
    assert (
        not done.decided
        and done.lines[-1].startswith("model reinstated by R. Viewer")
        and "the wrong radiographs" in done.text
    )


def test_an_interrupted_promotion_names_the_repair_command(verdict: Verdict) -> None:
    done = status(verdict, history(verdict, ("intended", {})))
    assert "interrupted; run `plumbline history --repair`" in done.text
    assert not done.decided


@pytest.mark.slow
def test_the_page_shows_the_actions_and_the_time_of_writing(material: Make) -> None:
    given = material()
    entries = history(given.verdict, ("promoted", {"promoter": "<b>R</b>"}))
    page = render_review(replace(given, status=status(given.verdict, entries), written_at=AT.isoformat()))
    assert "promoted on 2026-11-23 12:00 UTC as version 3 by &lt;b&gt;R" in page
    assert "This verdict needs no further decision" in page
    assert "until 2026-11-23 12:00 UTC, when this page was written" in page
    assert 'id="status" class="decided"' in page
    assert "plumbline approve" not in page and "plumbline promote" not in page
    assert "How to decide" not in page and "plumbline rollback" not in page
    assert "with Plumbline's environment on your path" in page
    assert "How to decide" in render_review(given)
    unknown = render_review(replace(given, status=VerdictStatus(unknown="HISTORY_BROKEN, line 3")))
    assert "the actions on this verdict are not known: HISTORY_BROKEN, line 3" in unknown
    assert NOTHING not in unknown

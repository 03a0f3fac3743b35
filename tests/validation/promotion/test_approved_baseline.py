"""The last model that a person approved: its search in the history, and the comparison that a verdict must have."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from spine.errors import GateRefused
from validation.evaluation.record import EvaluationRecord
from validation.gates.evidence import Evidence
from validation.gates.policy import Policy
from validation.gates.verdict import judge
from validation.promotion.approved_baseline import last_approved, require_expected_baseline
from validation.promotion.history import HistoryEntry

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
B, C = "b" * 64, "c" * 64


def entry(model: str, version: str, approval: str | None, event: str = "promoted") -> HistoryEntry:
    return HistoryEntry(event, AT.isoformat(), "test", "plumbline", version, model, None, approval=approval)  # type: ignore[arg-type]


HISTORY = (
    entry("1" * 64, "1", "grant"),
    entry(C, "2", "grant"),
    entry(B, "3", None),
    entry("4" * 64, "4", "grant", event="abandoned"),
    replace(entry("5" * 64, "5", "grant"), production_model="another"),
)


def test_the_baseline_is_the_last_promotion_with_an_approval() -> None:
    found = last_approved(HISTORY, "plumbline", ())
    assert found is not None
    assert found.version == "2"
    assert last_approved(HISTORY[2:], "plumbline", ()) is None
    assert last_approved(HISTORY[:4], "another", ()) is None


def test_a_denied_or_refused_model_is_no_baseline(policy: Policy, scored: Callable[..., EvaluationRecord]) -> None:
    denied = last_approved(HISTORY, "plumbline", {C: "rolled back from"})
    assert denied is not None and denied.version == "1"
    refused = replace(entry(C, "", "record", event="rejected"), sequence=9)
    found = last_approved((*HISTORY, refused), "plumbline", ())
    assert found is not None and found.version == "1"
    reinstated = replace(entry(C, "", None, event="reinstated"), sequence=10)
    found = last_approved((*HISTORY, refused, reinstated), "plumbline", ())
    assert found is not None and found.version == "2"
    assert last_approved((*HISTORY, refused), "plumbline", {"1" * 64}) is None
    good, champion = scored(noise=0.5, seed=3), scored("champion", "1" * 64, noise=2.0, seed=2)
    verdict = judge(policy, Evidence(good, champion), judged_at=AT)
    require_expected_baseline(policy, verdict, HISTORY, "plumbline", {C})  # Now the champion is the baseline.
    with pytest.raises(GateRefused, match="STALE_BASELINE"):
        require_expected_baseline(policy, verdict, HISTORY, "plumbline", ())


def test_a_verdict_without_the_baseline_is_refused(policy: Policy, scored: Callable[..., EvaluationRecord]) -> None:
    good, champion = scored(noise=0.5, seed=3), scored("champion", B, noise=2.0, seed=2)
    without = judge(policy, Evidence(good, champion), judged_at=AT)
    beside = judge(policy, Evidence(good, champion, scored("baseline", C, noise=2.0, seed=4)), judged_at=AT)
    assert (without.decision, beside.decision) == ("PROMOTE", "PROMOTE")
    with pytest.raises(GateRefused, match="STALE_BASELINE"):
        require_expected_baseline(policy, without, HISTORY, "plumbline", ())
    require_expected_baseline(policy, beside, HISTORY, "plumbline", ())
    require_expected_baseline(policy, without, HISTORY[2:], "plumbline", ())  # No model was ever approved.
    champion_alone = (entry(B, "3", "grant"),)
    require_expected_baseline(policy, without, champion_alone, "plumbline", ())  # The champion is the baseline.
    without_rule = policy.model_copy(update={"baseline": None})
    require_expected_baseline(without_rule, without, HISTORY, "plumbline", ())

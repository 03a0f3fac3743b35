"""Reinstatement of a denied or refused model: it is signed, written to history and database, and is no promotion."""

from datetime import timedelta

import pytest

from spine.errors import GateRefused
from tests.validation.promotion.registry import AT, AUTHOR, REVIEWER, SERVED, Registry, killed_in
from validation.promotion.approval import SignOff, reject, sealed_refusals
from validation.promotion.champion import open_registry
from validation.promotion.champion_record import ChampionRecord
from validation.promotion.history import read_history
from validation.promotion.refusals import standing_refusals

MIRRORED = SignOff("N. Ay", "mirrored")


@pytest.fixture
def left(serving: Registry) -> Registry:
    """A registry that was rolled back from its second model to its first."""
    serving.promote("models:/candidates/2")
    serving.roll_back(reason="wrong side", promoter="test")
    return serving


def state(registry: Registry, version: str) -> str:
    return str(open_registry(registry.tracking_uri).get_model_version(SERVED, version).tags["plumbline.state"])


def test_a_reinstated_model_serves_only_after_a_promotion_or_a_rollback(left: Registry) -> None:
    left.judge("second", champion="first", noise=0.5, seed=3)
    left.refuses("models:/candidates/2", "MODEL_DENIED")
    assert state(left, "2") == "denied"
    denial = left.reinstate(left.digest("second")[:12]).denial
    assert denial is not None and (denial.by, denial.reason) == ("test", "wrong side")
    last = read_history(left.ledger)[-1]
    assert (last.event, last.promoter, last.reason) == ("reinstated", "R. Viewer", REVIEWER.comment)
    assert last.model_digest == left.digest("second")
    assert left.serving is not None and left.serving.version == "1", "a reinstatement deploys nothing"
    assert state(left, "2") == "retired"
    assert left.faults() == []
    assert left.promote("models:/candidates/2").champion.version == "3"
    assert left.faults() == []


def test_a_rollback_can_return_to_a_reinstated_model(left: Registry) -> None:
    with pytest.raises(GateRefused, match="ROLLBACK_REFUSED"):
        left.roll_back(to="2")
    left.reinstate("2")
    assert left.roll_back(to="2").champion.version == "2"
    assert set(left.record.denials()) == {left.digest("first")}


def test_without_a_denial_or_a_signature_nothing_is_reinstated(left: Registry) -> None:
    before = left.ledger.read_bytes()
    for model in ("1", "99", "f" * 64, left.digest("second")[:7]):
        with pytest.raises(GateRefused, match="NOT_DENIED"):
            left.reinstate(model)
    for sign_off in (SignOff(" ", "why"), SignOff("R. Viewer", " ")):
        with pytest.raises(GateRefused, match="APPROVAL_EMPTY"):
            left.reinstate("2", sign_off)
    assert left.ledger.read_bytes() == before
    assert len(left.record.denials()) == 1


@pytest.mark.parametrize("after", [False, True])
def test_a_killed_reinstatement_is_completed_if_the_database_has_it(left: Registry, after: bool) -> None:
    with killed_in(ChampionRecord, "reinstate", after=after):
        left.reinstate("2")
    assert "CHANGE_INTERRUPTED" in left.faults()
    left.repair()
    assert read_history(left.ledger)[-1].event == ("reinstated" if after else "abandoned")
    assert bool(left.record.denials()) != after
    assert left.faults() == []


def test_a_refusal_is_removed_like_a_denial_and_can_be_repeated(registry: Registry) -> None:
    address = registry.register("model")
    verdict = registry.judge("model")
    registry.decide(reject, verdict, MIRRORED)
    registry.refuses(address, "APPROVAL_REJECTED")
    done = registry.reinstate(verdict.challenger_model[:12])
    assert done.denial is None
    assert [(r.by, r.comment, r.verdict) for r in done.refusals] == [("N. Ay", "mirrored", verdict.digest)]
    assert [e.event for e in read_history(registry.ledger)] == ["rejected", "reinstatement_intended", "reinstated"]
    with pytest.raises(GateRefused, match="NOT_DENIED"):
        registry.reinstate(verdict.challenger_model[:12])
    registry.decide(reject, verdict, MIRRORED)  # It has the same time, but it is later in the history.
    registry.refuses(address, "APPROVAL_REJECTED")
    registry.reinstate(verdict.challenger_model[:12])
    assert registry.faults() == []
    assert registry.promote(address).champion.version == "1"


def test_a_refusal_that_the_history_lost_is_removed_by_its_time(registry: Registry) -> None:
    registry.register("model")
    verdict = registry.judge("model")
    kept = registry.decide(reject, verdict, MIRRORED)
    sealed = kept.read_bytes()
    kept.unlink()
    registry.reinstate(verdict.challenger_model[:12])
    later = AT + timedelta(hours=1)
    registry.decide(reject, verdict, MIRRORED, at=later)
    alone = tuple(e for e in read_history(registry.ledger) if e.approval is None)
    kept.write_bytes(sealed)
    standing = standing_refusals(alone, sealed_refusals(kept.parent))
    assert [r.at for r in standing] == [later.isoformat()], "the reinstatement is older than this refusal alone"


def test_a_killed_removal_of_a_refusal_is_completed(registry: Registry) -> None:
    registry.register("model")
    verdict = registry.judge("model")
    registry.decide(reject, verdict, MIRRORED)
    with killed_in(ChampionRecord, "reinstate", after=True):
        registry.reinstate(verdict.challenger_model[:12])
    assert standing_refusals(read_history(registry.ledger)), "not before the change is completed"
    registry.repair()
    assert not standing_refusals(read_history(registry.ledger))


@pytest.mark.parametrize("name", [AUTHOR, "a. trainer", " A  Trainer "])
def test_nobody_reinstates_their_own_model(left: Registry, name: str) -> None:
    other = left.register("other")
    left.decide(reject, left.judge("other", champion="first", noise=0.5, seed=3))
    before = left.ledger.read_bytes()
    for model in ("2", left.digest("other")[:12]):
        with pytest.raises(GateRefused, match="SAME_PERSON"):
            left.reinstate(model, SignOff(name, "it is good"))
        for author in (None, "", " "):
            with pytest.raises(GateRefused, match="AUTHOR_UNKNOWN"):
                left.reinstate(model, author=lambda _, author=author: author)
    assert left.ledger.read_bytes() == before
    assert len(left.record.denials()) == 1
    left.refuses(other, "APPROVAL_REJECTED")

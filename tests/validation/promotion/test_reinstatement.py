"""A denial that is lifted: named, recorded in history and database together, and no way past the gate."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spine.errors import GateRefused
from spine.model_digest import model_digest
from tests.validation.promotion.registry import AT, AUTHOR, SERVED, Registry, correct_result
from validation.gates.policy import VirtualStudyLimits, read_policy
from validation.gates.verdict import Verdict
from validation.promotion.approval import SignOff, reject, sealed_refusals
from validation.promotion.audit import audit, repair
from validation.promotion.champion import open_registry
from validation.promotion.champion_record import ChampionRecord
from validation.promotion.history import read_history
from validation.promotion.refusals import standing_refusals
from validation.promotion.reinstatement import Reinstatement, reinstate
from validation.promotion.rollback import Order, rollback

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
WORD = SignOff("R. Viewer", "the radiographs were exchanged, not the spines")


@pytest.fixture
def left(registry: Registry) -> Registry:
    """A registry that went back from its second model to its first."""
    first, _ = registry.register("first")
    registry.judge("first", noise=2.0, seed=2)
    registry.promote(first)
    second, _ = registry.register("second")
    registry.judge("second", champion="first", noise=0.5, seed=3)
    registry.promote(second)
    back(registry)
    return registry


def back(registry: Registry, to: str | None = None) -> str:
    order = Order(
        registry.tracking_uri, SERVED, registry.ledger, "wrong side", "test", AT, correct_result, VirtualStudyLimits(), to
    )  # fmt: skip
    return rollback(order).champion.version


def lift(
    registry: Registry, model: str = "2", word: SignOff = WORD, at: datetime = AT, author: str | None = AUTHOR
) -> Reinstatement:
    return reinstate(
        registry.tracking_uri, SERVED, ledger_path=registry.ledger, model=model, word=word, at=at,
        approvals=registry.folder / "approvals", author=lambda _: author,
    )  # fmt: skip


def refuse(registry: Registry, verdict: Verdict, at: datetime = AT) -> Path:
    return reject(
        verdict, read_policy(registry.policy), SignOff("N. Ay", "mirrored"), author=AUTHOR, production_model=SERVED,
        folder=registry.folder / "approvals", ledger_path=registry.ledger, at=at, seat=ChampionRecord(registry.tracking_uri, SERVED),
    )  # fmt: skip


def state(registry: Registry, version: str) -> str:
    return str(open_registry(registry.tracking_uri).get_model_version(SERVED, version).tags["plumbline.state"])


def test_a_lifted_model_serves_only_after_a_promotion_or_a_rollback(left: Registry) -> None:
    left.judge("second", champion="first", noise=0.5, seed=3)
    left.refuses("models:/candidates/2", "MODEL_DENIED")
    assert state(left, "2") == "denied"
    denial = lift(left, model_digest(left.folder / "second")[:12]).denial
    assert denial is not None and (denial.by, denial.reason) == ("test", "wrong side")
    last = read_history(left.ledger)[-1]
    assert (last.event, last.promoter, last.reason) == ("reinstated", "R. Viewer", WORD.comment)
    assert last.model_digest == model_digest(left.folder / "second")
    holder = ChampionRecord(left.tracking_uri, SERVED).serving()
    assert holder is not None and holder.version == "1", "lifting moves nobody"
    assert state(left, "2") == "retired"
    assert audit(left.tracking_uri, SERVED, left.ledger) == ()
    assert left.promote("models:/candidates/2").champion.version == "3"
    assert audit(left.tracking_uri, SERVED, left.ledger) == ()


def test_a_lifted_model_can_be_returned_to(left: Registry) -> None:
    with pytest.raises(GateRefused, match="ROLLBACK_REFUSED"):
        back(left, to="2")
    lift(left)
    assert back(left, to="2") == "2"
    assert set(ChampionRecord(left.tracking_uri, SERVED).denials()) == {model_digest(left.folder / "first")}


def test_what_is_not_denied_and_who_does_not_sign_lifts_nothing(left: Registry) -> None:
    before = left.ledger.read_bytes()
    for model in ("1", "99", "f" * 64, model_digest(left.folder / "second")[:7]):
        with pytest.raises(GateRefused, match="NOT_DENIED"):
            lift(left, model)
    for word in (SignOff(" ", "why"), SignOff("R. Viewer", " ")):
        with pytest.raises(GateRefused, match="APPROVAL_EMPTY"):
            lift(left, word=word)
    assert left.ledger.read_bytes() == before
    assert len(ChampionRecord(left.tracking_uri, SERVED).denials()) == 1


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_while_lifting_is_settled_by_what_the_database_says(
    left: Registry, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    lifted = ChampionRecord.lift

    def dies(self: ChampionRecord, *words: Any, **more: Any) -> None:
        if after:
            lifted(self, *words, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ChampionRecord, "lift", dies)
        lift(left)
    assert "CHANGE_INTERRUPTED" in [f.code for f in audit(left.tracking_uri, SERVED, left.ledger)]
    repair(left.tracking_uri, SERVED, ledger_path=left.ledger, promoter="test", at=AT)
    assert read_history(left.ledger)[-1].event == ("reinstated" if after else "abandoned")
    assert bool(ChampionRecord(left.tracking_uri, SERVED).denials()) != after
    assert audit(left.tracking_uri, SERVED, left.ledger) == ()


def test_a_refusal_is_lifted_like_a_denial_and_can_be_said_again(registry: Registry) -> None:
    address, _ = registry.register("model")
    verdict = registry.judge("model")
    refuse(registry, verdict)
    registry.refuses(address, "APPROVAL_REJECTED")
    lifted = lift(registry, verdict.challenger_model[:12])
    assert lifted.denial is None
    assert [(r.by, r.comment, r.verdict) for r in lifted.refusals] == [("N. Ay", "mirrored", verdict.digest)]
    assert [e.event for e in read_history(registry.ledger)] == ["rejected", "reinstatement_intended", "reinstated"]
    with pytest.raises(GateRefused, match="NOT_DENIED"):
        lift(registry, verdict.challenger_model[:12])
    refuse(registry, verdict)  # at the same time by the clock, and later by the history
    registry.refuses(address, "APPROVAL_REJECTED")
    lift(registry, verdict.challenger_model[:12])
    assert audit(registry.tracking_uri, SERVED, registry.ledger) == ()
    assert registry.promote(address).champion.version == "1"


def test_a_refusal_that_the_history_lost_is_lifted_by_its_record(registry: Registry) -> None:
    registry.register("model")
    verdict = registry.judge("model")
    kept = refuse(registry, verdict)
    sealed = kept.read_bytes()
    kept.unlink()
    lift(registry, verdict.challenger_model[:12])
    later = AT + timedelta(hours=1)
    refuse(registry, verdict, at=later)
    alone = tuple(e for e in read_history(registry.ledger) if e.approval is None)
    kept.write_bytes(sealed)
    told = standing_refusals(alone, sealed_refusals(kept.parent))
    assert [r.at for r in told] == [later.isoformat()], "the lifting is older than this one, not than the other"


def test_a_kill_while_a_refusal_is_lifted_is_settled(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.register("model")
    verdict = registry.judge("model")
    refuse(registry, verdict)
    lifted = ChampionRecord.lift

    def dies(self: ChampionRecord, *words: Any, **more: Any) -> None:
        lifted(self, *words, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ChampionRecord, "lift", dies)
        lift(registry, verdict.challenger_model[:12])
    assert standing_refusals(read_history(registry.ledger)), "not before it is settled"
    repair(registry.tracking_uri, SERVED, ledger_path=registry.ledger, promoter="test", at=AT)
    assert not standing_refusals(read_history(registry.ledger))


@pytest.mark.parametrize("name", [AUTHOR, "a. trainer", " A  Trainer "])
def test_nobody_lifts_what_stands_against_their_own_model(left: Registry, name: str) -> None:
    other, _ = left.register("other")
    refuse(left, left.judge("other", champion="first", noise=0.5, seed=3))
    before = left.ledger.read_bytes()
    for model in ("2", model_digest(left.folder / "other")[:12]):
        with pytest.raises(GateRefused, match="SAME_PERSON"):
            lift(left, model, SignOff(name, "it is good"))
        for author in (None, "", " "):
            with pytest.raises(GateRefused, match="AUTHOR_UNKNOWN"):
                lift(left, model, author=author)
    assert left.ledger.read_bytes() == before
    assert len(ChampionRecord(left.tracking_uri, SERVED).denials()) == 1
    left.refuses(other, "APPROVAL_REJECTED")

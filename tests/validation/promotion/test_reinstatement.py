"""A denial that is lifted: named, recorded in history and database together, and no way past the gate."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spine.errors import GateRefused
from spine.model_digest import model_digest
from tests.validation.promotion.registry import AT, AUTHOR, SERVED, Desk, knowing_answer
from validation.gates.policy import PhantomStudy, read_policy
from validation.gates.verdict import Verdict
from validation.promotion.approval import Word, reject, sealed_refusals
from validation.promotion.audit import audit, repair
from validation.promotion.champion import open_registry
from validation.promotion.champion_record import Seat
from validation.promotion.history import read_history
from validation.promotion.refusals import standing_refusals
from validation.promotion.reinstatement import Lifted, lift_denial
from validation.promotion.rollback import Order, rollback

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
WORD = Word("R. Viewer", "the radiographs were exchanged, not the spines")


@pytest.fixture
def left(desk: Desk) -> Desk:
    """A desk that went back from its second model to its first."""
    first, _ = desk.register("first")
    desk.judge("first", noise=2.0, seed=2)
    desk.promote(first)
    second, _ = desk.register("second")
    desk.judge("second", champion="first", noise=0.5, seed=3)
    desk.promote(second)
    back(desk)
    return desk


def back(desk: Desk, to: str | None = None) -> str:
    order = Order(
        desk.tracking_uri, SERVED, desk.ledger, "wrong side", "test", AT, knowing_answer, PhantomStudy(), to
    )  # fmt: skip
    return rollback(order).champion.version


def lift(desk: Desk, model: str = "2", word: Word = WORD, at: datetime = AT, author: str | None = AUTHOR) -> Lifted:
    return lift_denial(
        desk.tracking_uri, SERVED, ledger_path=desk.ledger, model=model, word=word, at=at,
        approvals=desk.folder / "approvals", author=lambda _: author,
    )  # fmt: skip


def refuse(desk: Desk, verdict: Verdict, at: datetime = AT) -> Path:
    return reject(
        verdict, read_policy(desk.policy), Word("N. Ay", "mirrored"), author=AUTHOR, production_model=SERVED,
        folder=desk.folder / "approvals", ledger_path=desk.ledger, at=at, seat=Seat(desk.tracking_uri, SERVED),
    )  # fmt: skip


def state(desk: Desk, version: str) -> str:
    return str(open_registry(desk.tracking_uri).get_model_version(SERVED, version).tags["plumbline.state"])


def test_a_lifted_model_serves_only_after_a_promotion_or_a_rollback(left: Desk) -> None:
    left.judge("second", champion="first", noise=0.5, seed=3)
    left.refuses("models:/candidates/2", "MODEL_DENIED")
    assert state(left, "2") == "denied"
    denial = lift(left, model_digest(left.folder / "second")[:12]).denial
    assert denial is not None and (denial.by, denial.reason) == ("test", "wrong side")
    last = read_history(left.ledger)[-1]
    assert (last.event, last.promoter, last.reason) == ("lifted", "R. Viewer", WORD.comment)
    assert last.model_digest == model_digest(left.folder / "second")
    holder = Seat(left.tracking_uri, SERVED).holder()
    assert holder is not None and holder.version == "1", "lifting moves nobody"
    assert state(left, "2") == "retired"
    assert audit(left.tracking_uri, SERVED, left.ledger) == ()
    assert left.promote("models:/candidates/2").champion.version == "3"
    assert audit(left.tracking_uri, SERVED, left.ledger) == ()


def test_a_lifted_model_can_be_returned_to(left: Desk) -> None:
    with pytest.raises(GateRefused, match="ROLLBACK_REFUSED"):
        back(left, to="2")
    lift(left)
    assert back(left, to="2") == "2"
    assert set(Seat(left.tracking_uri, SERVED).denials()) == {model_digest(left.folder / "first")}


def test_what_is_not_denied_and_who_does_not_sign_lifts_nothing(left: Desk) -> None:
    before = left.ledger.read_bytes()
    for model in ("1", "99", "f" * 64, model_digest(left.folder / "second")[:7]):
        with pytest.raises(GateRefused, match="NOT_DENIED"):
            lift(left, model)
    for word in (Word(" ", "why"), Word("R. Viewer", " ")):
        with pytest.raises(GateRefused, match="APPROVAL_EMPTY"):
            lift(left, word=word)
    assert left.ledger.read_bytes() == before
    assert len(Seat(left.tracking_uri, SERVED).denials()) == 1


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_while_lifting_is_settled_by_what_the_database_says(
    left: Desk, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    lifted = Seat.lift

    def dies(self: Seat, *words: Any, **more: Any) -> None:
        if after:
            lifted(self, *words, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Seat, "lift", dies)
        lift(left)
    assert "MOVE_INTERRUPTED" in [f.code for f in audit(left.tracking_uri, SERVED, left.ledger)]
    repair(left.tracking_uri, SERVED, ledger_path=left.ledger, promoter="test", at=AT)
    assert read_history(left.ledger)[-1].event == ("lifted" if after else "abandoned")
    assert bool(Seat(left.tracking_uri, SERVED).denials()) != after
    assert audit(left.tracking_uri, SERVED, left.ledger) == ()


def test_a_refusal_is_lifted_like_a_denial_and_can_be_said_again(desk: Desk) -> None:
    address, _ = desk.register("model")
    verdict = desk.judge("model")
    refuse(desk, verdict)
    desk.refuses(address, "APPROVAL_REJECTED")
    lifted = lift(desk, verdict.challenger_model[:12])
    assert lifted.denial is None
    assert [(r.by, r.comment, r.verdict) for r in lifted.refusals] == [("N. Ay", "mirrored", verdict.digest)]
    assert [e.event for e in read_history(desk.ledger)] == ["rejected", "lift_intended", "lifted"]
    with pytest.raises(GateRefused, match="NOT_DENIED"):
        lift(desk, verdict.challenger_model[:12])
    refuse(desk, verdict)  # at the same time by the clock, and later by the history
    desk.refuses(address, "APPROVAL_REJECTED")
    lift(desk, verdict.challenger_model[:12])
    assert audit(desk.tracking_uri, SERVED, desk.ledger) == ()
    assert desk.promote(address).champion.version == "1"


def test_a_refusal_that_the_history_lost_is_lifted_by_its_record(desk: Desk) -> None:
    desk.register("model")
    verdict = desk.judge("model")
    kept = refuse(desk, verdict)
    sealed = kept.read_bytes()
    kept.unlink()
    lift(desk, verdict.challenger_model[:12])
    later = AT + timedelta(hours=1)
    refuse(desk, verdict, at=later)
    alone = tuple(e for e in read_history(desk.ledger) if e.approval is None)
    kept.write_bytes(sealed)
    told = standing_refusals(alone, sealed_refusals(kept.parent))
    assert [r.at for r in told] == [later.isoformat()], "the lifting is older than this one, not than the other"


def test_a_kill_while_a_refusal_is_lifted_is_settled(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.register("model")
    verdict = desk.judge("model")
    refuse(desk, verdict)
    lifted = Seat.lift

    def dies(self: Seat, *words: Any, **more: Any) -> None:
        lifted(self, *words, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Seat, "lift", dies)
        lift(desk, verdict.challenger_model[:12])
    assert standing_refusals(read_history(desk.ledger)), "not before it is settled"
    repair(desk.tracking_uri, SERVED, ledger_path=desk.ledger, promoter="test", at=AT)
    assert not standing_refusals(read_history(desk.ledger))


@pytest.mark.parametrize("name", [AUTHOR, "a. trainer", " A  Trainer "])
def test_nobody_lifts_what_stands_against_their_own_model(left: Desk, name: str) -> None:
    other, _ = left.register("other")
    refuse(left, left.judge("other", champion="first", noise=0.5, seed=3))
    before = left.ledger.read_bytes()
    for model in ("2", model_digest(left.folder / "other")[:12]):
        with pytest.raises(GateRefused, match="SAME_PERSON"):
            lift(left, model, Word(name, "it is good"))
        for author in (None, "", " "):
            with pytest.raises(GateRefused, match="AUTHOR_UNKNOWN"):
                lift(left, model, author=author)
    assert left.ledger.read_bytes() == before
    assert len(Seat(left.tracking_uri, SERVED).denials()) == 1
    left.refuses(other, "APPROVAL_REJECTED")

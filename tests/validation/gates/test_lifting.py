"""A denial that is lifted: named, recorded in history and database together, and no way past the gate."""

from typing import Any

import pytest

from spine.errors import GateRefused
from spine.model_digest import model_digest
from tests.validation.gates.desk import AT, SERVED, Desk, knowing_answer
from validation.gates.approval import Word
from validation.gates.audit import audit, repair
from validation.gates.champion import open_registry
from validation.gates.history import read_history
from validation.gates.lifting import lift_denial
from validation.gates.policy import PhantomStudy
from validation.gates.rollback import Order, rollback
from validation.gates.seat import Denial, Seat

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
WORD = Word("R. Viewer", "the films were exchanged, not the spines")


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


def lift(desk: Desk, model: str = "2", word: Word = WORD) -> Denial:
    return lift_denial(desk.tracking_uri, SERVED, ledger_path=desk.ledger, model=model, word=word, at=AT)


def state(desk: Desk, version: str) -> str:
    return str(open_registry(desk.tracking_uri).get_model_version(SERVED, version).tags["plumbline.state"])


def test_a_lifted_model_serves_only_after_a_promotion_or_a_rollback(left: Desk) -> None:
    left.judge("second", champion="first", noise=0.5, seed=3)
    left.refuses("models:/candidates/2", "MODEL_DENIED")
    assert state(left, "2") == "denied"
    denial = lift(left, model_digest(left.folder / "second")[:12])
    assert (denial.by, denial.reason) == ("test", "wrong side")
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

    def dies(self: Seat, *words: Any) -> None:
        if after:
            lifted(self, *words)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Seat, "lift", dies)
        lift(left)
    assert "MOVE_INTERRUPTED" in [f.code for f in audit(left.tracking_uri, SERVED, left.ledger)]
    repair(left.tracking_uri, SERVED, ledger_path=left.ledger, promoter="test", at=AT)
    assert read_history(left.ledger)[-1].event == ("lifted" if after else "abandoned")
    assert bool(Seat(left.tracking_uri, SERVED).denials()) != after
    assert audit(left.tracking_uri, SERVED, left.ledger) == ()

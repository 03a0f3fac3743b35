"""The history's end: what was cut off, emptied, deleted or written anew is seen, and a true loss is recorded."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from spine.errors import GateRefused
from tests.validation.promotion.registry import AT, AUTHOR, SERVED, Desk, knowing_answer
from validation.gates.policy import PhantomStudy, read_policy
from validation.promotion.approval import Word, grant, reject
from validation.promotion.audit import audit, begin_history_anew, other_histories, repair
from validation.promotion.champion_record import Seat, open_seat
from validation.promotion.history import GENESIS, HistoryEntry, append_entry, read_history
from validation.promotion.history_length import anchored, anchors_of, place_of
from validation.promotion.reinstatement import lift_denial
from validation.promotion.rollback import Order, rollback

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

REVIEWER = Word("R. Viewer", "the disk died")
FIRST = "models:/candidates/1"


@pytest.fixture
def serving(desk: Desk) -> Desk:
    """A desk with a champion, a better model judged against it, and a human's refusal of that as the last entry."""
    desk.register("first")
    desk.judge("first", noise=2.0, seed=2)
    desk.promote(FIRST)
    desk.register("second")
    desk.judge("second", champion="first", noise=0.5, seed=3)
    say(reject, desk)
    return desk


def say(what: Callable[..., Path], desk: Desk) -> Path:
    from validation.gates.verdict import read_verdict

    return what(
        read_verdict(desk.verdict_path), read_policy(desk.policy), REVIEWER, author=AUTHOR, production_model=SERVED,
        folder=desk.folder / "approvals", ledger_path=desk.ledger, at=AT, seat=open_seat(desk.tracking_uri, SERVED),
    )  # fmt: skip


def back(desk: Desk) -> None:
    order = Order(
        tracking_uri=desk.tracking_uri, production_model=SERVED, ledger_path=desk.ledger, reason="wrong side",
        promoter="test", at=AT, ask_phantom=knowing_answer, limits=PhantomStudy(),
    )  # fmt: skip
    rollback(order)


def mend(desk: Desk) -> None:
    repair(desk.tracking_uri, SERVED, ledger_path=desk.ledger, promoter="test", at=AT)


def anew(desk: Desk, word: Word = REVIEWER) -> HistoryEntry:
    return begin_history_anew(desk.tracking_uri, SERVED, ledger_path=desk.ledger, word=word, at=AT)


def faults(desk: Desk) -> list[str]:
    return [f.code for f in audit(desk.tracking_uri, SERVED, desk.ledger)]


def lift(desk: Desk) -> None:
    lift_denial(
        desk.tracking_uri, SERVED, ledger_path=desk.ledger, model="12345678", word=REVIEWER, at=AT,
        author=lambda _: AUTHOR,
    )  # fmt: skip


WRITERS: dict[str, Callable[[Desk], Any]] = {
    "promote": lambda desk: desk.promote("models:/candidates/2"),
    "approve": partial(say, grant),
    "reject": partial(say, reject),
    "rollback": back,
    "repair": mend,
    "lift": lift,
}


def cut(ledger: Path) -> None:
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(lines[:-1]))


def written_anew(ledger: Path) -> None:
    """The last entry replaced by another one that follows just as well: the chain is whole, and as long as before."""
    last = read_history(ledger)[-1]
    cut(ledger)
    append_entry(ledger, replace(last, event="approved"))


def replaced(ledger: Path) -> None:
    """Another history altogether, longer than the one that lay here."""
    entries = read_history(ledger)
    ledger.unlink()
    for entry in (*entries, *entries):
        append_entry(ledger, replace(entry, promoter="somebody"))


def emptied(ledger: Path) -> None:
    ledger.write_text("")


@pytest.mark.parametrize("damage", [cut, written_anew, replaced, emptied, Path.unlink])
def test_whoever_would_append_refuses_a_history_that_lost_an_entry(serving: Desk, damage: Any) -> None:
    """The entry that goes is a refusal: no seat and no alias would miss it."""
    assert faults(serving) == []
    whole = serving.ledger.read_bytes()
    damage(serving.ledger)
    left = serving.ledger.read_bytes() if serving.ledger.exists() else None
    for name, write in WRITERS.items():
        with pytest.raises(GateRefused) as refusal:
            write(serving)
        assert refusal.value.code == "HISTORY_CUT", name
        assert "backup" in refusal.value.remedy and "--begin-anew" in refusal.value.remedy
    assert (serving.ledger.read_bytes() if serving.ledger.exists() else None) == left, "a refusal wrote"
    found = audit(serving.tracking_uri, SERVED, serving.ledger)
    (fault,) = [f for f in found if f.code == "HISTORY_CUT"]
    assert fault.place == place_of(serving.ledger)
    assert "HISTORY_BEHIND" not in {f.code for f in found}, "it follows from the cut, and has no other way out"
    assert all(f.remedy != "`plumbline history --repair`" for f in found), "which is refused"
    serving.ledger.write_bytes(whole)
    assert faults(serving) == []
    mend(serving)


def test_a_history_ahead_of_its_anchor_is_in_order(serving: Desk) -> None:
    """A kill between entry and anchor, or an entry written while the registry was down; the anchor follows."""
    entry = read_history(serving.ledger)[-1]
    append_entry(serving.ledger, replace(entry, reason="written while nobody answered"))
    assert faults(serving) == []
    mend(serving)
    cut(serving.ledger)
    assert faults(serving) == ["HISTORY_CUT"]


def test_the_anchor_follows_also_after_an_exception(serving: Desk) -> None:
    seat = open_seat(serving.tracking_uri, SERVED)
    entry = read_history(serving.ledger)[-1]
    with pytest.raises(KeyboardInterrupt), anchored(seat, serving.ledger):
        written = append_entry(serving.ledger, entry)
        raise KeyboardInterrupt
    (anchor,) = anchors_of(seat)
    assert (anchor.length, anchor.last) == (4, written.digest)


def test_an_end_that_goes_while_it_is_held_is_not_taken_for_the_new_end(serving: Desk) -> None:
    seat = open_seat(serving.tracking_uri, SERVED)
    before = anchors_of(seat)
    with anchored(seat, serving.ledger):
        cut(serving.ledger)
    assert anchors_of(seat) == before
    assert faults(serving) == ["HISTORY_CUT"]


def test_beginning_anew_is_recorded_and_is_no_fault_for_ever(serving: Desk) -> None:
    with pytest.raises(GateRefused, match="HISTORY_WHOLE"):
        anew(serving)
    last = read_history(serving.ledger)[-1].digest
    serving.ledger.unlink()
    with pytest.raises(GateRefused, match=r"APPROVAL_EMPTY: .*--as NAME --reason TEXT"):
        anew(serving, Word(" ", "why"))
    assert not serving.ledger.exists()
    written = anew(serving)
    assert (written.event, written.promoter, written.before) == ("begun_anew", "R. Viewer", GENESIS)
    assert written.reason == f"lost: 3 entries up to {last[:12]}; the file held 0; the disk died"
    mend(serving)
    assert [e.event for e in read_history(serving.ledger)] == ["begun_anew", "observed"]
    assert faults(serving) == []
    seat = open_seat(serving.tracking_uri, SERVED)
    assert [(a.length, a.last) for a in anchors_of(seat) if a.ended == written.digest] == [(3, last)]
    with pytest.raises(GateRefused, match="HISTORY_WHOLE"):
        anew(serving)
    serving.promote("models:/candidates/2")
    assert faults(serving) == []
    emptied(serving.ledger)
    assert "HISTORY_CUT" in faults(serving), "the new one is guarded as the old one was"


def test_beginning_anew_keeps_what_is_left(serving: Desk) -> None:
    cut(serving.ledger)
    assert "lost: 3 entries" in str(anew(serving).reason)
    assert [e.event for e in read_history(serving.ledger)] == ["intended", "promoted", "begun_anew"]
    assert faults(serving) == []


def test_several_histories_in_one_database_are_in_order_and_known_to_each_other(serving: Desk) -> None:
    elsewhere = serving.folder / "elsewhere" / "promotions.jsonl"
    serving.promote("models:/candidates/2", ledger_path=elsewhere)
    assert faults(serving) == ["HISTORY_BEHIND"]
    mend(serving)
    assert faults(serving) == []
    (other,) = other_histories(serving.tracking_uri, SERVED, serving.ledger)
    assert (other.place, other.length) == (place_of(elsewhere), len(read_history(elsewhere)))


def test_a_history_that_was_moved_is_known_by_its_first_entry(serving: Desk) -> None:
    there = serving.folder / "moved.jsonl"
    cut(serving.ledger)
    serving.ledger.rename(there)
    with pytest.raises(GateRefused, match="HISTORY_CUT"):
        repair(serving.tracking_uri, SERVED, ledger_path=there, promoter="test", at=AT)


def test_a_database_older_than_the_table_gets_it(serving: Desk) -> None:
    with sqlite3.connect(serving.tracking_uri.removeprefix("sqlite:///")) as connection:
        connection.execute("DROP TABLE plumbline_histories")
        connection.execute("DROP TABLE plumbline_lifted")
    connection.close()
    assert faults(serving) == []
    mend(serving)
    cut(serving.ledger)
    assert faults(serving) == ["HISTORY_CUT"]


def test_without_a_named_database_the_history_is_held_and_written(desk: Desk) -> None:
    with anchored(None, desk.ledger):
        append_entry(desk.ledger, HistoryEntry("promoted", AT.isoformat(), "test", SERVED, "1", "1" * 64, None))
    assert len(read_history(desk.ledger)) == 1
    assert anchors_of(Seat(desk.tracking_uri, SERVED)) == ()

"""The history's end: what was cut off, emptied, deleted or written anew is seen, and a true loss is recorded."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from spine.errors import GateRefused
from tests.validation.promotion.registry import AT, AUTHOR, SERVED, Registry, correct_result
from validation.gates.policy import VirtualStudyLimits, read_policy
from validation.promotion.approval import SignOff, grant, reject
from validation.promotion.audit import audit, accept_history_loss, other_histories, repair
from validation.promotion.champion_record import ChampionRecord, open_champion_record
from validation.promotion.history import GENESIS, HistoryEntry, append_entry, read_history
from validation.promotion.history_length import open_for_append, known_lengths, place_of
from validation.promotion.reinstatement import reinstate
from validation.promotion.rollback import Order, rollback

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

REVIEWER = SignOff("R. Viewer", "the disk died")
FIRST = "models:/candidates/1"


@pytest.fixture
def serving(registry: Registry) -> Registry:
    """A registry with a champion, a better model judged against it, and a human's refusal of that as the last entry."""
    registry.register("first")
    registry.judge("first", noise=2.0, seed=2)
    registry.promote(FIRST)
    registry.register("second")
    registry.judge("second", champion="first", noise=0.5, seed=3)
    say(reject, registry)
    return registry


def say(what: Callable[..., Path], registry: Registry) -> Path:
    from validation.gates.verdict import read_verdict

    return what(
        read_verdict(registry.verdict_path), read_policy(registry.policy), REVIEWER, author=AUTHOR, production_model=SERVED,
        folder=registry.folder / "approvals", ledger_path=registry.ledger, at=AT, seat=open_champion_record(registry.tracking_uri, SERVED),
    )  # fmt: skip


def back(registry: Registry) -> None:
    order = Order(
        tracking_uri=registry.tracking_uri, production_model=SERVED, ledger_path=registry.ledger, reason="wrong side",
        promoter="test", at=AT, measure_virtual_study=correct_result, limits=VirtualStudyLimits(),
    )  # fmt: skip
    rollback(order)


def mend(registry: Registry) -> None:
    repair(registry.tracking_uri, SERVED, ledger_path=registry.ledger, promoter="test", at=AT)


def anew(registry: Registry, word: SignOff = REVIEWER) -> HistoryEntry:
    return accept_history_loss(registry.tracking_uri, SERVED, ledger_path=registry.ledger, word=word, at=AT)


def faults(registry: Registry) -> list[str]:
    return [f.code for f in audit(registry.tracking_uri, SERVED, registry.ledger)]


def lift(registry: Registry) -> None:
    reinstate(
        registry.tracking_uri, SERVED, ledger_path=registry.ledger, model="12345678", word=REVIEWER, at=AT,
        author=lambda _: AUTHOR,
    )  # fmt: skip


WRITERS: dict[str, Callable[[Registry], Any]] = {
    "promote": lambda registry: registry.promote("models:/candidates/2"),
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
def test_whoever_would_append_refuses_a_history_that_lost_an_entry(serving: Registry, damage: Any) -> None:
    """The entry that goes is a refusal: no seat and no alias would miss it."""
    assert faults(serving) == []
    whole = serving.ledger.read_bytes()
    damage(serving.ledger)
    left = serving.ledger.read_bytes() if serving.ledger.exists() else None
    for name, write in WRITERS.items():
        with pytest.raises(GateRefused) as refusal:
            write(serving)
        assert refusal.value.code == "HISTORY_CUT", name
        assert "backup" in refusal.value.remedy and "--accept-loss" in refusal.value.remedy
    assert (serving.ledger.read_bytes() if serving.ledger.exists() else None) == left, "a refusal wrote"
    found = audit(serving.tracking_uri, SERVED, serving.ledger)
    (fault,) = [f for f in found if f.code == "HISTORY_CUT"]
    assert fault.place == place_of(serving.ledger)
    assert "HISTORY_BEHIND" not in {f.code for f in found}, "it follows from the cut, and has no other way out"
    assert all(f.remedy != "`plumbline history --repair`" for f in found), "which is refused"
    serving.ledger.write_bytes(whole)
    assert faults(serving) == []
    mend(serving)


def test_a_history_ahead_of_its_anchor_is_in_order(serving: Registry) -> None:
    """A kill between entry and anchor, or an entry written while the registry was down; the anchor follows."""
    entry = read_history(serving.ledger)[-1]
    append_entry(serving.ledger, replace(entry, reason="written while nobody answered"))
    assert faults(serving) == []
    mend(serving)
    cut(serving.ledger)
    assert faults(serving) == ["HISTORY_CUT"]


def test_the_anchor_follows_also_after_an_exception(serving: Registry) -> None:
    seat = open_champion_record(serving.tracking_uri, SERVED)
    entry = read_history(serving.ledger)[-1]
    with pytest.raises(KeyboardInterrupt), open_for_append(seat, serving.ledger):
        written = append_entry(serving.ledger, entry)
        raise KeyboardInterrupt
    (anchor,) = known_lengths(seat)
    assert (anchor.length, anchor.last) == (4, written.digest)


def test_an_end_that_goes_while_it_is_held_is_not_taken_for_the_new_end(serving: Registry) -> None:
    seat = open_champion_record(serving.tracking_uri, SERVED)
    before = known_lengths(seat)
    with open_for_append(seat, serving.ledger):
        cut(serving.ledger)
    assert known_lengths(seat) == before
    assert faults(serving) == ["HISTORY_CUT"]


def test_beginning_anew_is_recorded_and_is_no_fault_for_ever(serving: Registry) -> None:
    with pytest.raises(GateRefused, match="HISTORY_COMPLETE"):
        anew(serving)
    last = read_history(serving.ledger)[-1].digest
    serving.ledger.unlink()
    with pytest.raises(GateRefused, match=r"APPROVAL_EMPTY: .*--as NAME --reason TEXT"):
        anew(serving, SignOff(" ", "why"))
    assert not serving.ledger.exists()
    written = anew(serving)
    assert (written.event, written.promoter, written.before) == ("loss_accepted", "R. Viewer", GENESIS)
    assert written.reason == f"lost: 3 entries up to {last[:12]}; the file held 0; the disk died"
    mend(serving)
    assert [e.event for e in read_history(serving.ledger)] == ["loss_accepted", "observed"]
    assert faults(serving) == []
    seat = open_champion_record(serving.tracking_uri, SERVED)
    assert [(a.length, a.last) for a in known_lengths(seat) if a.ended == written.digest] == [(3, last)]
    with pytest.raises(GateRefused, match="HISTORY_COMPLETE"):
        anew(serving)
    serving.promote("models:/candidates/2")
    assert faults(serving) == []
    emptied(serving.ledger)
    assert "HISTORY_CUT" in faults(serving), "the new one is guarded as the old one was"


def test_beginning_anew_keeps_what_is_left(serving: Registry) -> None:
    cut(serving.ledger)
    assert "lost: 3 entries" in str(anew(serving).reason)
    assert [e.event for e in read_history(serving.ledger)] == ["intended", "promoted", "loss_accepted"]
    assert faults(serving) == []


def test_several_histories_in_one_database_are_in_order_and_known_to_each_other(serving: Registry) -> None:
    elsewhere = serving.folder / "elsewhere" / "promotions.jsonl"
    serving.promote("models:/candidates/2", ledger_path=elsewhere)
    assert faults(serving) == ["HISTORY_BEHIND"]
    mend(serving)
    assert faults(serving) == []
    (other,) = other_histories(serving.tracking_uri, SERVED, serving.ledger)
    assert (other.place, other.length) == (place_of(elsewhere), len(read_history(elsewhere)))


def test_a_history_that_was_moved_is_known_by_its_first_entry(serving: Registry) -> None:
    there = serving.folder / "moved.jsonl"
    cut(serving.ledger)
    serving.ledger.rename(there)
    with pytest.raises(GateRefused, match="HISTORY_CUT"):
        repair(serving.tracking_uri, SERVED, ledger_path=there, promoter="test", at=AT)


def test_a_database_older_than_the_table_gets_it(serving: Registry) -> None:
    with sqlite3.connect(serving.tracking_uri.removeprefix("sqlite:///")) as connection:
        connection.execute("DROP TABLE plumbline_histories")
        connection.execute("DROP TABLE plumbline_lifted")
    connection.close()
    assert faults(serving) == []
    mend(serving)
    cut(serving.ledger)
    assert faults(serving) == ["HISTORY_CUT"]


def test_without_a_named_database_the_history_is_held_and_written(registry: Registry) -> None:
    with open_for_append(None, registry.ledger):
        append_entry(registry.ledger, HistoryEntry("promoted", AT.isoformat(), "test", SERVED, "1", "1" * 64, None))
    assert len(read_history(registry.ledger)) == 1
    assert known_lengths(ChampionRecord(registry.tracking_uri, SERVED)) == ()

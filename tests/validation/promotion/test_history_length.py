"""The length of a history: every kind of missing last entries is detected, and an accepted loss is recorded."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spine.errors import GateRefused
from tests.validation.promotion.registry import AT, SERVED, Registry
from validation.gates.verdict import read_verdict
from validation.promotion.approval import ApprovalRequest, SignOff, grant, reject
from validation.promotion.audit import audit, other_histories
from validation.promotion.champion_record import ChampionRecord
from validation.promotion.history import GENESIS, HistoryEntry, append_entry, read_history
from validation.promotion.history_length import known_lengths, open_for_append, place_of
from validation.promotion.repair import accept_history_loss

REVIEWER = SignOff("R. Viewer", "the disk died")


@pytest.fixture
def serving(serving: Registry) -> Registry:
    """A registry whose history ends with a person's refusal of the better model."""
    decide(serving, reject)
    return serving


def decide(registry: Registry, what: Callable[[ApprovalRequest], Path]) -> Path:
    return registry.decide(what, read_verdict(registry.verdict_path), REVIEWER)


def accept_loss(registry: Registry, sign_off: SignOff = REVIEWER) -> HistoryEntry:
    return accept_history_loss(registry.tracking_uri, SERVED, ledger_path=registry.ledger, sign_off=sign_off, at=AT)


WRITERS: dict[str, Callable[[Registry], Any]] = {
    "promote": lambda registry: registry.promote("models:/candidates/2"),
    "approve": lambda registry: decide(registry, grant),
    "reject": lambda registry: decide(registry, reject),
    "rollback": lambda registry: registry.roll_back(),
    "repair": lambda registry: registry.repair(),
    "reinstate": lambda registry: registry.reinstate("12345678"),
}


def cut(ledger: Path) -> None:
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(lines[:-1]))


def other_end(ledger: Path) -> None:
    """Replace the last entry by another one: the chain is intact and has the same length."""
    last = read_history(ledger)[-1]
    cut(ledger)
    append_entry(ledger, replace(last, event="approved"))


def replaced(ledger: Path) -> None:
    """Replace the history by another one, which is longer."""
    entries = read_history(ledger)
    ledger.unlink()
    for entry in (*entries, *entries):
        append_entry(ledger, replace(entry, promoter="somebody"))


def emptied(ledger: Path) -> None:
    ledger.write_text("")


@pytest.mark.parametrize("damage", [cut, other_end, replaced, emptied, Path.unlink])
def test_every_writer_refuses_a_history_that_lost_an_entry(serving: Registry, damage: Any) -> None:
    """The lost entry is a refusal, so champion record and alias do not reveal the loss."""
    assert serving.faults() == []
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
    assert "HISTORY_BEHIND" not in {f.code for f in found}, "it follows from the cut and has the same remedy"
    assert all(f.remedy != "`plumbline history --repair`" for f in found), "the repair is refused"
    serving.ledger.write_bytes(whole)
    assert serving.faults() == []
    serving.repair()


def test_a_history_longer_than_remembered_is_valid(serving: Registry) -> None:
    """This happens after a kill, or after a write while the registry was down. The next writer stores the length."""
    entry = read_history(serving.ledger)[-1]
    append_entry(serving.ledger, replace(entry, reason="written while the registry was down"))
    assert serving.faults() == []
    serving.repair()
    cut(serving.ledger)
    assert serving.faults() == ["HISTORY_CUT"]


def test_the_length_is_remembered_also_after_an_exception(serving: Registry) -> None:
    entry = read_history(serving.ledger)[-1]
    with pytest.raises(KeyboardInterrupt), open_for_append(serving.record, serving.ledger):
        written = append_entry(serving.ledger, entry)
        raise KeyboardInterrupt
    (length,) = known_lengths(serving.record)
    assert (length.length, length.last) == (4, written.digest)


def test_an_end_that_goes_missing_while_the_history_is_open_is_not_remembered(serving: Registry) -> None:
    before = known_lengths(serving.record)
    with open_for_append(serving.record, serving.ledger):
        cut(serving.ledger)
    assert known_lengths(serving.record) == before
    assert serving.faults() == ["HISTORY_CUT"]


def test_an_accepted_loss_is_recorded_and_is_not_a_fault_any_more(serving: Registry) -> None:
    with pytest.raises(GateRefused, match="HISTORY_COMPLETE"):
        accept_loss(serving)
    last = read_history(serving.ledger)[-1].digest
    serving.ledger.unlink()
    with pytest.raises(GateRefused, match=r"APPROVAL_EMPTY: .*--as NAME --reason TEXT"):
        accept_loss(serving, SignOff(" ", "why"))
    assert not serving.ledger.exists()
    written = accept_loss(serving)
    assert (written.event, written.promoter, written.before) == ("loss_accepted", "R. Viewer", GENESIS)
    assert written.reason == f"lost: 3 entries up to {last[:12]} were stored; the file had 0; the disk died"
    serving.repair()
    assert [e.event for e in read_history(serving.ledger)] == ["loss_accepted", "observed"]
    assert serving.faults() == []
    assert [(a.length, a.last) for a in known_lengths(serving.record) if a.closed_by == written.digest] == [(3, last)]
    with pytest.raises(GateRefused, match="HISTORY_COMPLETE"):
        accept_loss(serving)
    serving.promote("models:/candidates/2")
    assert serving.faults() == []
    emptied(serving.ledger)
    assert "HISTORY_CUT" in serving.faults(), "the end of the new history is remembered too"


def test_accepting_a_loss_keeps_what_is_left(serving: Registry) -> None:
    cut(serving.ledger)
    assert "lost: 3 entries" in str(accept_loss(serving).reason)
    assert [e.event for e in read_history(serving.ledger)] == ["intended", "promoted", "loss_accepted"]
    assert serving.faults() == []


def test_several_histories_in_one_database_are_valid_and_list_each_other(serving: Registry) -> None:
    elsewhere = serving.folder / "elsewhere" / "promotions.jsonl"
    serving.promote("models:/candidates/2", ledger_path=elsewhere)
    assert serving.faults() == ["HISTORY_BEHIND"]
    serving.repair()
    assert serving.faults() == []
    (other,) = other_histories(serving.tracking_uri, SERVED, serving.ledger)
    assert (other.place, other.length) == (place_of(elsewhere), len(read_history(elsewhere)))


def test_a_history_that_was_moved_is_known_by_its_first_entry(serving: Registry) -> None:
    there = serving.folder / "moved.jsonl"
    cut(serving.ledger)
    serving.ledger.rename(there)
    with pytest.raises(GateRefused, match="HISTORY_CUT"):
        serving.repair(ledger_path=there)


def test_missing_tables_are_created(serving: Registry) -> None:
    serving.execute("DROP TABLE plumbline_histories", "DROP TABLE plumbline_reinstated")
    assert serving.faults() == []
    serving.repair()
    cut(serving.ledger)
    assert serving.faults() == ["HISTORY_CUT"]


def test_without_a_named_database_the_history_is_locked_and_written(registry: Registry) -> None:
    with open_for_append(None, registry.ledger):
        append_entry(registry.ledger, HistoryEntry("promoted", AT.isoformat(), "test", SERVED, "1", "1" * 64, None))
    assert len(read_history(registry.ledger)) == 1
    assert known_lengths(ChampionRecord(registry.tracking_uri, SERVED)) == ()

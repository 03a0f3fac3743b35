"""The table and its copy: what is cut, edited or replaced in one of them is found, refused, and can be restored."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.engine import Engine

from spine.errors import EvidenceRejected, GateRefused
from tests.validation.promotion.registry import REVIEWER, SERVED, Registry
from tests.validation.promotion.short_histories import MODELS, event, forged
from validation.gates.verdict import read_verdict
from validation.promotion.approval import SignOff
from validation.promotion.history import History, read_copy
from validation.promotion.sync import changing
from validation.promotion.verify import verify
from validation.registry.database import transaction

SECOND = "models:/candidates/2"
TABLE = "plumbline_events"


@pytest.fixture(scope="module")
def judged_once(serving_once: Registry, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry = serving_once.copy_to(tmp_path_factory.mktemp("judged"))
    registry.approve(read_verdict(registry.verdict_path))
    registry.reject(read_verdict(registry.verdict_path))
    return registry


@pytest.fixture
def judged(judged_once: Registry, tmp_path: Path) -> Registry:
    """A registry with a champion. Persons approved and then rejected the better model, which no alias shows."""
    return judged_once.copy_to(tmp_path)


def snapshot(registry: Registry) -> tuple[object, ...]:
    return (registry.history.events(), registry.copy.read_bytes() if registry.copy.exists() else None)


def commands(registry: Registry) -> list[Callable[[], object]]:
    """Every use of the history."""
    verdict = read_verdict(registry.verdict_path)
    uses: list[Callable[[], object]] = [partial(registry.approve, verdict), partial(registry.reject, verdict)]
    uses += [partial(registry.promote, SECOND), partial(registry.reinstate, verdict.challenger_model)]
    return [*uses, registry.roll_back, registry.sync, lambda: registry.champion]


@pytest.mark.parametrize(
    ("damage", "code", "number"),
    [
        (f"DELETE FROM {TABLE} WHERE sequence = 2", "HISTORY_CUT", 2),
        (f"DELETE FROM {TABLE}", "HISTORY_CUT", 0),
        (f"DROP TABLE {TABLE}", "HISTORY_CUT", 0),
        (f"DELETE FROM {TABLE} WHERE sequence = 1", "HISTORY_BROKEN", 1),
        (f"DELETE FROM {TABLE} WHERE sequence = 0", "HISTORY_BROKEN", 0),
        (f"UPDATE {TABLE} SET reason = 'x' WHERE sequence = 1", "HISTORY_BROKEN", 1),
        (f"UPDATE {TABLE} SET reason = x'00ff' WHERE sequence = 1", "HISTORY_BROKEN", 1),
        (1, "HISTORY_DIFFERS", 1),
        (2, "HISTORY_DIFFERS", 2),
    ],
)
def test_a_cut_edited_or_replaced_table_is_found_refused_and_restored(
    judged: Registry, damage: str | int, code: str, number: int
) -> None:
    """A number stands for another history of the same length, whose chain is intact, from this event on."""
    assert judged.faults() == []
    events = judged.history.events()
    if isinstance(damage, int):
        judged.execute(f"DELETE FROM {TABLE}")
        with transaction(judged.tracking_uri, write=True) as connection:
            judged.history._insert(connection, *forged(events, damage, reason="another reason"))
    else:
        judged.execute(damage)
    left = snapshot(judged)
    found = next(fault for fault in verify(judged.history) if fault.code == code)
    assert found.place == f"event {number}" and "plumbline history --restore" in found.remedy
    for use in commands(judged):
        with pytest.raises(GateRefused, match=rf"{code}.*backup.*--restore --as NAME --reason TEXT"):
            use()
    for unsigned in (SignOff(" ", "why"), SignOff("R. Viewer", " ")):
        with pytest.raises(GateRefused, match=r"APPROVAL_EMPTY: .*--restore`: --as and --reason"):
            judged.restore(unsigned)
    assert snapshot(judged) == left, "a refusal wrote"
    restored = judged.restore()
    assert (restored.kind, restored.actor, restored.sequence) == ("restored", "R. Viewer", 3)
    assert f"events {number} to 2 " in restored.reason and restored.reason.endswith(REVIEWER.comment)
    assert judged.sync().events == (*events, restored) == read_copy(judged.copy)
    assert judged.faults() == []
    with pytest.raises(GateRefused, match="HISTORY_COMPLETE"):
        judged.restore()


@pytest.mark.parametrize(
    ("edit", "number"),
    [
        (lambda lines: [lines[0], lines[1].replace("worst", "best"), lines[2]], 1),
        (lambda lines: [lines[0], lines[2]], 1),
        (lambda lines: [lines[0], "{}", lines[2]], 1),
        (lambda lines: [lines[0], "[" * 99_999, lines[2]], 1),
        (lambda lines: [*lines[:2], lines[2][:40]], 2),
        (lambda lines: lines[::-1], 0),
        (lambda lines: [*lines, lines[0]], 3),
    ],
)
def test_an_edited_copy_is_found_and_refused_and_not_restored(
    judged: Registry, edit: Callable[[list[str]], list[str]], number: int
) -> None:
    whole, code = judged.copy.read_bytes(), "HISTORY_CUT" if number == 3 else "HISTORY_DIFFERS"
    judged.copy.write_text("\n".join(edit(judged.copy.read_text().splitlines())) + "\n")
    left = snapshot(judged)
    assert [(fault.code, fault.place) for fault in verify(judged.history)] == [(code, f"event {number}")]
    for use in commands(judged):
        with pytest.raises(GateRefused, match=rf"{code}.*move"):
            use()
    with pytest.raises(GateRefused, match=r"HISTORY_BROKEN: found event"):
        judged.restore()
    assert snapshot(judged) == left
    judged.copy.unlink()
    judged.sync()
    assert judged.copy.read_bytes() == whole and judged.faults() == []


@pytest.mark.parametrize("lines", [1, 0, None])
def test_a_copy_that_is_missing_or_behind_is_completed(judged: Registry, lines: int | None) -> None:
    whole = judged.copy.read_text()
    judged.copy.write_text("".join(whole.splitlines(keepends=True)[:lines]))
    if lines is None:
        judged.copy.unlink()
    assert [(fault.code, fault.place) for fault in verify(judged.history)] == [("COPY_BEHIND", f"event {lines or 0}")]
    judged.sync()
    assert judged.copy.read_text() == whole and judged.faults() == []


def test_restoring_keeps_the_later_events_of_the_table_and_other_models(judged: Registry) -> None:
    """The copy of this workspace is behind, e.g. because another workspace added the last event."""
    events, lines = judged.history.events(), judged.copy.read_text().splitlines(keepends=True)
    other = replace(judged.history, model="another", copy=judged.folder / "another.jsonl")
    kept = other.append(lambda _: event("rejected", MODELS[0]))
    judged.copy.write_text("".join(lines[:2]))
    judged.execute(f"UPDATE {TABLE} SET actor = 'x' WHERE sequence = 0 AND model = '{SERVED}'")
    restored = judged.restore()
    assert judged.history.events() == (*events, restored) and other.events() == (kept,)
    assert "events 0 to 2 of the table" in restored.reason


def test_restoring_leaves_out_forged_last_events_and_says_so(judged: Registry) -> None:
    events, last = judged.history.events(), "sha256 = 'forged', sequence = sequence + 1"
    judged.execute(f"CREATE TABLE row AS SELECT * FROM {TABLE} WHERE sequence = {len(events) - 1}")
    judged.execute(f"UPDATE row SET {last}", f"INSERT INTO {TABLE} SELECT * FROM row")
    with pytest.raises(EvidenceRejected, match=f"HISTORY_BROKEN: found event {len(events)}"):
        judged.history.state()
    restored = judged.restore()
    assert "which did not follow, were left out" in restored.reason
    assert judged.history.events() == (*events, restored) and judged.faults() == []


def test_nothing_is_restored_into_another_registry(serving: Registry, empty_mlflow_database: Path) -> None:
    """A mistyped address must not make a second history of the same model."""
    shutil.copyfile(empty_mlflow_database, serving.folder / "wrong.db")
    wrong = replace(serving, tracking_uri=f"sqlite:///{serving.folder / 'wrong.db'}")
    with pytest.raises(GateRefused, match=r"HISTORY_CUT.*check PLUMBLINE_TRACKING_URI"):
        wrong.history.state()
    with pytest.raises(GateRefused, match="VERSION_GONE"):
        wrong.restore()
    assert wrong.history.events() == () and serving.faults() == []


def test_an_event_that_contradicts_the_history_is_never_written(judged: Registry) -> None:
    """Not even by a decision that is wrong: no later command could read such a history."""
    before = snapshot(judged)
    with pytest.raises(GateRefused, match="EVENT_REFUSED"):
        judged.history.append(lambda _: event("promoted", MODELS[0]))
    assert snapshot(judged) == before


def other_workspace(registry: Registry, name: str, **changes: Any) -> History:
    """The same registry and database, from another workspace."""
    (registry.folder / name).mkdir()
    return replace(registry.history, copy=registry.folder / name / "history.jsonl", **changes)


def test_two_workspaces_on_one_registry_see_the_same_events(judged: Registry) -> None:
    there = other_workspace(judged, "there")
    shutil.copy(judged.copy, there.copy)  # one is a copy of the other
    judged.reinstate(judged.digest("second"))
    judged.promote(SECOND, where=there)
    assert judged.kinds == ["promoted", "approved", "rejected", "reinstated", "promoted"]
    assert judged.faults() == ["COPY_BEHIND"]
    judged.refuses(SECOND, "STALE_CHAMPION")
    assert judged.copy.read_bytes() == there.copy.read_bytes()
    assert judged.faults() == [] == list(verify(there))
    judged.execute(f"DELETE FROM {TABLE} WHERE sequence = 4")
    with pytest.raises(GateRefused, match="HISTORY_CUT"), changing(there):
        pass


def test_a_workspace_made_anew_with_the_old_history_has_no_first_champion(
    judged: Registry, empty_mlflow_database: Path
) -> None:
    """The history is in a database of its own, and the registry at the same place is new."""
    anew = other_workspace(judged, "anew", tracking_uri=f"sqlite:///{judged.folder}/anew/mlflow.db")
    shutil.copy(empty_mlflow_database, judged.folder / "anew" / "mlflow.db")
    address = replace(judged, tracking_uri=anew.tracking_uri).register("third")
    before = judged.history.events()
    for champion, code in ((None, "STALE_CHAMPION"), ("first", "VERSION_GONE")):
        judged.judge("third", champion=champion, noise=0.5, seed=3)
        with pytest.raises(GateRefused, match=code):
            judged.promote(address, where=anew)
    assert judged.history.events() == before == read_copy(anew.copy)


@pytest.fixture
def read_only() -> Iterator[Callable[[], None]]:
    """A function after which all connections refuse to write, as with a read-only file or folder (also as root)."""

    def connected(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA query_only = ON")

    yield lambda: sqlalchemy_event.listen(Engine, "connect", connected)
    sqlalchemy_event.remove(Engine, "connect", connected)


def test_a_read_only_database_is_refused(judged: Registry, read_only: Callable[[], None]) -> None:
    verdict, before = read_verdict(judged.verdict_path), snapshot(judged)
    read_only()
    for write in (partial(judged.reinstate, verdict.challenger_model), partial(judged.reject, verdict)):
        with pytest.raises(GateRefused, match=r"REGISTRY_UNAVAILABLE.*readonly"):
            write()
    assert judged.champion is not None and snapshot(judged) == before and judged.faults() == []

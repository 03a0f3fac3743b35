"""Rollback in one move (faults G14, G15), and a registry, alias or clock that fails meanwhile."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from spine.errors import GateRefused
from spine.model_digest import model_digest
from tests.validation.promotion.registry import AT, SERVED, Registry, correct_result
from validation.gates.policy import VirtualStudyLimits
from validation.promotion.approval import SignOff
from validation.promotion.audit import audit, accept_history_loss, repair
from validation.promotion.champion import current_champion, fetch_champion, open_registry, version_of_alias
from validation.promotion.champion_record import ChampionRecord
from validation.promotion.history import HistoryEntry, append_entry, read_history
from validation.promotion.rollback import Order, Rollback, rollback
from validation.promotion.smoke_test import VirtualStudyResult

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


@pytest.fixture
def third(registry: Registry) -> Registry:
    """A registry whose third champion serves."""
    return promoted(registry, "first", "second", "third")


def promoted(registry: Registry, *names: str) -> Registry:
    before = None
    for i, name in enumerate(names):
        address, _ = registry.register(name)
        if before is None:
            registry.judge(name, noise=2.0, seed=2)
        else:
            registry.judge(name, champion=before, noise=0.5, seed=3 + i)
        registry.promote(address)
        before = name
    return registry


def back(registry: Registry, **changes: Any) -> Rollback:
    arguments: dict[str, Any] = {
        "tracking_uri": registry.tracking_uri, "production_model": SERVED, "ledger_path": registry.ledger,
        "reason": "wrong side in 3 of 40 radiographs", "promoter": "R. Viewer", "at": AT,
        "measure_virtual_study": correct_result, "limits": VirtualStudyLimits(),
    }  # fmt: skip
    return rollback(Order(**(arguments | changes)))


def refused(registry: Registry, code: str, **changes: Any) -> GateRefused:
    before, events = ChampionRecord(registry.tracking_uri, SERVED).serving(), len(read_history(registry.ledger))
    with pytest.raises(GateRefused) as refusal:
        back(registry, **changes)
    assert refusal.value.code == code
    assert ChampionRecord(registry.tracking_uri, SERVED).serving() == before
    assert len(read_history(registry.ledger)) == events
    return refusal.value


def alias(registry: Registry, name: str) -> str | None:
    version = version_of_alias(open_registry(registry.tracking_uri), SERVED, name)
    return str(version.version) if version is not None else None


def but_not(name: str) -> Callable[[Path], VirtualStudyResult]:
    """Asking, where the model of this name answers NaN."""

    def ask(folder: Path) -> VirtualStudyResult:
        bad = (folder / "model.onnx").read_bytes() == f"graph of {name}".encode()
        return correct_result(folder, cobb=float("nan")) if bad else correct_result(folder)

    return ask


def test_a_model_that_was_refused_after_it_served_is_passed_over(third: Registry) -> None:
    digest = model_digest(third.folder / "second")
    said = HistoryEntry("rejected", AT.isoformat(), "N. Ay", SERVED, "", digest, None, "v" * 64, reason="mirrored")
    append_entry(third.ledger, said)
    assert "was refused" in refused(third, "ROLLBACK_REFUSED", to="2").found
    done = back(third)
    assert done.champion.model_digest == model_digest(third.folder / "first")
    assert any("mirrored" in fault for fault in done.passed_over)


def test_one_move_returns_to_the_last_good_model_and_denies_the_one_left(third: Registry) -> None:
    done = back(third)
    assert done.champion.model_digest == model_digest(third.folder / "second")
    assert current_champion(third.tracking_uri, SERVED) == done.champion
    assert (alias(third, "champion"), alias(third, "previous_champion")) == ("2", "1")
    last = read_history(third.ledger)[-1]
    assert (last.event, last.version, last.reason) == ("rolled_back", "2", "wrong side in 3 of 40 radiographs")
    assert last.digest == done.history_entry
    assert audit(third.tracking_uri, SERVED, third.ledger) == ()
    served = third.folder / "served"
    fetch_champion(third.tracking_uri, SERVED, into=served)
    assert model_digest(served) == model_digest(third.folder / "second")
    version = open_registry(third.tracking_uri).get_model_version(SERVED, "3")
    assert version.tags["plumbline.state"] == "denied"


def test_denied_model_is_neither_returned_to_nor_promoted_again(third: Registry) -> None:
    back(third)
    told = refused(third, "ROLLBACK_REFUSED", to="3")
    assert "denied" in told.found and "wrong side" in told.found
    assert "--to 1" in told.remedy
    address, _ = third.register_again("third")
    third.judge("third", champion="second", noise=0.3, seed=9)
    assert third.refuses(address, "MODEL_DENIED").found.endswith("wrong side in 3 of 40 radiographs")
    assert back(third, reason="and this").champion.version == "1"
    assert "denied" in refused(third, "NO_GOOD_MODEL", reason="and that").found


def test_target_that_fails_its_smoke_test_is_refused_and_the_next_good_one_offered(third: Registry) -> None:
    told = refused(third, "ROLLBACK_REFUSED", to="2", measure_virtual_study=but_not("second"))
    assert "cobb is nan" in told.found
    assert told.remedy == "the next good one is version 1: --to 1"
    done = back(third, measure_virtual_study=but_not("second"))
    assert done.champion.version == "1"
    assert "version 2" in done.passed_over[0]
    assert alias(third, "previous_champion") is None, "no version is left that may serve again but the denied one"


def test_target_with_other_bytes_or_without_any_is_refused(third: Registry) -> None:
    client = open_registry(third.tracking_uri)
    root = third.folder / "artifacts" / f"{SERVED}-promotions"
    graph = next((root / client.get_model_version(SERVED, "2").run_id).rglob("model.onnx"))
    graph.write_bytes(b"evil")
    assert "MODEL_ALTERED" in refused(third, "ROLLBACK_REFUSED", to="2").found
    assert [f.code for f in audit(third.tracking_uri, SERVED, third.ledger)] == ["MODEL_ALTERED"]
    shutil.rmtree(root / client.get_model_version(SERVED, "1").run_id)
    assert refused(third, "NO_GOOD_MODEL").code == "NO_GOOD_MODEL"


def test_what_is_asked_for_must_make_sense(third: Registry) -> None:
    refused(third, "NO_REASON", reason=" ")
    refused(third, "SMOKE_TEST_ABSENT", measure_virtual_study=None)
    refused(third, "ROLLBACK_UNKNOWN", to="3")
    refused(third, "ROLLBACK_UNKNOWN", to="99")
    refused(third, "CLOCK_WENT_BACK", at=AT - timedelta(hours=1))


def test_no_champion_at_all(registry: Registry) -> None:
    with pytest.raises(GateRefused, match="NO_CHAMPION"):
        back(registry)


def test_rollback_needs_neither_alias_nor_seat_nor_history(third: Registry) -> None:
    """Any one of the three may be lost: the others know who served. That the history is, a human says first."""
    client = open_registry(third.tracking_uri)
    client.delete_registered_model_alias(SERVED, "champion")
    assert back(third).champion.version == "2"
    third.ledger.unlink()
    refused(third, "HISTORY_CUT")
    accept_history_loss(third.tracking_uri, SERVED, ledger_path=third.ledger, word=SignOff("R. Viewer", "gone"), at=AT)
    client.delete_registered_model_alias(SERVED, "previous_champion")
    assert back(third, reason="and this").champion.version == "1"
    assert alias(third, "champion") == "1"


def test_registry_older_than_the_seat_is_adopted(third: Registry) -> None:
    empty_seat(third)
    assert [f.code for f in audit(third.tracking_uri, SERVED, third.ledger)] == ["CHAMPION_RECORD_EMPTY"]
    assert back(third).champion.version == "2"
    empty_seat(third)
    open_registry(third.tracking_uri).delete_registered_model_alias(SERVED, "champion")
    with pytest.raises(GateRefused, match="CHAMPION_LOST"):
        current_champion(third.tracking_uri, SERVED)
    restored = repair(third.tracking_uri, SERVED, ledger_path=third.ledger, promoter="test", at=AT).champion
    assert restored is not None and restored.version == "2"
    assert alias(third, "champion") == "2"


def empty_seat(registry: Registry) -> None:
    import sqlite3

    with sqlite3.connect(registry.tracking_uri.removeprefix("sqlite:///")) as connection:
        connection.execute("DELETE FROM plumbline_champions")
        connection.execute("DELETE FROM plumbline_changes")
    connection.close()


def test_interrupted_rollback_is_finished_by_the_repair(third: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    import validation.promotion.champion_change as room

    def dies(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(room, "mirror", dies)
        back(third)
    assert alias(third, "champion") == "3"
    served = current_champion(third.tracking_uri, SERVED)
    assert served is not None and served.version == "2", "the seat decides, not the alias"
    codes = {f.code for f in audit(third.tracking_uri, SERVED, third.ledger)}
    assert codes == {"CHANGE_INTERRUPTED", "HISTORY_BEHIND", "ALIAS_DISAGREES"}
    repair(third.tracking_uri, SERVED, ledger_path=third.ledger, promoter="test", at=AT)
    assert audit(third.tracking_uri, SERVED, third.ledger) == ()
    assert alias(third, "champion") == "2"
    assert read_history(third.ledger)[-2].event == "rolled_back"


def test_rolled_back_model_can_be_followed_by_a_better_one(third: Registry) -> None:
    back(third)
    fourth, _ = third.register("fourth")
    third.judge("fourth", champion="second", noise=0.4, seed=11)
    assert third.promote(fourth, measure_virtual_study=partial(correct_result, seconds=0.3)).champion.version == "4"
    assert (alias(third, "champion"), alias(third, "previous_champion")) == ("4", "2")
    assert audit(third.tracking_uri, SERVED, third.ledger) == ()

"""Rollback in one change (faults G14, G15), also with a broken registry, a missing alias or a wrong clock."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from spine.errors import GateRefused
from spine.model_digest import model_digest
from tests.validation.promotion.registry import AT, SERVED, Registry, correct_result, killed_in
from validation.promotion import champion_change
from validation.promotion.approval import SignOff
from validation.promotion.champion import current_champion, fetch_champion, open_registry, version_of_alias
from validation.promotion.history import HistoryEntry, append_entry, read_history
from validation.promotion.repair import accept_history_loss
from validation.promotion.smoke_test import VirtualStudyResult


@pytest.fixture(scope="module")
def third_once(serving_once: Registry, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry = serving_once.copy_to(tmp_path_factory.mktemp("third"))
    registry.promote("models:/candidates/2")
    address = registry.candidate("third", champion="second", noise=0.5, seed=5)
    registry.promote(address)
    return registry


@pytest.fixture
def third(third_once: Registry, tmp_path: Path) -> Registry:
    """A registry whose third champion serves."""
    return third_once.copy_to(tmp_path)


def refused(registry: Registry, code: str, **changes: Any) -> GateRefused:
    before, events = registry.serving, len(read_history(registry.ledger))
    with pytest.raises(GateRefused) as refusal:
        registry.roll_back(**changes)
    assert refusal.value.code == code
    assert registry.serving == before
    assert len(read_history(registry.ledger)) == events
    return refusal.value


def alias(registry: Registry, name: str) -> str | None:
    version = version_of_alias(open_registry(registry.tracking_uri), SERVED, name)
    return str(version.version) if version is not None else None


def wrong_for(name: str) -> Callable[[Path], VirtualStudyResult]:
    """A function that measures the virtual study; the model of this name returns NaN."""

    def measure(folder: Path) -> VirtualStudyResult:
        bad = (folder / "model.onnx").read_bytes() == f"graph of {name}".encode()
        return correct_result(folder, cobb=float("nan")) if bad else correct_result(folder)

    return measure


def test_a_model_that_was_refused_after_it_served_is_passed_over(third: Registry) -> None:
    digest = third.digest("second")
    refusal = HistoryEntry("rejected", AT.isoformat(), "N. Ay", SERVED, "", digest, None, "v" * 64, reason="mirrored")
    append_entry(third.ledger, refusal)
    assert "version 2 was refused on" in refused(third, "ROLLBACK_REFUSED", to="2").found
    done = third.roll_back()
    assert done.champion.model_digest == third.digest("first")
    assert any("mirrored" in fault for fault in done.passed_over)


def test_one_change_returns_to_the_last_good_model_and_denies_the_one_left(third: Registry) -> None:
    done = third.roll_back()
    assert done.champion.model_digest == third.digest("second")
    assert current_champion(third.tracking_uri, SERVED) == done.champion
    assert (alias(third, "champion"), alias(third, "previous_champion")) == ("2", "1")
    last = read_history(third.ledger)[-1]
    assert (last.event, last.version, last.reason) == ("rolled_back", "2", "wrong side in 3 of 40 radiographs")
    assert last.digest == done.history_entry
    assert third.faults() == []
    served = third.folder / "served"
    fetch_champion(third.tracking_uri, SERVED, into=served)
    assert model_digest(served) == third.digest("second")
    version = open_registry(third.tracking_uri).get_model_version(SERVED, "3")
    assert version.tags["plumbline.state"] == "denied"


def test_denied_model_is_neither_returned_to_nor_promoted_again(third: Registry) -> None:
    third.roll_back()
    refusal = refused(third, "ROLLBACK_REFUSED", to="3")
    assert "denied" in refusal.found and "wrong side" in refusal.found
    assert "--to 1" in refusal.remedy
    shutil.rmtree(third.folder / "third")
    address = third.candidate("third", champion="second", noise=0.3, seed=9)
    assert third.refuses(address, "MODEL_DENIED").found.endswith("wrong side in 3 of 40 radiographs")
    assert third.roll_back(reason="and this").champion.version == "1"
    assert "denied" in refused(third, "NO_GOOD_MODEL", reason="and that").found


def test_target_that_fails_its_smoke_test_is_refused_and_the_next_good_one_offered(third: Registry) -> None:
    refusal = refused(third, "ROLLBACK_REFUSED", to="2", measure_virtual_study=wrong_for("second"))
    assert "cobb is nan" in refusal.found
    assert refusal.remedy == "use --to 1, the next version that works and is neither denied nor refused"
    done = third.roll_back(measure_virtual_study=wrong_for("second"))
    assert done.champion.version == "1"
    assert "version 2" in done.passed_over[0]
    assert alias(third, "previous_champion") is None, "the only other version is denied"


def test_target_with_other_bytes_or_without_any_is_refused(third: Registry) -> None:
    client = open_registry(third.tracking_uri)
    root = third.folder / "artifacts" / f"{SERVED}-promotions"
    graph = next((root / client.get_model_version(SERVED, "2").run_id).rglob("model.onnx"))
    graph.write_bytes(b"evil")
    assert "MODEL_ALTERED" in refused(third, "ROLLBACK_REFUSED", to="2").found
    assert third.faults() == ["MODEL_ALTERED"]
    shutil.rmtree(root / client.get_model_version(SERVED, "1").run_id)
    assert refused(third, "NO_GOOD_MODEL").code == "NO_GOOD_MODEL"


def test_an_incomplete_or_impossible_request_is_refused(third: Registry) -> None:
    refused(third, "NO_REASON", reason=" ")
    refused(third, "SMOKE_TEST_ABSENT", measure_virtual_study=None)
    refused(third, "ROLLBACK_UNKNOWN", to="3")
    refused(third, "ROLLBACK_UNKNOWN", to="99")
    refused(third, "CLOCK_WENT_BACK", at=AT - timedelta(hours=1))


def test_no_champion_at_all(registry: Registry) -> None:
    with pytest.raises(GateRefused, match="NO_CHAMPION"):
        registry.roll_back()


def test_rollback_needs_neither_alias_nor_history(third: Registry) -> None:
    """Both list the models that served, so one may be lost. A person must first accept the loss of a history."""
    client = open_registry(third.tracking_uri)
    client.delete_registered_model_alias(SERVED, "champion")
    assert third.roll_back().champion.version == "2"
    third.ledger.unlink()
    refused(third, "HISTORY_CUT")
    accept_history_loss(
        third.tracking_uri, SERVED, ledger_path=third.ledger, sign_off=SignOff("R. Viewer", "gone"), at=AT
    )
    client.delete_registered_model_alias(SERVED, "previous_champion")
    assert third.roll_back(reason="and this").champion.version == "1"
    assert alias(third, "champion") == "1"


def test_an_empty_champion_record_is_filled_from_alias_or_history(third: Registry) -> None:
    empty_record = ("DELETE FROM plumbline_champions", "DELETE FROM plumbline_changes")
    third.execute(*empty_record)
    assert third.faults() == ["CHAMPION_RECORD_EMPTY"]
    assert third.roll_back().champion.version == "2"
    third.execute(*empty_record)
    open_registry(third.tracking_uri).delete_registered_model_alias(SERVED, "champion")
    with pytest.raises(GateRefused, match="CHAMPION_LOST"):
        current_champion(third.tracking_uri, SERVED)
    restored = third.repair().champion
    assert restored is not None and restored.version == "2"
    assert alias(third, "champion") == "2"


def test_interrupted_rollback_is_finished_by_the_repair(third: Registry) -> None:
    with killed_in(champion_change, "sync_aliases"):
        third.roll_back()
    assert alias(third, "champion") == "3"
    served = current_champion(third.tracking_uri, SERVED)
    assert served is not None and served.version == "2", "the champion record decides, not the alias"
    assert set(third.faults()) == {"CHANGE_INTERRUPTED", "HISTORY_BEHIND", "ALIAS_DISAGREES"}
    third.repair()
    assert third.faults() == []
    assert alias(third, "champion") == "2"
    assert read_history(third.ledger)[-2].event == "rolled_back"


def test_rolled_back_model_can_be_followed_by_a_better_one(third: Registry) -> None:
    third.roll_back()
    fourth = third.candidate("fourth", champion="second", noise=0.4, seed=11)
    assert third.promote(fourth, measure_virtual_study=partial(correct_result, seconds=0.3)).champion.version == "4"
    assert (alias(third, "champion"), alias(third, "previous_champion")) == ("4", "2")
    assert third.faults() == []

"""Faults around a promotion: a locked or missing database, a changed alias, a wrong clock, a cut history.

Each ends in a refusal with a stable code and a remedy, and nothing changes.
"""

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from spine.errors import GateRefused
from tests.validation.promotion.registry import AT, SERVED, Registry, correct_result
from validation.promotion import database as databases
from validation.promotion.audit import Fault, audit
from validation.promotion.champion import current_champion, open_registry
from validation.promotion.champion_record import (
    DATABASE_VARIABLE,
    ChampionRecord,
    ServingVersion,
    champion_record_or_none,
    open_champion_record,
)
from validation.promotion.history import HistoryEntry, append_entry, read_history
from validation.promotion.smoke_test import VirtualStudyResult

SECOND = "models:/candidates/2"


@contextmanager
def locked_out(registry: Registry) -> Iterator[None]:
    """Another program locks the whole database."""
    connection = sqlite3.connect(database(registry), isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def database(registry: Registry) -> Path:
    return Path(registry.tracking_uri.removeprefix("sqlite:///"))


@pytest.mark.usefixtures("impatient_sqlite")
def test_database_locked_before_and_during_a_promotion(serving: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "WAIT_SECONDS", 0.1)
    databases._engine_of.cache_clear()
    with locked_out(serving), pytest.raises(GateRefused) as refusal:
        serving.record.serving()
    assert refusal.value.code == "REGISTRY_UNAVAILABLE"
    assert "locked" in refusal.value.found
    lock = locked_out(serving)

    def locking(folder: Path) -> VirtualStudyResult:
        if (folder / "model.onnx").read_bytes() == b"graph of second":
            lock.__enter__()
        return correct_result(folder)

    before = serving.serving
    with pytest.raises(GateRefused) as refusal:
        serving.promote(SECOND, measure_virtual_study=locking)
    lock.__exit__(None, None, None)
    assert refusal.value.code == "REGISTRY_UNAVAILABLE"
    assert serving.serving == before
    assert serving.faults() == []
    serving.promote(SECOND)
    databases._engine_of.cache_clear()


def test_a_new_database_does_not_make_the_next_model_a_first_champion(
    serving: Registry, empty_mlflow_database: Path
) -> None:
    shutil.copyfile(empty_mlflow_database, database(serving))
    address = serving.register("third")
    serving.judge("third", noise=0.5, seed=3)  # There is no champion, because the new database has none.
    before = serving.ledger.read_bytes()
    serving.refuses(address, "CHAMPION_LOST")
    assert serving.ledger.read_bytes() == before
    assert serving.serving is None


def test_a_database_a_missing_one_and_a_damaged_one_are_distinguished(
    serving: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This also works with a relative address, and while another program writes the database."""
    monkeypatch.chdir(serving.folder)
    address = f"sqlite:///{database(serving).name}"
    assert databases.database_exists(address) and databases.database_exists("http://mlflow:5000")
    with locked_out(serving):
        assert databases.database_exists(address)
    champion = current_champion(serving.tracking_uri, SERVED)
    assert champion is not None and current_champion(address, SERVED) == champion
    whole = database(serving).read_bytes()
    for damage in (whole[: len(whole) // 2], b"garbage" * 999):
        database(serving).write_bytes(damage)
        for read in (lambda: current_champion(address, SERVED), lambda: serving.faults(), lambda: serving.repair()):
            with pytest.raises(GateRefused, match=r"REGISTRY_UNAVAILABLE: found mlflow\.db is damaged"):
                read()
    for nothing in (lambda: database(serving).write_bytes(b""), database(serving).unlink):
        nothing()
        assert not databases.database_exists(address) and current_champion(address, SERVED) is None
        with pytest.raises(GateRefused, match="CHAMPION_LOST"):
            current_champion(address, SERVED, serving.ledger)
        with pytest.raises(GateRefused, match="REGISTRY_UNAVAILABLE"):
            open_registry(address)
    assert not database(serving).exists()


def test_database_missing_during_a_promotion(serving: Registry) -> None:
    kept = serving.folder / "kept.db"
    history = serving.ledger.read_bytes()

    def vanishing(folder: Path) -> VirtualStudyResult:
        if database(serving).exists():
            database(serving).rename(kept)
        return correct_result(folder)

    with pytest.raises(GateRefused) as refusal:
        serving.promote(SECOND, measure_virtual_study=vanishing)
    assert refusal.value.code == "REGISTRY_UNAVAILABLE"
    assert "plumbline history --verify" in refusal.value.remedy
    kept.replace(database(serving))
    assert serving.ledger.read_bytes() == history
    assert serving.faults() == []
    serving.promote(SECOND)


def test_registry_that_fails_after_the_record_changed_has_its_own_code(
    serving: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only after this failure the champion record has changed. One command completes the change."""
    import mlflow

    def broken(*_: object, **__: object) -> None:
        raise mlflow.exceptions.MlflowException("database is locked")

    with monkeypatch.context() as patched, pytest.raises(GateRefused) as refusal:
        patched.setattr(mlflow.MlflowClient, "set_registered_model_alias", broken)
        serving.promote(SECOND)
    assert refusal.value.code == "CHANGE_UNFINISHED"
    assert "plumbline history --repair" in refusal.value.remedy
    assert serving.faults() == ["CHANGE_INTERRUPTED", "HISTORY_BEHIND", "ALIAS_DISAGREES", "ALIAS_DISAGREES"]
    champion = serving.repair().champion
    assert champion is not None and champion.model_digest == serving.digest("second")
    assert serving.faults() == []


def test_alias_changed_by_hand_is_refused_and_set_back(serving: Registry) -> None:
    """The alias is set to another promoted version, or to a version that no promotion wrote."""
    client = open_registry(serving.tracking_uri)
    serving.promote(SECOND)
    client.set_registered_model_alias(SERVED, "champion", "1")
    serving.candidate("third", champion="second", noise=0.3, seed=5)
    with pytest.raises(GateRefused, match="CHAMPION_MOVED"):
        serving.promote("models:/candidates/3")
    assert serving.faults() == ["ALIAS_DISAGREES"]
    champion = serving.repair().champion
    assert champion is not None and champion.version == "2"
    assert read_history(serving.ledger)[-1].event == "restored"
    stranger = client.create_model_version(SERVED, (serving.folder / "first").as_uri())
    client.set_registered_model_alias(SERVED, "champion", str(stranger.version))
    with pytest.raises(GateRefused, match="CHAMPION_UNKNOWN"):
        serving.promote("models:/candidates/3")
    serving.repair()
    serving.promote("models:/candidates/3")


def test_edited_tag_does_not_make_another_model_champion(serving: Registry) -> None:
    client = open_registry(serving.tracking_uri)
    client.set_model_version_tag(SERVED, "1", "plumbline.model_digest", "f" * 64)
    with pytest.raises(GateRefused, match="CHAMPION_MOVED"):
        current_champion(serving.tracking_uri, SERVED)
    assert serving.faults() == ["TAG_ALTERED"]
    serving.repair()
    assert serving.faults() == []


def test_deleted_version_or_model_is_not_an_empty_registry(serving: Registry) -> None:
    """G8: if the champion's version or the whole registered model was deleted, no model becomes a first champion."""
    client = open_registry(serving.tracking_uri)
    client.delete_model_version(SERVED, "1")
    address = serving.candidate("newcomer")
    with pytest.raises(GateRefused, match="CHAMPION_LOST"):
        serving.promote(address)
    assert serving.faults() == ["VERSION_GONE", "ALIAS_DISAGREES"]
    client.delete_registered_model(SERVED)
    with pytest.raises(GateRefused, match="CHAMPION_LOST"):
        serving.promote(address)
    with pytest.raises(GateRefused, match="VERSION_GONE"):
        serving.repair()


def test_metric_edited_in_mlflow_after_the_run_decides_nothing(registry: Registry) -> None:
    """G3: MLflow accepts a better metric for a finished run, but the verdict uses the sealed record."""
    address = registry.candidate("model", noise=30.0)
    stored = registry.stored(address)
    open_registry(registry.tracking_uri).log_metric(stored.name, "test/cobb/standard_error_deg", 0.1)
    registry.refuses(address, "VERDICT_REJECT")


def test_clock_that_went_back_is_refused_and_one_that_was_ahead_is_recorded(serving: Registry) -> None:
    serving.refuses(SECOND, "CLOCK_WENT_BACK", at=AT - timedelta(days=1))
    serving.promote(SECOND, at=AT + timedelta(days=400))
    serving.candidate("third", champion="second", noise=0.3, seed=5)
    refusal = serving.refuses("models:/candidates/3", "CLOCK_WENT_BACK", at=AT)
    assert "history --repair" in refusal.remedy
    assert serving.faults() == []
    serving.repair(at=AT)
    assert read_history(serving.ledger)[-1].event == "clock_set"
    serving.promote("models:/candidates/3", at=AT)
    assert serving.faults() == []


def test_history_that_was_cut_or_lost_is_detected(serving: Registry) -> None:
    """A chain without its end is intact. The champion record knows the last change, even without a stored length."""
    serving.promote(SECOND)
    serving.execute("DELETE FROM plumbline_histories")
    whole = serving.ledger.read_text().splitlines()
    serving.ledger.write_text("\n".join(whole[:2]) + "\n")
    assert serving.faults() == ["HISTORY_BEHIND"]
    serving.ledger.unlink()
    assert serving.faults() == ["HISTORY_BEHIND"]
    forged = replace(read_entry(whole[3]), sequence=0, before="0" * 64)
    append_entry(serving.ledger, forged)
    assert serving.faults() == ["HISTORY_CUT"]
    serving.ledger.write_text("\n".join([whole[1], *whole[1:]]) + "\n")
    (only,) = audit(serving.tracking_uri, SERVED, serving.ledger)
    assert isinstance(only, Fault) and only.code == "HISTORY_BROKEN" and "line 1" in only.found
    assert only.remedy.endswith("`plumbline history --accept-loss --as NAME --reason TEXT`")


def read_entry(line: str) -> HistoryEntry:
    return HistoryEntry(**json.loads(line))


def test_broken_history_refuses_promotion(serving: Registry) -> None:
    text = serving.ledger.read_text()
    serving.ledger.write_text(text.replace('"promoter": "test"', '"promoter": "nobody"', 1))
    serving.refuses(SECOND, "HISTORY_BROKEN")
    with pytest.raises(GateRefused, match="HISTORY_BROKEN"):
        serving.repair()
    serving.ledger.write_text(text)
    serving.promote(SECOND)


def test_server_without_a_named_database_promotes_nothing(serving: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server has no transactions, so a database must be named. A named database is used for every registry."""
    with pytest.raises(Exception, match="NO_CHAMPIONS_DB"):
        open_champion_record("http://mlflow:5000", SERVED)
    assert champion_record_or_none("http://mlflow:5000", SERVED) is None
    elsewhere = serving.folder / "champions.db"
    elsewhere.touch()
    monkeypatch.setenv(DATABASE_VARIABLE, f"sqlite:///{elsewhere}")
    assert open_champion_record("http://mlflow:5000", SERVED).database == f"sqlite:///{elsewhere}"
    ChampionRecord(f"sqlite:///{elsewhere}", SERVED).change(None, ServingVersion("1", "1" * 64))
    assert open_champion_record(serving.tracking_uri, SERVED).serving() == ServingVersion("1", "1" * 64)
    with pytest.raises(GateRefused, match="CHAMPION_MOVED"):
        serving.promote(SECOND)


def test_a_database_server_that_is_down_is_refused_at_once():
    began = time.monotonic()
    with pytest.raises(GateRefused, match="REGISTRY_UNAVAILABLE"):
        open_registry("postgresql+psycopg2://a:b@127.0.0.1:9/mlflow")
    assert time.monotonic() - began < 7

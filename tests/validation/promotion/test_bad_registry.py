"""Faults around a promotion: a locked, missing or damaged database, an edited registry, a wrong clock.

Each ends in a refusal with a stable code and a remedy, and nothing changes; or the next command corrects it.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from spine.errors import GateRefused, ParametersRejected
from tests.validation.promotion.registry import AT, SERVED, Registry, correct_result
from tests.validation.promotion.short_histories import MODELS, event
from validation.promotion.history import DATABASE_VARIABLE, open_history
from validation.promotion.smoke_test import VirtualStudyResult
from validation.promotion.sync import read_state
from validation.registry import database as databases
from validation.registry.client import TAG, aliases_of, open_registry

SECOND, THIRD = "models:/candidates/2", "models:/candidates/3"
Fault = Callable[[Registry], AbstractContextManager[None]]


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
    return registry.folder / "mlflow.db"


@pytest.fixture
def impatient(impatient_sqlite: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(databases, "WAIT_SECONDS", 0.1)
    databases._engine.cache_clear()
    yield
    databases._engine.cache_clear()


@contextmanager
def lost(registry: Registry) -> Iterator[None]:
    """The database file is gone."""
    kept = database(registry).rename(registry.folder / "kept.db")
    yield
    assert not database(registry).exists(), "no command creates a database in its place"
    kept.replace(database(registry))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", [locked_out, lost])
def test_database_locked_or_lost_before_and_during_a_promotion(serving: Registry, fault: Fault) -> None:
    before, copy = serving.champion, serving.copy.read_bytes()
    with fault(serving), pytest.raises(GateRefused, match=r"REGISTRY_UNAVAILABLE.*(locked|missing)"):
        serving.sync()
    during = fault(serving)

    def measure(folder: Path) -> VirtualStudyResult:
        if (folder / "model.onnx").read_bytes() == b"graph of second":
            during.__enter__()
        return correct_result(folder)

    with pytest.raises(GateRefused, match=r"REGISTRY_UNAVAILABLE.*plumbline history --verify"):
        serving.promote(SECOND, measure_virtual_study=measure)
    during.__exit__(None, None, None)
    assert (serving.champion, serving.copy.read_bytes(), serving.faults()) == (before, copy, [])
    serving.promote(SECOND)
    assert serving.leftovers() == []


def test_a_missing_an_emptied_and_a_damaged_database_are_distinguished(
    serving: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This also works with a relative address, and while another program writes the database."""
    monkeypatch.chdir(serving.folder)
    address = "sqlite:///mlflow.db"
    assert databases.database_exists(address) and databases.database_exists("http://mlflow:5000")
    with locked_out(serving):
        assert databases.database_exists(address)
    assert read_state(address, SERVED, serving.copy).champion == serving.champion is not None
    whole = database(serving).read_bytes()
    for damage in (whole[: len(whole) // 2], b"garbage" * 999):
        database(serving).write_bytes(damage)
        for use in (lambda: serving.champion, serving.faults, serving.sync, serving.restore):
            with pytest.raises(GateRefused, match=r"REGISTRY_UNAVAILABLE: found .*(damaged|malformed|not a database)"):
                use()
    for nothing in (lambda: database(serving).write_bytes(b""), database(serving).unlink):
        nothing()
        assert not databases.database_exists(address)
        with pytest.raises(GateRefused, match=r"REGISTRY_UNAVAILABLE: found no database in .*mlflow\.db"):
            read_state(address, SERVED, serving.copy)
        assert read_state(address, SERVED, serving.folder / "none.jsonl").champion is None
        for use in (serving.sync, partial(serving.promote, SECOND)):
            with pytest.raises(GateRefused, match="REGISTRY_UNAVAILABLE"):
                use()
    assert not database(serving).exists()


def test_a_new_database_does_not_make_the_next_model_a_first_champion(
    serving: Registry, empty_mlflow_database: Path
) -> None:
    """G8: the database is new, or only the history in it is; the copy or the registry shows the loss."""
    copy, whole = serving.copy.read_bytes(), database(serving).read_bytes()
    address = serving.candidate("third", noise=0.5, seed=3)  # judged without a champion
    for loss in ("DELETE FROM plumbline_events", "DROP TABLE plumbline_events"):
        serving.execute(loss)
        with pytest.raises(GateRefused, match="HISTORY_CUT"):
            serving.promote(address)
        serving.copy.unlink()
        for use in (partial(serving.promote, address), lambda: serving.champion):
            with pytest.raises(GateRefused, match=r"CHAMPION_LOST: found .* version 1 of plumbline was in service"):
                use()
        database(serving).write_bytes(whole)
        serving.copy.write_bytes(copy)
    shutil.copyfile(empty_mlflow_database, database(serving))
    address = serving.candidate("fourth", noise=0.5, seed=3)
    with pytest.raises(GateRefused, match="HISTORY_CUT"):
        serving.promote(address)
    assert serving.copy.read_bytes() == copy


def test_alias_changed_by_hand_is_never_followed_and_set_back(serving: Registry) -> None:
    """G8: the alias is deleted, set to another promoted version, or set to a version that no promotion wrote."""
    client = open_registry(serving.tracking_uri)
    champion = serving.promote(SECOND)
    stranger = client.create_model_version(SERVED, (serving.folder / "first").as_uri())
    for wrong in ("1", stranger.version, None):
        client.delete_registered_model_alias(SERVED, "champion")
        if wrong is not None:
            client.set_registered_model_alias(SERVED, "champion", wrong)
        assert serving.faults() == ["ALIAS_DISAGREES"]
        assert serving.champion == champion
        serving.sync()
        assert aliases_of(client, SERVED) == {"champion": "2", "previous_champion": "1"}
    client.delete_registered_model_alias(SERVED, "champion")
    late = serving.candidate("third", noise=0.3, seed=5)  # judged without a champion
    serving.refuses(late, "STALE_CHAMPION")
    assert serving.faults() == [], "also a command that is refused sets the alias back"


def test_edited_tags_do_not_make_another_model_champion_and_are_set_back(serving: Registry) -> None:
    client, before = open_registry(serving.tracking_uri), serving.champion
    client.set_model_version_tag(SERVED, "1", TAG + "model_digest", "f" * 64)
    client.set_model_version_tag(SERVED, "1", TAG + "state", "denied")
    assert serving.faults() == ["TAG_ALTERED"] and serving.champion == before
    serving.sync()
    assert serving.faults() == []
    assert client.get_model_version(SERVED, "1").tags[TAG + "state"] == "served"
    client.set_model_version_tag(SERVED, "1", TAG + "model_digest", "f" * 64)
    next((serving.folder / "artifacts" / f"{SERVED}-promotions").rglob("model.onnx")).write_bytes(b"evil")
    assert "version 1 of plumbline" in serving.refuses(SECOND, "VERSION_GONE").found


def test_deleted_version_or_model_is_not_an_empty_registry(serving: Registry) -> None:
    """G8: if the champion's version or the whole registered model was deleted, no model becomes a first champion."""
    client, events = open_registry(serving.tracking_uri), serving.kinds
    first = serving.candidate("newcomer")
    client.delete_model_version(SERVED, "1")
    serving.refuses(first, "STALE_CHAMPION")
    serving.judge("second", champion="first", noise=0.5, seed=3)
    for delete in (lambda: None, lambda: client.delete_registered_model(SERVED)):
        delete()
        assert "plumbline rollback" in serving.refuses(SECOND, "VERSION_GONE").remedy
        assert serving.faults() == ["VERSION_GONE", "ALIAS_DISAGREES"]
    assert serving.kinds == events


def test_a_clock_that_went_back_is_refused_and_one_that_was_ahead_is_recorded(serving: Registry) -> None:
    """The clocks of two machines may differ by minutes."""
    for minutes in (6, 24 * 60):
        serving.refuses(SECOND, "CLOCK_WENT_BACK", at=AT - timedelta(minutes=minutes))
    serving.promote(SECOND, at=AT + timedelta(days=400))
    serving.candidate("third", champion="second", noise=0.3, seed=5)
    assert "plumbline history --restore" in serving.refuses(THIRD, "CLOCK_WENT_BACK").remedy
    assert serving.faults() == []
    restored = serving.restore()
    assert (restored.kind, restored.reason[:24]) == ("restored", "the clock was set back f")
    serving.promote(THIRD)
    serving.roll_back(at=AT - timedelta(minutes=4))
    assert serving.faults() == []


def test_a_server_without_a_named_database_promotes_nothing(serving: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server has no transactions, so a database must be named. A named database is used for every registry."""
    with pytest.raises(ParametersRejected, match=r"NO_HISTORY_DB.*PLUMBLINE_HISTORY_DB"):
        open_history("http://mlflow:5000", SERVED, serving.copy)
    elsewhere = serving.folder / "history.db"
    elsewhere.touch()
    monkeypatch.setenv(DATABASE_VARIABLE, f"sqlite:///{elsewhere}")
    for address in ("http://mlflow:5000", serving.tracking_uri):
        assert open_history(address, SERVED, serving.copy).database == f"sqlite:///{elsewhere}"
    with pytest.raises(GateRefused, match="REGISTRY_UNAVAILABLE: found no database"):
        serving.promote(SECOND)
    replace(serving.history, copy=serving.folder / "other.jsonl").append(lambda _: event("rejected", MODELS[0]))
    with pytest.raises(GateRefused, match=r"HISTORY_DIFFERS: found event 0 "):
        serving.promote(SECOND)
    serving.copy.unlink()
    with pytest.raises(GateRefused, match=r"CHAMPION_LOST.*which database PLUMBLINE_HISTORY_DB names"):
        serving.promote(SECOND)

"""What goes wrong around a promotion: a locked or vanished database, a foreign alias, a jumping clock, a cut history.

Every one ends in a refusal with a stable code; nothing has moved; the message names the way out.
"""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from spine.errors import EvidenceRejected, GateRefused
from spine.model_digest import model_digest
from tests.validation.promotion.registry import AT, SERVED, Registry, correct_result
from validation.promotion import database as databases
from validation.promotion.approved_baseline import last_approved
from validation.promotion.audit import Fault, audit, repair
from validation.promotion.champion import current_champion, open_registry
from validation.promotion.champion_record import (
    DATABASE_VARIABLE,
    ServingVersion,
    ChampionRecord,
    open_champion_record,
    champion_record_or_none,
)
from validation.promotion.history import HistoryEntry, append_entry, read_history
from validation.promotion.promote import Champion
from validation.promotion.smoke_test import VirtualStudyResult

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


SECOND = "models:/candidates/2"


def faults(registry: Registry) -> list[str]:
    return [f.code for f in audit(registry.tracking_uri, SERVED, registry.ledger)]


def mend(registry: Registry, **changes: object) -> Champion | None:
    arguments = {"ledger_path": registry.ledger, "promoter": "test", "at": AT} | changes
    return repair(registry.tracking_uri, SERVED, **arguments).champion  # type: ignore[arg-type]


@contextmanager
def locked_out(registry: Registry) -> Iterator[None]:
    """Another program holds the whole database."""
    connection = sqlite3.connect(database(registry), isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def database(registry: Registry) -> Path:
    return Path(registry.tracking_uri.removeprefix("sqlite:///"))


def test_database_locked_before_and_in_the_middle(serving: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "WAIT_SECONDS", 0.1)
    databases._engine_of.cache_clear()
    with locked_out(serving), pytest.raises(GateRefused) as refusal:
        ChampionRecord(serving.tracking_uri, SERVED).serving()
    assert refusal.value.code == "REGISTRY_UNAVAILABLE"
    assert "locked" in refusal.value.found
    lock = locked_out(serving)

    def locking(folder: Path) -> VirtualStudyResult:
        if (folder / "model.onnx").read_bytes() == b"graph of second":
            lock.__enter__()
        return correct_result(folder)

    before = ChampionRecord(serving.tracking_uri, SERVED).serving()
    with pytest.raises(GateRefused) as refusal:
        serving.promote(SECOND, measure_virtual_study=locking)
    lock.__exit__(None, None, None)
    assert refusal.value.code == "REGISTRY_UNAVAILABLE"
    assert ChampionRecord(serving.tracking_uri, SERVED).serving() == before
    assert faults(serving) == []
    serving.promote(SECOND)
    databases._engine_of.cache_clear()


def test_a_new_database_does_not_let_the_next_model_in_as_the_first(serving: Registry, empty_database: Path) -> None:
    shutil.copyfile(empty_database, database(serving))
    address, _ = serving.register("third")
    serving.judge("third", noise=0.5, seed=3)  # against nothing: there is no champion to be seen
    before = serving.ledger.read_bytes()
    serving.refuses(address, "CHAMPION_LOST")
    assert serving.ledger.read_bytes() == before
    assert (
        champion_record_or_none(serving.tracking_uri, SERVED) is None
        or open_champion_record(serving.tracking_uri, SERVED).serving() is None
    )


def test_a_database_is_told_from_none_and_from_a_damaged_one(
    serving: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by an address relative to where one stands, and while somebody else writes in it."""
    monkeypatch.chdir(serving.folder)
    address = f"sqlite:///{database(serving).name}"
    assert databases.exists(address) and databases.exists("http://mlflow:5000")
    with locked_out(serving):
        assert databases.exists(address)
    champion = current_champion(serving.tracking_uri, SERVED)
    assert champion is not None and current_champion(address, SERVED) == champion
    whole = database(serving).read_bytes()
    for damage in (whole[: len(whole) // 2], b"garbage" * 999):
        database(serving).write_bytes(damage)
        for read in (lambda: current_champion(address, SERVED), lambda: faults(serving), lambda: mend(serving)):
            with pytest.raises(GateRefused, match=r"REGISTRY_UNAVAILABLE: found mlflow\.db, which is damaged"):
                read()
    for nothing in (lambda: database(serving).write_bytes(b""), database(serving).unlink):
        nothing()
        assert not databases.exists(address) and current_champion(address, SERVED) is None
        with pytest.raises(GateRefused, match="CHAMPION_LOST"):
            current_champion(address, SERVED, serving.ledger)
        with pytest.raises(GateRefused, match="REGISTRY_UNAVAILABLE"):
            open_registry(address)
    assert not database(serving).exists()


def test_database_gone_in_the_middle(serving: Registry) -> None:
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
    assert faults(serving) == []
    serving.promote(SECOND)


def test_registry_that_fails_after_the_seat_moved_says_so(serving: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one case in which something has moved has a code of its own, and one command finishes it."""
    import mlflow

    def broken(*_: object, **__: object) -> None:
        raise mlflow.exceptions.MlflowException("database is locked")

    with monkeypatch.context() as patched, pytest.raises(GateRefused) as refusal:
        patched.setattr(mlflow.MlflowClient, "set_registered_model_alias", broken)
        serving.promote(SECOND)
    assert refusal.value.code == "CHANGE_UNFINISHED"
    assert "plumbline history --repair" in refusal.value.remedy
    assert faults(serving) == ["CHANGE_INTERRUPTED", "HISTORY_BEHIND", "ALIAS_DISAGREES", "ALIAS_DISAGREES"]
    champion = mend(serving)
    assert champion is not None and champion.model_digest == model_digest(serving.folder / "second")
    assert faults(serving) == []


def test_alias_moved_by_hand_is_refused_and_set_back(serving: Registry) -> None:
    """Somebody points the alias at another version that a promotion had prepared, or at one that no promotion wrote."""
    client = open_registry(serving.tracking_uri)
    serving.promote(SECOND)
    client.set_registered_model_alias(SERVED, "champion", "1")
    serving.register("third")
    serving.judge("third", champion="second", noise=0.3, seed=5)
    with pytest.raises(GateRefused, match="CHAMPION_MOVED"):
        serving.promote("models:/candidates/3")
    assert faults(serving) == ["ALIAS_DISAGREES"]
    champion = mend(serving)
    assert champion is not None and champion.version == "2"
    assert read_history(serving.ledger)[-1].event == "restored"
    stranger = client.create_model_version(SERVED, (serving.folder / "first").as_uri())
    client.set_registered_model_alias(SERVED, "champion", str(stranger.version))
    with pytest.raises(GateRefused, match="CHAMPION_UNKNOWN"):
        serving.promote("models:/candidates/3")
    mend(serving)
    serving.promote("models:/candidates/3")


def test_edited_tag_does_not_make_another_model_champion(serving: Registry) -> None:
    client = open_registry(serving.tracking_uri)
    client.set_model_version_tag(SERVED, "1", "plumbline.model_digest", "f" * 64)
    with pytest.raises(GateRefused, match="CHAMPION_MOVED"):
        current_champion(serving.tracking_uri, SERVED)
    assert faults(serving) == ["TAG_ALTERED"]
    mend(serving)
    assert faults(serving) == []


def test_deleted_version_or_model_is_no_empty_registry(serving: Registry) -> None:
    """G8: with the champion's version gone, and then the whole registered model, nothing counts as a first champion."""
    client = open_registry(serving.tracking_uri)
    client.delete_model_version(SERVED, "1")
    address, _ = serving.register("newcomer")
    serving.judge("newcomer")
    with pytest.raises(GateRefused, match="CHAMPION_LOST"):
        serving.promote(address)
    assert faults(serving) == ["VERSION_GONE", "ALIAS_DISAGREES"]
    client.delete_registered_model(SERVED)
    with pytest.raises(GateRefused, match="CHAMPION_LOST"):
        serving.promote(address)
    with pytest.raises(GateRefused, match="VERSION_GONE"):
        mend(serving)


def test_metric_edited_in_mlflow_after_the_run_decides_nothing(registry: Registry) -> None:
    """G3: MLflow takes a better metric for a finished run; the verdict rests on the sealed record."""
    address, stored = registry.register("model")
    registry.judge("model", noise=30.0)
    open_registry(registry.tracking_uri).log_metric(stored.name, "test/cobb/standard_error_deg", 0.1)
    registry.refuses(address, "VERDICT_REJECT")


def test_clock_that_jumps_back_is_refused_and_one_that_ran_ahead_is_noted(serving: Registry) -> None:
    serving.refuses(SECOND, "CLOCK_WENT_BACK", at=AT - timedelta(days=1))
    serving.promote(SECOND, at=AT + timedelta(days=400))
    serving.register("third")
    serving.judge("third", champion="second", noise=0.3, seed=5)
    told = serving.refuses("models:/candidates/3", "CLOCK_WENT_BACK", at=AT)
    assert "history --repair" in told.remedy
    assert faults(serving) == []
    mend(serving, at=AT)
    assert read_history(serving.ledger)[-1].event == "clock_set"
    serving.promote("models:/candidates/3", at=AT)
    assert faults(serving) == []


def test_history_that_was_cut_or_lost_is_seen(serving: Registry) -> None:
    """A chain that ends early still verifies by itself; the seat knows how far it went, also without an anchor."""
    serving.promote(SECOND)
    with sqlite3.connect(database(serving)) as connection:
        connection.execute("DELETE FROM plumbline_histories")
    connection.close()
    whole = serving.ledger.read_text().splitlines()
    serving.ledger.write_text("\n".join(whole[:2]) + "\n")
    assert faults(serving) == ["HISTORY_BEHIND"]
    serving.ledger.unlink()
    assert faults(serving) == ["HISTORY_BEHIND"]
    forged = replace(read_entry(whole[3]), sequence=0, before="0" * 64)
    append_entry(serving.ledger, forged)
    assert faults(serving) == ["HISTORY_CUT"]
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
        mend(serving)
    serving.ledger.write_text(text)
    serving.promote(SECOND)


def test_server_without_a_database_for_the_seat_promotes_nothing(
    serving: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a server there is no transaction; a database must be named, and is then used for any registry."""
    with pytest.raises(Exception, match="NO_CHAMPIONS_DB"):
        open_champion_record("http://mlflow:5000", SERVED)
    assert champion_record_or_none("http://mlflow:5000", SERVED) is None
    elsewhere = serving.folder / "seats.db"
    elsewhere.touch()
    monkeypatch.setenv(DATABASE_VARIABLE, f"sqlite:///{elsewhere}")
    assert open_champion_record("http://mlflow:5000", SERVED).database == f"sqlite:///{elsewhere}"
    ChampionRecord(f"sqlite:///{elsewhere}", SERVED).change(None, ServingVersion("1", "1" * 64))
    assert open_champion_record(serving.tracking_uri, SERVED).serving() == ServingVersion("1", "1" * 64)
    with pytest.raises(GateRefused, match="CHAMPION_MOVED"):
        serving.promote(SECOND)


def test_entries_of_earlier_versions_still_verify(tmp_path: Path) -> None:
    """A history from before approvals and reasons existed: its digests do not cover fields it did not have."""
    ledger = tmp_path / "promotions.jsonl"
    entry = append_entry(ledger, HistoryEntry("promoted", AT.isoformat(), "test", SERVED, "1", "1" * 64, None))
    assert not {"approval", "reason"} & set(json.loads(ledger.read_text()))
    assert read_history(ledger) == (entry,)
    with pytest.raises(EvidenceRejected, match="HISTORY_BROKEN"):
        ledger.write_text(ledger.read_text().replace('"at"', '"approval": "x", "at"'))
        read_history(ledger)


def test_last_human_approved_champion_is_known(tmp_path: Path) -> None:
    """G12: however many went by figures alone since, the baseline of record is the last one a person answered for."""
    ledger = tmp_path / "promotions.jsonl"
    for number, approval in (("1", None), ("2", "a" * 64), ("3", None), ("4", None)):
        entry = HistoryEntry("promoted", AT.isoformat(), "test", SERVED, number, number * 64, None, approval=approval)
        append_entry(ledger, entry)
    found = last_approved(read_history(ledger), SERVED, ())
    assert found is not None and found.version == "2"
    assert last_approved(read_history(ledger), "other", ()) is None

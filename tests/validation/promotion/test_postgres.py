"""Promotions on PostgreSQL, with MLflow's registry, champion record and history lengths in one database."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from spine.errors import GateRefused
from tests.validation.promotion.registry import AT, SERVED, Registry
from validation.evaluation.record import EvaluationRecord
from validation.promotion.approval import SignOff, grant, read_approval
from validation.promotion.champion import current_champion
from validation.promotion.champion_record import ServingVersion
from validation.promotion.history import read_history
from validation.promotion.repair import accept_history_loss

pytestmark = pytest.mark.slow


@pytest.fixture
def registry(postgres: str, tmp_path: Path, scored: Callable[..., EvaluationRecord]) -> Registry:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=postgres, registry_uri=postgres)
    client.search_experiments()  # creates MLflow's tables
    (tmp_path / "evidence").mkdir()
    return Registry(postgres, tmp_path, scored)


def promoted(registry: Registry, address: str, **changes: Any) -> str:
    artefacts = (registry.folder / "artifacts").as_uri()
    return registry.promote(address, artifact_root=artefacts, **changes).champion.version


def test_the_life_of_three_models(registry: Registry) -> None:
    record = registry.record
    addresses = {name: registry.register(name) for name in ("first", "second", "third")}
    registry.judge("first", noise=2.0, seed=2)
    assert promoted(registry, addresses["first"]) == "1"
    assert registry.faults() == []
    registry.refuses(addresses["first"], "STALE_CHAMPION")  # It was judged without a champion, and now there is one.
    registry.judge("second", champion="first", noise=0.5, seed=3)
    assert promoted(registry, addresses["second"]) == "2"
    registry.refuses(addresses["second"], "STALE_CHAMPION")

    path = registry.decide(grant, registry.judge("third", champion="second", noise=0.4, seed=5))
    assert promoted(registry, addresses["third"], approval=path) == "3"
    with pytest.raises(GateRefused, match="APPROVAL_USED"):
        record.change(record.serving(), ServingVersion("9", "9" * 64), approval=read_approval(path).digest)
    assert registry.faults() == []

    assert registry.roll_back().champion.model_digest == registry.digest("second")
    assert set(record.denials()) == {registry.digest("third")}
    assert registry.faults() == []
    registry.reinstate("3")
    assert not record.denials()
    assert registry.faults() == []

    complete = read_history(registry.ledger)
    registry.ledger.write_text("")
    with pytest.raises(GateRefused, match="HISTORY_CUT"):
        registry.repair()
    sign_off, later = SignOff("R. Viewer", "the disk died"), AT + timedelta(minutes=1)
    entry = accept_history_loss(registry.tracking_uri, SERVED, ledger_path=registry.ledger, sign_off=sign_off, at=later)
    assert f"lost: {len(complete)} entries up to {complete[-1].digest[:12]}" in str(entry.reason)
    registry.repair(at=later)
    assert registry.faults() == []
    champion = current_champion(registry.tracking_uri, SERVED, registry.ledger)
    assert champion is not None and champion.version == "2"

"""Whole promotions on PostgreSQL: MLflow's registry, the seat and the anchors in one database."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from spine.errors import GateRefused
from spine.model_digest import model_digest
from tests.validation.promotion.registry import AT, AUTHOR, SERVED, Registry, correct_result
from validation.evaluation.record import EvaluationRecord
from validation.gates.policy import VirtualStudyLimits, read_policy
from validation.promotion.approval import SignOff, grant
from validation.promotion.audit import audit, accept_history_loss, repair
from validation.promotion.champion import current_champion
from validation.promotion.champion_record import open_champion_record
from validation.promotion.history import read_history
from validation.promotion.reinstatement import reinstate
from validation.promotion.rollback import Order, rollback

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]


@pytest.fixture
def registry(postgres: str, tmp_path: Path, scored: Callable[..., EvaluationRecord]) -> Registry:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=postgres, registry_uri=postgres)
    client.search_experiments()  # makes MLflow's tables
    (tmp_path / "evidence").mkdir()
    return Registry(postgres, tmp_path, scored)


def promoted(registry: Registry, address: str, **changes: Any) -> str:
    artefacts = (registry.folder / "artifacts").as_uri()
    return registry.promote(address, artifact_root=artefacts, **changes).champion.version


def test_the_life_of_three_models(registry: Registry) -> None:
    def verified() -> None:
        assert audit(registry.tracking_uri, SERVED, registry.ledger) == ()

    addresses = {name: registry.register(name)[0] for name in ("first", "second", "third")}
    registry.judge("first", noise=2.0, seed=2)
    assert promoted(registry, addresses["first"]) == "1"
    verified()
    registry.refuses(addresses["first"], "STALE_CHAMPION")  # judged against nobody, and there is a champion by now
    registry.judge("second", champion="first", noise=0.5, seed=3)
    assert promoted(registry, addresses["second"]) == "2"
    registry.refuses(addresses["second"], "STALE_CHAMPION")

    seat = open_champion_record(registry.tracking_uri, SERVED)
    path = grant(
        registry.judge("third", champion="second", noise=0.4, seed=5), read_policy(registry.policy), SignOff("R. Viewer", "seen"),
        author=AUTHOR, production_model=SERVED, folder=registry.folder / "approvals", ledger_path=registry.ledger, at=AT,
        seat=seat,
    )  # fmt: skip
    assert promoted(registry, addresses["third"], approval=path) == "3"
    assert len(seat.spent()) == 1
    verified()

    order = Order(
        registry.tracking_uri,
        SERVED,
        registry.ledger,
        "wrong side",
        "R. Viewer",
        AT,
        correct_result,
        VirtualStudyLimits(),
    )
    assert rollback(order).champion.model_digest == model_digest(registry.folder / "second")
    assert set(seat.denials()) == {model_digest(registry.folder / "third")}
    verified()
    word = SignOff("R. Viewer", "the radiographs were exchanged")
    reinstate(
        registry.tracking_uri, SERVED, ledger_path=registry.ledger, model="3", word=word, at=AT, author=lambda _: AUTHOR
    )
    assert not seat.denials()
    verified()

    whole = read_history(registry.ledger)
    registry.ledger.write_text("")
    with pytest.raises(GateRefused, match="HISTORY_CUT"):
        repair(registry.tracking_uri, SERVED, ledger_path=registry.ledger, promoter="test", at=AT)
    later = AT + timedelta(minutes=1)
    anew = accept_history_loss(registry.tracking_uri, SERVED, ledger_path=registry.ledger, word=word, at=later)
    assert f"lost: {len(whole)} entries up to {whole[-1].digest[:12]}" in str(anew.reason)
    repair(registry.tracking_uri, SERVED, ledger_path=registry.ledger, promoter="test", at=later)
    verified()
    champion = current_champion(registry.tracking_uri, SERVED, registry.ledger)
    assert champion is not None and champion.version == "2"

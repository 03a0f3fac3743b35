"""Whole promotions on PostgreSQL: MLflow's registry, the seat and the anchors in one database."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from spine.errors import GateRefused
from spine.model_digest import model_digest
from tests.validation.promotion.registry import AT, AUTHOR, SERVED, Desk, knowing_answer
from validation.evaluation.record import EvaluationRecord
from validation.gates.policy import PhantomStudy, read_policy
from validation.promotion.approval import Word, grant
from validation.promotion.audit import audit, begin_history_anew, repair
from validation.promotion.champion import current_champion
from validation.promotion.champion_record import open_seat
from validation.promotion.history import read_history
from validation.promotion.reinstatement import lift_denial
from validation.promotion.rollback import Order, rollback

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]


@pytest.fixture
def desk(postgres: str, tmp_path: Path, scored: Callable[..., EvaluationRecord]) -> Desk:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=postgres, registry_uri=postgres)
    client.search_experiments()  # makes MLflow's tables
    (tmp_path / "evidence").mkdir()
    return Desk(postgres, tmp_path, scored)


def promoted(desk: Desk, address: str, **changes: Any) -> str:
    artefacts = (desk.folder / "artifacts").as_uri()
    return desk.promote(address, artifact_root=artefacts, **changes).champion.version


def test_the_life_of_three_models(desk: Desk) -> None:
    def verified() -> None:
        assert audit(desk.tracking_uri, SERVED, desk.ledger) == ()

    addresses = {name: desk.register(name)[0] for name in ("first", "second", "third")}
    desk.judge("first", noise=2.0, seed=2)
    assert promoted(desk, addresses["first"]) == "1"
    verified()
    desk.refuses(addresses["first"], "STALE_CHAMPION")  # judged against nobody, and there is a champion by now
    desk.judge("second", champion="first", noise=0.5, seed=3)
    assert promoted(desk, addresses["second"]) == "2"
    desk.refuses(addresses["second"], "STALE_CHAMPION")

    seat = open_seat(desk.tracking_uri, SERVED)
    path = grant(
        desk.judge("third", champion="second", noise=0.4, seed=5), read_policy(desk.policy), Word("R. Viewer", "seen"),
        author=AUTHOR, production_model=SERVED, folder=desk.folder / "approvals", ledger_path=desk.ledger, at=AT,
        seat=seat,
    )  # fmt: skip
    assert promoted(desk, addresses["third"], approval=path) == "3"
    assert len(seat.spent()) == 1
    verified()

    order = Order(desk.tracking_uri, SERVED, desk.ledger, "wrong side", "R. Viewer", AT, knowing_answer, PhantomStudy())
    assert rollback(order).champion.model_digest == model_digest(desk.folder / "second")
    assert set(seat.denials()) == {model_digest(desk.folder / "third")}
    verified()
    word = Word("R. Viewer", "the radiographs were exchanged")
    lift_denial(
        desk.tracking_uri, SERVED, ledger_path=desk.ledger, model="3", word=word, at=AT, author=lambda _: AUTHOR
    )
    assert not seat.denials()
    verified()

    whole = read_history(desk.ledger)
    desk.ledger.write_text("")
    with pytest.raises(GateRefused, match="HISTORY_CUT"):
        repair(desk.tracking_uri, SERVED, ledger_path=desk.ledger, promoter="test", at=AT)
    later = AT + timedelta(minutes=1)
    anew = begin_history_anew(desk.tracking_uri, SERVED, ledger_path=desk.ledger, word=word, at=later)
    assert f"lost: {len(whole)} entries up to {whole[-1].digest[:12]}" in str(anew.reason)
    repair(desk.tracking_uri, SERVED, ledger_path=desk.ledger, promoter="test", at=later)
    verified()
    champion = current_champion(desk.tracking_uri, SERVED, desk.ledger)
    assert champion is not None and champion.version == "2"

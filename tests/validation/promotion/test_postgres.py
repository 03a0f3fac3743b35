"""Promotions on PostgreSQL, with MLflow's registry and the history in one database."""

from collections.abc import Callable
from pathlib import Path

import pytest

from spine.errors import GateRefused
from tests.validation.promotion.registry import AT, REVIEWER, Registry
from tests.validation.promotion.throwaway_postgres import registry_on
from validation.evaluation.record import EvaluationRecord
from validation.registry.database import transaction

pytestmark = pytest.mark.slow


@pytest.fixture
def registry(postgres: str, tmp_path: Path, scored: Callable[..., EvaluationRecord]) -> Registry:
    (tmp_path / "evidence").mkdir()
    registry_on(postgres, tmp_path / "artifacts")
    return Registry(postgres, tmp_path, scored)


def test_the_life_of_three_models(registry: Registry) -> None:
    addresses = {name: registry.register(name) for name in ("first", "second", "third")}
    registry.judge("first", noise=2.0, seed=2)
    assert registry.promote(addresses["first"]).version == "1"
    assert registry.faults() == []
    registry.refuses(addresses["first"], "STALE_CHAMPION")  # It was judged without a champion, and now there is one.
    registry.judge("second", champion="first", noise=0.5, seed=3)
    assert registry.promote(addresses["second"]).version == "2"
    registry.refuses(addresses["second"], "STALE_CHAMPION")

    approval = registry.approve(registry.judge("third", champion="second", noise=0.4, seed=5)).sha256
    third = registry.promote(addresses["third"], approval=approval)
    assert (third.version, third.approval, dict(registry.state.approvals)) == ("3", approval, {})
    registry.refuses(addresses["third"], "STALE_CHAMPION", approval=approval)
    assert registry.faults() == []

    assert registry.roll_back().event.digest == registry.digest("second")
    assert set(registry.state.barred) == {registry.digest("third")}
    assert registry.faults() == []
    registry.reinstate("3")
    assert not registry.state.barred and registry.faults() == []

    events = registry.history.events()
    with transaction(registry.tracking_uri, write=True) as connection:
        connection.exec_driver_sql(f"DELETE FROM plumbline_events WHERE sequence >= {len(events) - 2}")
    assert registry.faults()[0] == "HISTORY_CUT"
    with pytest.raises(GateRefused, match="HISTORY_CUT"):
        registry.sync()
    restored = registry.history.restore(REVIEWER, AT)
    assert f"events {len(events) - 2} to {len(events) - 1}" in restored.reason
    registry.sync()
    assert registry.history.events() == (*events, restored) and registry.faults() == []
    assert registry.champion is not None and registry.champion.version == "2"

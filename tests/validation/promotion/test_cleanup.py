"""What a promotion that died leaves behind is cleared by the next one or the repair, and nothing else is touched."""

from pathlib import Path
from typing import Any

import pytest

from tests.validation.promotion.racers import leftovers
from tests.validation.promotion.registry import AT, SERVED, Registry
from validation.promotion.audit import audit, repair
from validation.promotion.champion import open_registry, versions_of
from validation.promotion.champion_record import ChampionRecord
from validation.promotion.smoke_test import VirtualStudyResult

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
SECOND = "models:/candidates/2"


def killed_while_copying(registry: Registry, patch: pytest.MonkeyPatch, **changes: Any) -> None:
    """The process dies while it asks the copy: nothing is tidied up, as after kill -9."""

    def dies(folder: Path) -> VirtualStudyResult:
        raise KeyboardInterrupt

    client = type(open_registry(registry.tracking_uri))
    with patch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(client, "set_terminated", lambda *_, **__: None)
        registry.promote(SECOND, measure_virtual_study=dies, **changes)


def killed_before_the_move(registry: Registry, patch: pytest.MonkeyPatch) -> None:
    import validation.promotion.promote as room

    def dies(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with patch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(room, "move", dies)
        registry.promote(SECOND)


def mend(registry: Registry) -> tuple[str, ...]:
    return repair(registry.tracking_uri, SERVED, ledger_path=registry.ledger, promoter="test", at=AT).cleared


def test_repair_ends_the_run_and_deletes_the_version(serving: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_while_copying(serving, monkeypatch)
    killed_before_the_move(serving, monkeypatch)
    (version,) = leftovers(serving.tracking_uri)  # the second promotion has ended the first one's run already
    told = mend(serving)
    assert len(told) == 1 and version in told[0] and "never served" in told[0]
    killed_while_copying(serving, monkeypatch)
    (run,) = leftovers(serving.tracking_uri)
    told = mend(serving)
    assert len(told) == 1 and run in told[0] and "KILLED" in told[0]
    client = open_registry(serving.tracking_uri)
    assert client.get_run(run.removeprefix("run ")).info.status == "KILLED"
    assert leftovers(serving.tracking_uri) == () and mend(serving) == ()
    assert audit(serving.tracking_uri, SERVED, serving.ledger) == ()
    serving.promote(SECOND)
    assert leftovers(serving.tracking_uri) == ()


def test_a_promotion_under_way_into_another_history_is_left_alone(
    serving: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_while_copying(serving, monkeypatch, ledger_path=serving.folder / "elsewhere" / "promotions.jsonl")
    before = leftovers(serving.tracking_uri)
    assert len(before) == 1 and mend(serving) == ()
    serving.promote(SECOND)
    assert leftovers(serving.tracking_uri) == before


def test_a_version_that_served_or_has_a_name_is_never_deleted(
    serving: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its tag says: the champion, one that served before, one that somebody gave an alias."""
    serving.promote(SECOND)
    serving.register("third")
    serving.judge("third", champion="second", noise=0.4, seed=5)
    import validation.promotion.promote as room

    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(room, "move", lambda *_, **__: 1 / 0)
        serving.promote("models:/candidates/3")
    client = open_registry(serving.tracking_uri)
    client.set_registered_model_alias(SERVED, "keep", "3")
    serving.ledger.write_text("")
    with monkeypatch.context() as patched:
        patched.setattr("validation.promotion.cleanup.read_history", lambda _: ())
        for number in ("1", "2"):
            client.set_model_version_tag(SERVED, number, "plumbline.state", "prepared")
        from validation.promotion.cleanup import clean_up

        assert clean_up(client, ChampionRecord(serving.tracking_uri, SERVED), serving.ledger) == ()
    assert {str(v.version) for v in versions_of(client, SERVED)} == {"1", "2", "3"}


def test_an_older_promotion_without_the_tag_is_not_guessed_at(
    serving: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from validation.promotion.served_copy import Order

    tags = Order.tags.fget  # type: ignore[attr-defined]
    older = property(lambda self: {k: v for k, v in tags(self).items() if k != "plumbline.history"})
    with monkeypatch.context() as patched:
        patched.setattr(Order, "tags", older)
        killed_while_copying(serving, monkeypatch)
    assert len(leftovers(serving.tracking_uri)) == 1 and mend(serving) == ()

"""The next promotion or the repair removes the remains of a killed promotion, and nothing else."""

from typing import Any

import pytest

from tests.validation.promotion.racers import leftovers
from tests.validation.promotion.registry import SERVED, Registry, killed_in
from validation.promotion import promote
from validation.promotion.champion import open_registry, versions_of
from validation.promotion.cleanup import clean_up
from validation.promotion.served_copy import tags_of

SECOND = "models:/candidates/2"


def killed_while_copying(registry: Registry, patch: pytest.MonkeyPatch, **changes: Any) -> None:
    """End a promotion in the smoke test of the copy, without any cleanup, as ``kill -9`` does."""
    client = type(open_registry(registry.tracking_uri))
    with patch.context() as patched, killed_in(promote, "require_smoke_test"):
        patched.setattr(client, "set_terminated", lambda *_, **__: None)
        registry.promote(SECOND, **changes)


def test_repair_ends_the_run_and_deletes_the_version(serving: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_while_copying(serving, monkeypatch)
    with killed_in(promote, "change_champion"):
        serving.promote(SECOND)
    (version,) = leftovers(serving.tracking_uri)  # The second promotion has ended the run of the first one.
    cleared = serving.repair().cleared
    assert len(cleared) == 1 and version in cleared[0] and "never in service" in cleared[0]
    killed_while_copying(serving, monkeypatch)
    (run,) = leftovers(serving.tracking_uri)
    cleared = serving.repair().cleared
    assert len(cleared) == 1 and run in cleared[0] and "KILLED" in cleared[0]
    client = open_registry(serving.tracking_uri)
    killed = client.get_run(run.removeprefix("run "))
    assert (killed.info.status, killed.data.tags["plumbline.state"]) == ("KILLED", "not_promoted")
    assert leftovers(serving.tracking_uri) == () and serving.repair().cleared == ()
    assert serving.faults() == []
    serving.promote(SECOND)
    assert leftovers(serving.tracking_uri) == ()


def test_a_promotion_under_way_into_another_history_is_left_alone(
    serving: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_while_copying(serving, monkeypatch, ledger_path=serving.folder / "elsewhere" / "promotions.jsonl")
    before = leftovers(serving.tracking_uri)
    assert len(before) == 1 and serving.repair().cleared == ()
    serving.promote(SECOND)
    assert leftovers(serving.tracking_uri) == before


def test_a_version_that_served_or_has_an_alias_is_never_deleted(
    serving: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion, a former one, and a version with another alias stay, even with the tag of an unused version."""
    serving.promote(SECOND)
    serving.candidate("third", champion="second", noise=0.4, seed=5)
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr("validation.promotion.promote.change_champion", lambda *_, **__: 1 / 0)
        serving.promote("models:/candidates/3")
    client = open_registry(serving.tracking_uri)
    client.set_registered_model_alias(SERVED, "keep", "3")
    serving.ledger.write_text("")
    with monkeypatch.context() as patched:
        patched.setattr("validation.promotion.cleanup.read_history", lambda _: ())
        for number in ("1", "2"):
            client.set_model_version_tag(SERVED, number, "plumbline.state", "prepared")
        assert clean_up(client, serving.record, serving.ledger) == ()
    assert {str(v.version) for v in versions_of(client, SERVED)} == {"1", "2", "3"}


def test_a_run_without_the_history_tag_is_left_alone(serving: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def untagged(*arguments: Any) -> dict[str, str]:
        return {k: v for k, v in tags_of(*arguments).items() if k != "plumbline.history"}

    with monkeypatch.context() as patched:
        patched.setattr("validation.promotion.served_copy.tags_of", untagged)
        killed_while_copying(serving, monkeypatch)
    assert len(leftovers(serving.tracking_uri)) == 1 and serving.repair().cleared == ()

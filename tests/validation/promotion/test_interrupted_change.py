"""A kill at any point: the next command completes the change, and removes what a killed promotion left, by itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from spine.errors import GateRefused
from tests.validation.promotion.registry import SERVED, Registry, killed_in
from validation.gates.verdict import read_verdict
from validation.promotion import history, promote, served_copy, sync
from validation.promotion.history import History, read_copy
from validation.promotion.sync import Change, changing, clean_up
from validation.registry.client import TAG, aliases_of, open_registry, versions_of

SECOND = "models:/candidates/2"
ACTIONS: dict[str, Callable[[Registry], object]] = {
    "promote": lambda registry: registry.promote(SECOND),
    "roll back": lambda registry: registry.roll_back(),
    "approve": lambda registry: registry.approve(read_verdict(registry.verdict_path)),
}
POINTS: list[tuple[object, str, bool]] = [
    (promote, "require_smoke_test", False),
    (promote, "require_smoke_test", True),
    (History, "append", False),
    (History, "_insert", True),
    (History, "append", True),
    (history, "write_text_atomically", False),
    (history, "write_text_atomically", True),
    (MlflowClient, "set_registered_model_alias", False),
    (MlflowClient, "set_registered_model_alias", True),
    (MlflowClient, "set_model_version_tag", False),
    (MlflowClient, "set_model_version_tag", True),
]
REACHED = {"promote": POINTS, "roll back": POINTS[2:], "approve": POINTS[2:7]}
NOT_WRITTEN = POINTS[:4]


@contextmanager
def killed(owner: object, name: str, *, after: bool) -> Iterator[None]:
    """Kill the block as ``killed_in`` does. No handler of an error ends the promotion's run, as after ``kill -9``."""
    with pytest.MonkeyPatch.context() as patch, killed_in(owner, name, after=after):
        if owner is promote:
            patch.setattr(MlflowClient, "set_terminated", lambda *_, **__: None)
        yield


@pytest.mark.parametrize(("action", "point"), [(action, point) for action in REACHED for point in REACHED[action]])
def test_the_next_command_completes_a_killed_change(
    serving: Registry, action: str, point: tuple[object, str, bool]
) -> None:
    """G14, for a rollback: registry, copy and history agree afterwards, whether the event was written or not."""
    if action == "roll back":
        serving.promote(SECOND)
    before = serving.history.events()
    with killed(*point[:2], after=point[2]):
        ACTIONS[action](serving)
    written = point not in NOT_WRITTEN
    assert len(serving.history.events()) == len(before) + written
    if action == "promote" and not written:
        assert serving.leftovers() != []
    state = serving.sync()
    assert len(state.events) == len(before) + written and read_copy(serving.copy) == state.events
    aliases = {"champion": state.champion, "previous_champion": state.previous}
    client = open_registry(serving.tracking_uri)
    assert aliases_of(client, SERVED) == {alias: event.version for alias, event in aliases.items() if event is not None}
    assert serving.faults() == [] and serving.leftovers() == []
    served = {event.version for event in state.events if event.version}
    assert {str(v.version) for v in versions_of(client, SERVED)} == served
    if not written:
        ACTIONS[action](serving)
        assert len(serving.history.events()) == len(before) + 1 and serving.faults() == []


def test_the_run_of_a_killed_promotion_is_ended(serving: Registry) -> None:
    with killed(promote, "require_smoke_test", after=False):
        serving.promote(SECOND)
    (run,) = serving.leftovers()
    serving.sync()
    ended = open_registry(serving.tracking_uri).get_run(run.removeprefix("run "))
    assert ended.info.status == "KILLED"


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (history, "write_text_atomically", PermissionError("read-only file system")),
        (MlflowClient, "set_registered_model_alias", MlflowException("database is locked")),
    ],
)
def test_a_failure_after_the_event_has_its_own_code(
    serving: Registry, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, error: Exception
) -> None:
    """The copy cannot be written, or MLflow goes down in the middle: the next command completes the rest."""

    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched, pytest.raises(GateRefused, match=f"CHANGE_UNFINISHED.*{error}.*champion"):
        patched.setattr(owner, name, fails)
        serving.promote(SECOND)
    assert serving.champion is not None and serving.champion.digest == serving.digest("second")
    assert serving.faults() != []
    serving.sync()
    assert serving.faults() == [] and len(read_copy(serving.copy)) == 2


def test_two_changes_of_one_workspace_wait_for_each_other(serving: Registry) -> None:
    with changing(serving.history), pytest.raises(GateRefused, match="HISTORY_BUSY"):  # noqa: SIM117
        with changing(serving.history, wait=False):
            pass


def test_only_the_remains_of_this_workspace_are_removed(serving: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another workspace's promotion may still be under way, and a run without the tag may be anybody's."""
    for place, owner, name in (("there", promote, "require_smoke_test"), ("elsewhere", History, "append")):
        other = replace(serving.history, copy=serving.folder / place / "history.jsonl")
        with killed(owner, name, after=False):
            serving.promote(SECOND, where=other)
    with monkeypatch.context() as patched, killed(promote, "require_smoke_test", after=False):
        patched.setattr(served_copy, "WORKSPACE_TAG", "another")
        serving.promote(SECOND)
    before = serving.leftovers()
    serving.promote(SECOND)
    assert len(before) == 3 and set(before) <= set(serving.leftovers())


def test_a_version_that_was_in_service_or_has_an_alias_is_never_deleted(
    serving: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with the tag of a version that was not in service yet, and without the alias or without the history."""
    serving.promote(SECOND)
    serving.candidate("third", champion="second", noise=0.4, seed=5)
    with killed_in(History, "append"):
        serving.promote("models:/candidates/3")
    client = open_registry(serving.tracking_uri)
    client.set_registered_model_alias(SERVED, "keep", "3")
    for number in ("1", "2"):
        client.set_model_version_tag(SERVED, number, TAG + "state", sync.PREPARED)
    versions = {str(v.version): v for v in versions_of(client, SERVED)}
    change = Change(serving.history, serving.state, client, versions)
    client.delete_registered_model_alias(SERVED, "previous_champion")
    clean_up(change)
    client.set_registered_model_alias(SERVED, "previous_champion", "1")
    monkeypatch.setattr(History, "events", lambda _: ())
    clean_up(change)
    assert {str(v.version) for v in versions_of(client, SERVED)} == {"1", "2", "3"}

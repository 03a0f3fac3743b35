"""The registry follows the history: aliases, states of versions, and no remains of killed promotions.

Contract: the history decides, and MLflow only shows. ``sync`` writes what differs and nothing else, so it can run at
any time. ``changing`` locks the workspace's history, and syncs at the start and at the end of every change. A process
that is killed at any point leaves a valid history, and the next change completes the rest.
"""

import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spine.errors import GateRefused, ParametersRejected, PlumblineError
from spine.storage import locked
from validation.promotion.approval import SignOff
from validation.promotion.events import RESTORE, Event, State
from validation.promotion.history import DATABASE_VARIABLE, History, open_history, read_copy
from validation.registry.client import (
    TAG,
    aliases_of,
    fetch_version,
    open_registry,
    version_gone,
    version_of_alias,
    versions_of,
)
from validation.registry.database import database_exists
from validation.registry.errors import errors_as_refusals

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION_ALIAS, PREVIOUS_ALIAS = "champion", "previous_champion"
STATE_TAG = TAG + "state"
PREPARED, SERVED, DENIED = "prepared", "served", "denied"
"""The states of a version: not in service yet, in service now or before, and denied by a rollback."""

WORKSPACE_TAG = TAG + "workspace"
"""The tag with a promotion's workspace. From it, ``clean_up`` recognises the remains of its own promotions."""


@dataclass(frozen=True)
class Change:
    """An opened history: nobody else changes it from this workspace meanwhile.

    Attributes:
        state: the state at the start.
        client: the registry, which agrees with the state.
        versions: number -> MLflow ``ModelVersion`` of the registered model.
        champion_is_intact: whether the registry has the champion's version with its files.
    """

    history: History
    state: State
    client: "MlflowClient"
    versions: Mapping[str, Any]
    champion_is_intact: bool = False


@contextmanager
def changing(history: History, *, wait: bool = True) -> Iterator[Change]:
    """Lock the workspace's history and bring the registry up to date, before the block and after it.

    Args:
        wait: whether to wait for another command of this workspace, or else to refuse.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE, NOT_PERMITTED, HISTORY_BROKEN, HISTORY_CUT, HISTORY_DIFFERS, CHAMPION_LOST,
            HISTORY_BUSY; errors of the block are converted by ``errors_as_refusals``. CHANGE_UNFINISHED: the block has
            changed the history, and the registry does not show the change yet.
    """
    with errors_as_refusals(), locked(lock_file(history.copy), wait=wait) as free:
        if not free:
            raise GateRefused(
                "HISTORY_BUSY",
                found="another command that changes the history of this workspace",
                expected="one change at a time",
                remedy="wait until the other command has ended",
            )
        change = sync(open_registry(history.tracking_uri), history)
        clean_up(change)
        yield change
        try:
            sync(change.client, history)
        except Exception as error:
            raise GateRefused(
                "CHANGE_UNFINISHED",
                found=f"the history has the change, but the registry or history.jsonl could not be written: {error}",
                expected="a registry that shows what the history says",
                remedy="nothing is lost: the next command completes the change, e.g. `plumbline champion`",
            ) from error


def lock_file(copy: Path) -> Path:
    """The lock of the workspace's history."""
    return copy.with_name(f".{copy.name}.lock")


def read_state(tracking_uri: str, model: str, copy: Path) -> State:
    """The state, for readers. If the registry is a server and no database is named, it is what the alias shows.

    Raises:
        GateRefused: HISTORY_BROKEN, HISTORY_CUT, HISTORY_DIFFERS, CHAMPION_LOST, REGISTRY_UNAVAILABLE.
    """
    with errors_as_refusals():
        try:
            state = open_history(tracking_uri, model, copy).state()
        except ParametersRejected:
            shown = version_of_alias(open_registry(tracking_uri), model, CHAMPION_ALIAS)
            return State(served=(_shown(shown),)) if shown is not None else State()
        if state.champion is None and database_exists(tracking_uri):
            _require_none_served(model, versions_of(open_registry(tracking_uri), model))
        return state


def sync(client: "MlflowClient", history: History) -> Change:
    """Set the copy, the aliases and the states of the versions from the history. The caller has locked the history.

    An alias is set only to a version whose files have the digest of its event.

    Raises:
        GateRefused: CHAMPION_LOST: the registry has models that were in service, but the history has none.
    """
    state, model = history.state(), history.model
    history.write_copy(state.events)
    versions = {str(v.version): v for v in versions_of(client, model)}
    change = Change(history, state, client, versions)
    if state.champion is None:
        _require_none_served(model, versions.values())
        return change
    aliases = aliases_of(client, model)
    for alias, event in ((CHAMPION_ALIAS, state.champion), (PREVIOUS_ALIAS, state.previous)):
        if event is None and alias in aliases:
            client.delete_registered_model_alias(model, alias)
        if event is None or not _is_intact(change, event):
            continue
        change = replace(change, champion_is_intact=True) if alias == CHAMPION_ALIAS else change
        if aliases.get(alias) != event.version:
            client.set_registered_model_alias(model, alias, event.version)
    for event in state.put_into_service.values():
        wanted = state_of_version(state, event)
        if event.version in versions and versions[event.version].tags.get(STATE_TAG) != wanted:
            client.set_model_version_tag(model, event.version, STATE_TAG, wanted)
    return change


def state_of_version(state: State, event: Event) -> str:
    """The state that the registry shows for the version of an event that put it into service."""
    return DENIED if any(bar.kind == "rolled_back" for bar in state.barred.get(event.digest, ())) else SERVED


def restore(history: History, sign_off: SignOff, at: datetime) -> Event:
    """Restore the table from the workspace's copy, as ``History.restore`` does, and let the registry follow.

    Raises:
        GateRefused: VERSION_GONE: the registry does not have the copy's champion, so it is another registry, or an
            incomplete one; the errors of ``History.restore``.
    """
    with errors_as_refusals(), locked(lock_file(history.copy)):
        client = open_registry(history.tracking_uri)
        served = [e for e in read_copy(history.copy) if e is not None and e.kind in ("promoted", "rolled_back")]
        known = {str(v.version): v.tags.get(TAG + "model_digest") for v in versions_of(client, history.model)}
        if served and known.get(served[-1].version) != served[-1].digest:
            raise version_gone(history.model, served[-1].version)
        event = history.restore(sign_off, at)
        sync(client, history)
        return event


def clean_up(change: Change) -> None:
    """End the runs of this workspace's killed promotions, and delete their versions. The caller has locked the history.

    The runs and versions of other workspaces may belong to promotions in progress. A version that was in service or has
    an alias is never deleted.
    """
    client, model, place = change.client, change.history.model, place_of(change.history)
    experiment = client.get_experiment_by_name(promotions_experiment(model))
    running = "attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment.experiment_id], running) if experiment is not None else ():
        if run.data.tags.get(WORKSPACE_TAG) == place:
            client.set_terminated(run.info.run_id, "KILLED")
    wanted = {STATE_TAG: PREPARED, WORKSPACE_TAG: place}.items()
    unused = [v for v in change.versions.values() if wanted <= v.tags.items()]
    kept = {event.version for event in change.history.events()} if unused else set()
    for version in unused:
        if str(version.version) not in kept | set(aliases_of(client, model).values()):
            client.delete_model_version(model, str(version.version))
            client.set_terminated(version.run_id, "KILLED")


def name_challenger(client: "MlflowClient", candidates_model: str, version: str) -> None:
    """Set the alias ``challenger`` of the candidates' registered model to ``version``, the last judged candidate."""
    client.set_registered_model_alias(candidates_model, "challenger", version)


def place_of(history: History) -> str:
    """The place of a workspace's history: host and resolved path."""
    return f"{socket.gethostname()}:{history.copy.resolve()}"


def promotions_experiment(model: str) -> str:
    """The name of the experiment that contains the promoter's runs."""
    return f"{model}-promotions"


def _shown(version: Any) -> Event:
    """The event that the tags of a promoted version describe."""
    tags = version.tags
    at, actor = tags.get(TAG + "promoted_at", ""), tags.get(TAG + "promoter", "")
    digest, verdict = tags.get(TAG + "model_digest", ""), tags.get(TAG + "verdict", "")
    return Event("promoted", at, actor, version=str(version.version), digest=digest, verdict=verdict)


def _require_none_served(model: str, versions: Iterable[Any]) -> None:
    served = [str(v.version) for v in versions if v.tags.get(STATE_TAG, PREPARED) != PREPARED]
    if served:
        raise GateRefused(
            "CHAMPION_LOST",
            found=f"a history without a champion; version {', '.join(served)} of {model} was in service",
            expected="the history of the models that were in service",
            remedy=f"check which database {DATABASE_VARIABLE} names, or restore the database from a backup. With the "
            f"workspace's history.jsonl, run {RESTORE}",
        )


def _is_intact(change: Change, event: Event) -> bool:
    """Whether the version of an event has its tag and its files. A tag that was edited is set back."""
    history, version = change.history, change.versions.get(event.version)
    if version is None:
        return False
    if version.tags.get(TAG + "model_digest") == event.digest:
        return True
    try:
        with tempfile.TemporaryDirectory() as scratch:
            into = Path(scratch) / "model"
            fetch_version(history.tracking_uri, history.model, event.version, event.digest, into=into)
    except (OSError, PlumblineError):
        return False
    change.client.set_model_version_tag(history.model, event.version, TAG + "model_digest", event.digest)
    return True

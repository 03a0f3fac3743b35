"""Changes of the champion. Only this module changes the champion record and writes the registry's aliases.

Contract: the champion record decides which version is in service. The aliases ``champion`` and ``previous_champion``
are set from the record and read back. If a process is killed, either the old or the new champion is in service, and
``sync`` completes the change that the record shows. Readers refuse an alias that another program changed or deleted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from spine.errors import GateRefused
from validation.promotion.champion import (
    CHAMPION_ALIAS,
    PREVIOUS_ALIAS,
    TAG,
    Champion,
    champion_from_version,
    open_registry,
    require_none_lost,
    version_numbered,
    version_of_alias,
    versions_of,
)
from validation.promotion.champion_record import ChampionRecord, Denial, ServingVersion, open_champion_record
from validation.promotion.history import (
    OUTCOME_OF,
    HistoryEntry,
    append_entry,
    interrupted_change,
    last_champion,
    read_history,
    require_clock_not_behind,
)
from validation.promotion.history_length import open_for_append
from validation.promotion.registry_errors import errors_as_refusals
from validation.promotion.served_copy import tag_run

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHALLENGER_ALIAS = "challenger"


@contextmanager
def open_for_change(
    tracking_uri: str, production_model: str, ledger: Path, at: datetime
) -> Iterator[tuple["MlflowClient", ChampionRecord]]:
    """Give access to the registry and the champion record. Lock the history, and check its length and the clock.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE, NO_CHAMPIONS_DB, HISTORY_BROKEN, HISTORY_CUT, CLOCK_WENT_BACK. An error of
            the block is converted by ``errors_as_refusals``.
    """
    with errors_as_refusals():
        client, record = open_registry(tracking_uri), open_champion_record(tracking_uri, production_model)
        with open_for_append(record, ledger):
            require_clock_not_behind(read_history(ledger), at)
            yield client, record


def change_champion(
    client: "MlflowClient",
    record: ChampionRecord,
    ledger: Path,
    entry: HistoryEntry,
    expected: ServingVersion | None,
    *,
    previous: str,
    deny: Denial | None = None,
) -> tuple[Champion, HistoryEntry]:
    """Announce the change, change the record, set the aliases, and confirm the change.

    The caller has locked the history. Return the new champion and the last entry of the history.

    Args:
        entry: ``intended`` or ``rollback_intended``. The change of the record also marks the approval as used.
        expected: the champion record at the time at which the caller verified the request.
        previous: the version that becomes the previous champion, or "".
        deny: the model that must not go back into service.

    Raises:
        GateRefused: STALE_CHAMPION, APPROVAL_USED, REGISTRY_UNAVAILABLE: nothing changed. CHANGE_UNFINISHED: the
            record has changed, but the alias or the history does not show the change yet.
    """
    announced = append_entry(ledger, entry)
    new = ServingVersion(entry.version, entry.model_digest, previous, entry=announced.digest)
    try:
        record.change(expected, new, approval=entry.approval, deny=deny)
    except GateRefused as refusal:
        if refusal.code != "REGISTRY_UNAVAILABLE":  # After this error the change may be committed; ``sync`` checks.
            append_entry(ledger, replace(entry, event="abandoned"))
        raise
    try:
        champion = sync_aliases(client, record)
        return champion, append_entry(ledger, replace(entry, event=OUTCOME_OF[entry.event]))
    except Exception as error:
        raise GateRefused(
            "CHANGE_UNFINISHED",
            found=f"version {entry.version} is champion, but the alias or the history could not be written: {error}",
            expected="a champion record, an alias and a history that agree",
            remedy="run `plumbline history --repair`, or promote again; both commands complete the change",
        ) from error


def sync_aliases(client: "MlflowClient", record: ChampionRecord) -> Champion:
    """Set both aliases and the states of all versions from the record. Return the champion.

    If the record changes meanwhile, the function starts again.

    Raises:
        GateRefused: NOT_READ_BACK; VERSION_GONE: the registry no longer has the version in service.
    """
    while True:
        serving = record.serving()
        assert serving is not None, "without a serving version there is no alias to set"
        _require_version(client, record.production_model, serving)
        _set_aliases(client, record.production_model, serving)
        _set_states(client, record, serving)
        if record.mark_synced(serving):
            return champion_from_version(version_numbered(client, record.production_model, serving.version))


def sync(client: "MlflowClient", record: ChampionRecord, ledger: Path, at: datetime) -> ServingVersion | None:
    """Complete an interrupted change, so that record, aliases and history agree. Return the version in service.

    Raises:
        GateRefused: CHAMPION_LOST: the history lists a champion, but the database has none. A lost database must not
            make the next model a first champion.
    """
    model = record.production_model
    serving = record.serving() or _adopt_alias(client, record)
    if serving is not None and not serving.synced:
        sync_aliases(client, record)
        serving = record.serving()
    begun = interrupted_change(read_history(ledger), model)
    if begun is not None:
        outcome = OUTCOME_OF[begun.event] if record.has_happened(begun.digest) else "abandoned"
        append_entry(ledger, replace(begun, event=outcome, at=at.isoformat()))
    if serving is None:
        require_none_lost(ledger, model)
        return None
    last = last_champion(read_history(ledger), model)
    if last is None or (last.version, last.model_digest) != (serving.version, serving.digest):
        append_entry(ledger, _observed(client, record, serving, last, at))
    return serving


def _observed(
    client: "MlflowClient", record: ChampionRecord, serving: ServingVersion, last: HistoryEntry | None, at: datetime
) -> HistoryEntry:
    """The entry for a change that a promoter with another history made."""
    version = version_numbered(client, record.production_model, serving.version)
    seen = champion_from_version(version) if version is not None else None
    return HistoryEntry(
        event="observed",
        at=at.isoformat(),
        promoter=seen.promoter if seen else "unknown",
        production_model=record.production_model,
        version=serving.version,
        model_digest=serving.digest,
        previous_digest=last.model_digest if last else None,
        verdict=seen.verdict if seen else None,
    )


def _adopt_alias(client: "MlflowClient", record: ChampionRecord) -> ServingVersion | None:
    """Fill an empty champion record from the registry's alias. Return the new row; None without an alias."""
    shown = version_of_alias(client, record.production_model, CHAMPION_ALIAS)
    if shown is None:
        return None
    champion = champion_from_version(shown)
    before = version_of_alias(client, record.production_model, PREVIOUS_ALIAS)
    previous = str(before.version) if before is not None else ""
    return record.change(None, ServingVersion(champion.version, champion.model_digest, previous))


def name_challenger(client: "MlflowClient", candidates_model: str, version: str) -> None:
    """Set the alias ``challenger`` of the candidates' registered model to ``version``, the last judged candidate."""
    client.set_registered_model_alias(candidates_model, CHALLENGER_ALIAS, version)


def _require_version(client: "MlflowClient", model: str, serving: ServingVersion) -> None:
    if version_numbered(client, model, serving.version) is None:
        raise GateRefused(
            "VERSION_GONE",
            found=f"the champion, version {serving.version} of {model}, is not in the registry",
            expected="the promoted version",
            remedy="return to an earlier version, or to the local copy of this version, with `plumbline rollback`",
        )


def _set_aliases(client: "MlflowClient", model: str, serving: ServingVersion) -> None:
    client.set_registered_model_alias(model, CHAMPION_ALIAS, serving.version)
    now = version_of_alias(client, model, CHAMPION_ALIAS)
    if now is None or str(now.version) != serving.version:
        raise GateRefused(
            "NOT_READ_BACK",
            found=f"alias champion at version {now.version if now else '(none)'} after it was set to {serving.version}",
            expected=f"version {serving.version}",
            remedy="run `plumbline history --verify`, then `plumbline history --repair`; another program set the alias",
        )
    if serving.previous and version_numbered(client, model, serving.previous) is not None:
        client.set_registered_model_alias(model, PREVIOUS_ALIAS, serving.previous)
    elif version_of_alias(client, model, PREVIOUS_ALIAS) is not None:
        client.delete_registered_model_alias(model, PREVIOUS_ALIAS)


def _set_states(client: "MlflowClient", record: ChampionRecord, serving: ServingVersion) -> None:
    """Tag each version and its run with the state, such as ``retired``. The tags only inform and affect no decision."""
    denied = record.denials()
    states = {serving.previous: PREVIOUS_ALIAS, serving.version: CHAMPION_ALIAS}
    for version in versions_of(client, record.production_model):
        number, was = str(version.version), version.tags.get(TAG + "state")
        state = states.get(number, "retired" if was in (CHAMPION_ALIAS, PREVIOUS_ALIAS, "denied") else was)
        if number != serving.version and version.tags.get(TAG + "model_digest") in denied:
            state = "denied"
        if state is not None and state != was:
            tag_run(client, version.run_id, state)
            client.set_model_version_tag(record.production_model, number, TAG + "state", state)

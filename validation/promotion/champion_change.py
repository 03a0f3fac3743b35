"""Changes of the champion: the only module that changes the champion record and writes the registry's aliases.

Contract: the champion record decides. The aliases ``champion`` and ``previous_champion`` are set from it and read back.
A process killed at any point leaves the old champion or the new one, and ``sync`` reads from the record which one. An
alias that another program changed or deleted is not followed: readers refuse it until it is set back.
"""

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
    lost_registry,
    version_numbered,
    version_of_alias,
    versions_of,
)
from validation.promotion.champion_record import ChampionRecord, Denial, ServingVersion
from validation.promotion.history import (
    OUTCOME_OF,
    HistoryEntry,
    append_entry,
    interrupted_change,
    last_champion,
    read_history,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHALLENGER_ALIAS = "challenger"


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
    """Announce the change, change the record, set the aliases, confirm it; the caller holds the history's lock.

    Args:
        entry: ``intended`` or ``rollback_intended``; its approval is used with the change.
        expected: the champion record as it was read when everything was verified.
        previous: version that is the previous champion from then on, or "".
        deny: the model that may not serve again.

    Raises:
        GateRefused: STALE_CHAMPION, APPROVAL_USED, REGISTRY_UNAVAILABLE: nothing changed; CHANGE_UNFINISHED: the
            record has changed, and the alias or the history does not show it yet.
    """
    announced = append_entry(ledger, entry)
    new = ServingVersion(entry.version, entry.model_digest, previous, entry=announced.digest)
    try:
        record.change(expected, new, approval=entry.approval, deny=deny)
    except GateRefused as refusal:
        if refusal.code != "REGISTRY_UNAVAILABLE":  # then the change may have been committed; ``sync`` finds out
            append_entry(ledger, replace(entry, event="abandoned"))
        raise
    try:
        champion = sync_aliases(client, record)
        return champion, append_entry(ledger, replace(entry, event=OUTCOME_OF[entry.event]))
    except Exception as error:
        raise GateRefused(
            "CHANGE_UNFINISHED",
            found=f"version {entry.version} as champion, and an alias or history that could not be written: {error}",
            expected="champion record, alias and history in agreement",
            remedy="run `plumbline history --repair`, or promote again: either finishes the change",
        ) from error


def sync_aliases(client: "MlflowClient", record: ChampionRecord) -> Champion:
    """Set both aliases and the versions' states from the record, until it did not change meanwhile.

    Raises:
        GateRefused: NOT_READ_BACK; VERSION_GONE: the registry no longer has the version that serves.
    """
    while True:
        serving = record.serving()
        assert serving is not None, "aliases are set when a version serves"
        _require_version(client, record.production_model, serving)
        _set_aliases(client, record.production_model, serving)
        _set_states(client, record, serving)
        if record.mark_synced(serving):
            return champion_from_version(version_numbered(client, record.production_model, serving.version))


def sync(client: "MlflowClient", record: ChampionRecord, ledger: Path, at: datetime) -> ServingVersion | None:
    """Complete an interrupted change, so that record, aliases and history agree; return the version that serves.

    Raises:
        GateRefused: CHAMPION_LOST: the history lists a champion and the database has none. The next model must not
            become a first champion because a database was lost.
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
    last = last_champion(read_history(ledger), model)
    if serving is None and last is not None:
        raise lost_registry(last.version, last.model_digest, model)
    if serving is not None and (last is None or (last.version, last.model_digest) != (serving.version, serving.digest)):
        append_entry(ledger, _observed(client, record, serving, last, at))
    return serving


def _observed(
    client: "MlflowClient", record: ChampionRecord, serving: ServingVersion, last: HistoryEntry | None, at: datetime
) -> HistoryEntry:
    """The entry for a change by another promoter, which writes another history."""
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
    """Fill an empty champion record from the registry's alias; None where there is no alias."""
    shown = version_of_alias(client, record.production_model, CHAMPION_ALIAS)
    if shown is None:
        return None
    champion = champion_from_version(shown)
    before = version_of_alias(client, record.production_model, PREVIOUS_ALIAS)
    previous = str(before.version) if before is not None else ""
    return record.change(None, ServingVersion(champion.version, champion.model_digest, previous))


def name_challenger(client: "MlflowClient", candidates_model: str, version: str) -> None:
    """Set the alias ``challenger`` of the candidates' registered model to the candidate that was judged last."""
    client.set_registered_model_alias(candidates_model, CHALLENGER_ALIAS, version)


def _require_version(client: "MlflowClient", model: str, serving: ServingVersion) -> None:
    if version_numbered(client, model, serving.version) is None:
        raise GateRefused(
            "VERSION_GONE",
            found=f"no version {serving.version} of {model}, the champion, in the registry",
            expected="the version that was promoted",
            remedy="`plumbline rollback` returns to an earlier version, or to the local copy of this one",
        )


def _set_aliases(client: "MlflowClient", model: str, serving: ServingVersion) -> None:
    client.set_registered_model_alias(model, CHAMPION_ALIAS, serving.version)
    now = version_of_alias(client, model, CHAMPION_ALIAS)
    if now is None or str(now.version) != serving.version:
        raise GateRefused(
            "NOT_READ_BACK",
            found=f"alias champion at version {now.version if now else '(none)'} after it was set to {serving.version}",
            expected=f"version {serving.version}",
            remedy="another program changed it: `plumbline history --verify`, then `--repair`",
        )
    if serving.previous and version_numbered(client, model, serving.previous) is not None:
        client.set_registered_model_alias(model, PREVIOUS_ALIAS, serving.previous)
    elif version_of_alias(client, model, PREVIOUS_ALIAS) is not None:
        client.delete_registered_model_alias(model, PREVIOUS_ALIAS)


def _set_states(client: "MlflowClient", record: ChampionRecord, serving: ServingVersion) -> None:
    """Tag every version that serves, served or may never serve again; the tags inform people and decide nothing."""
    denied = record.denials()
    states = {serving.previous: PREVIOUS_ALIAS, serving.version: CHAMPION_ALIAS}
    for version in versions_of(client, record.production_model):
        number, was = str(version.version), version.tags.get(TAG + "state")
        state = states.get(number, "retired" if was in (CHAMPION_ALIAS, PREVIOUS_ALIAS, "denied") else was)
        if number != serving.version and version.tags.get(TAG + "model_digest") in denied:
            state = "denied"
        if state is not None and state != was:
            client.set_model_version_tag(record.production_model, number, TAG + "state", state)

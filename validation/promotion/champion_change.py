"""Moving the champion: the one place that changes the seat and writes registry aliases.

Contract: the seat decides; ``champion`` and ``previous_champion`` are set from it and read back. A kill at any point
leaves the old champion or the new one, and ``settle`` finds out which: nothing is guessed from the alias. An alias
that somebody else moved or deleted is not followed: readers refuse it until it is set back.
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
from validation.promotion.champion_record import Denial, ServingVersion, ChampionRecord
from validation.promotion.history import OUTCOME_OF, HistoryEntry, append_entry, last_champion, read_history, interrupted_change

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHALLENGER_ALIAS = "challenger"


def move(
    client: "MlflowClient",
    seat: ChampionRecord,
    ledger: Path,
    entry: HistoryEntry,
    expected: ServingVersion | None,
    *,
    previous: str,
    deny: Denial | None = None,
) -> tuple[Champion, HistoryEntry]:
    """Make ``entry`` come true: announced, swapped, mirrored, noted; the caller holds the history's lock.

    Args:
        entry: ``intended`` or ``rollback_intended``; its approval is spent with the move.
        expected: the seat as it was read when everything was verified.
        previous: version that is the previous champion from then on, or "".
        deny: what is denied with the move.

    Raises:
        GateRefused: STALE_CHAMPION, APPROVAL_USED, REGISTRY_UNAVAILABLE: nothing moved; CHANGE_UNFINISHED: the seat has
            moved, and the alias or the history does not show it yet.
    """
    announced = append_entry(ledger, entry)
    follower = ServingVersion(entry.version, entry.model_digest, previous, entry=announced.digest)
    try:
        seat.change(expected, follower, approval=entry.approval, deny=deny)
    except GateRefused as refusal:
        if refusal.code != "REGISTRY_UNAVAILABLE":  # there, whether it committed is for ``settle`` to find out
            append_entry(ledger, replace(entry, event="abandoned"))
        raise
    try:
        champion = mirror(client, seat)
        return champion, append_entry(ledger, replace(entry, event=OUTCOME_OF[entry.event]))
    except Exception as error:
        raise GateRefused(
            "CHANGE_UNFINISHED",
            found=f"version {entry.version} as champion, and a registry or history that could not be told: {error}",
            expected="seat, alias and history in step",
            remedy="run `plumbline history --repair`, or promote again: either finishes it",
        ) from error


def mirror(client: "MlflowClient", seat: ChampionRecord) -> Champion:
    """Set both aliases and the versions' states from the seat, until the seat has not changed meanwhile.

    Raises:
        GateRefused: NOT_READ_BACK; VERSION_GONE: the registry no longer holds the version that sits.
    """
    while True:
        holder = seat.serving()
        assert holder is not None, "mirror is called when somebody sits"
        _require_version(client, seat.production_model, holder)
        _set_aliases(client, seat.production_model, holder)
        _set_states(client, seat, holder)
        if seat.mark_synced(holder):
            return champion_from_version(version_numbered(client, seat.production_model, holder.version))


def settle(client: "MlflowClient", seat: ChampionRecord, ledger: Path, at: datetime) -> ServingVersion | None:
    """Bring seat, alias and history into step where a move was cut off; who sits then.

    Raises:
        GateRefused: CHAMPION_LOST: the history tells of a champion, the registry's database of none. A database that
            was lost must not let the next model in as the first.
    """
    model = seat.production_model
    holder = seat.serving() or adopt(client, seat)
    if holder is not None and not holder.mirrored:
        mirror(client, seat)
        holder = seat.serving()
    begun = interrupted_change(read_history(ledger), model)
    if begun is not None:
        outcome = OUTCOME_OF[begun.event] if seat.made(begun.digest) else "abandoned"
        append_entry(ledger, replace(begun, event=outcome, at=at.isoformat()))
    last = last_champion(read_history(ledger), model)
    if holder is None and last is not None:
        raise lost_registry(last.version, last.model_digest, model)
    if holder is not None and (last is None or (last.version, last.model_digest) != (holder.version, holder.digest)):
        note_observed(client, seat, ledger, holder, last, at)
    return holder


def note_observed(
    client: "MlflowClient", seat: ChampionRecord, ledger: Path, holder: ServingVersion, last: HistoryEntry | None, at: datetime
) -> None:
    """Write into this history that another promoter, with another history, has moved the seat."""
    version = version_numbered(client, seat.production_model, holder.version)
    seen = champion_from_version(version) if version is not None else None
    append_entry(
        ledger,
        HistoryEntry(
            "observed",
            at.isoformat(),
            seen.promoter if seen else "unknown",
            seat.production_model,
            holder.version,
            holder.digest,
            last.model_digest if last else None,
            seen.verdict if seen else None,
        ),
    )


def adopt(client: "MlflowClient", seat: ChampionRecord) -> ServingVersion | None:
    """ChampionRecord the champion of a registry that is older than the seat's table; None where its alias shows none."""
    shown = version_of_alias(client, seat.production_model, CHAMPION_ALIAS)
    if shown is None:
        return None
    champion = champion_from_version(shown)
    before = version_of_alias(client, seat.production_model, PREVIOUS_ALIAS)
    previous = str(before.version) if before is not None else ""
    return seat.change(None, ServingVersion(champion.version, champion.model_digest, previous))


def name_challenger(client: "MlflowClient", candidates_model: str, version: str) -> None:
    """Show which candidate was judged last: alias ``challenger`` of the candidates' registered model."""
    client.set_registered_model_alias(candidates_model, CHALLENGER_ALIAS, version)


def _require_version(client: "MlflowClient", model: str, holder: ServingVersion) -> None:
    if version_numbered(client, model, holder.version) is None:
        raise GateRefused(
            "VERSION_GONE",
            found=f"no version {holder.version} of {model} in the registry, which is the champion",
            expected="the version that was promoted",
            remedy="`plumbline rollback` returns to an earlier version, or to the local copy of this one",
        )


def _set_aliases(client: "MlflowClient", model: str, holder: ServingVersion) -> None:
    client.set_registered_model_alias(model, CHAMPION_ALIAS, holder.version)
    now = version_of_alias(client, model, CHAMPION_ALIAS)
    if now is None or str(now.version) != holder.version:
        raise GateRefused(
            "NOT_READ_BACK",
            found=f"alias at {now.version if now else 'nothing'} after it was set to {holder.version}",
            expected=f"version {holder.version}",
            remedy="another writer moved it: `plumbline history --verify`, then `--repair`",
        )
    if holder.previous and version_numbered(client, model, holder.previous) is not None:
        client.set_registered_model_alias(model, PREVIOUS_ALIAS, holder.previous)
    elif version_of_alias(client, model, PREVIOUS_ALIAS) is not None:
        client.delete_registered_model_alias(model, PREVIOUS_ALIAS)


def _set_states(client: "MlflowClient", seat: ChampionRecord, holder: ServingVersion) -> None:
    """Tag every version that serves, served or may never serve again; the tags are for people, the seat decides."""
    denied = seat.denials()
    states = {holder.previous: PREVIOUS_ALIAS, holder.version: CHAMPION_ALIAS}
    for version in versions_of(client, seat.production_model):
        number, was = str(version.version), version.tags.get(TAG + "state")
        state = states.get(number, "retired" if was in (CHAMPION_ALIAS, PREVIOUS_ALIAS, "denied") else was)
        if number != holder.version and version.tags.get(TAG + "model_digest") in denied:
            state = "denied"
        if state is not None and state != was:
            client.set_model_version_tag(seat.production_model, number, TAG + "state", state)

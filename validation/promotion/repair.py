"""The repair: it completes an interrupted change, corrects aliases, and continues a history that has lost entries.

Contract: ``repair`` sets the aliases only to the model in the champion record, or in the history if the record is
empty. Before that it verifies the model's files. It does not repair a broken chain, because the file is evidence.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from spine.errors import GateRefused
from validation.promotion.approval import SignOff, require_signed
from validation.promotion.audit import digest_in_registry
from validation.promotion.champion import CHAMPION_ALIAS, TAG, Champion, model_altered, open_registry, version_of_alias
from validation.promotion.champion_change import sync, sync_aliases
from validation.promotion.champion_record import ServingVersion, open_champion_record
from validation.promotion.cleanup import clean_up
from validation.promotion.history import (
    ACCEPT_LOSS,
    CLOCK_TOLERANCE,
    Event,
    HistoryEntry,
    append_entry,
    last_champion,
    read_history,
)
from validation.promotion.history_length import accept_loss, open_for_append
from validation.promotion.registry_errors import errors_as_refusals


@dataclass(frozen=True)
class Repair:
    """A completed repair: the champion (None if no model was ever in service), and a line for each removed object."""

    champion: Champion | None
    cleared: tuple[str, ...]


def repair(tracking_uri: str, production_model: str, *, ledger_path: Path, promoter: str, at: datetime) -> Repair:
    """Complete an interrupted change and correct the aliases, after verification of the champion's files.

    Raises:
        GateRefused: MODEL_ALTERED, VERSION_GONE (the champion's files are missing), HISTORY_BROKEN, HISTORY_CUT,
            REGISTRY_UNAVAILABLE.
    """
    with errors_as_refusals():
        client, record = open_registry(tracking_uri), open_champion_record(tracking_uri, production_model)
    with errors_as_refusals(), open_for_append(record, ledger_path):
        entries = read_history(ledger_path)
        last = last_champion(entries, production_model)
        if record.serving() is None and last is not None:
            record.change(None, ServingVersion(last.version, last.model_digest))
        shown = version_of_alias(client, production_model, CHAMPION_ALIAS)
        serving = record.serving()
        if entries and at < datetime.fromisoformat(entries[-1].at) - CLOCK_TOLERANCE:
            append_entry(ledger_path, _entry("clock_set", promoter, at, production_model, serving))
        if serving is not None:
            _require_bytes(tracking_uri, production_model, serving)
            client.set_model_version_tag(production_model, serving.version, TAG + "model_digest", serving.digest)
        serving = sync(client, record, ledger_path, at)
        cleared = clean_up(client, record, ledger_path)
        if serving is None:
            return Repair(None, cleared)
        champion = sync_aliases(client, record)
        if shown is None or str(shown.version) != serving.version:
            append_entry(ledger_path, _entry("restored", promoter, at, production_model, serving))
    return Repair(champion, cleared)


def accept_history_loss(
    tracking_uri: str, production_model: str, *, ledger_path: Path, sign_off: SignOff, at: datetime
) -> HistoryEntry:
    """Continue a cut history with an entry that states the loss, the person who accepts the loss, and the reason.

    Return the entry. The function writes nothing else. Call ``repair`` afterwards, so that history and registry agree.

    Raises:
        GateRefused: APPROVAL_EMPTY (no name or reason), HISTORY_COMPLETE, HISTORY_BROKEN, CLOCK_WENT_BACK,
            REGISTRY_UNAVAILABLE, NO_CHAMPIONS_DB.
    """
    _require_reason(sign_off)
    entry = HistoryEntry(
        event="loss_accepted",
        at=at.isoformat(),
        promoter=sign_off.approver.strip(),
        production_model=production_model,
        reason=sign_off.comment.strip(),
    )
    with errors_as_refusals():
        return accept_loss(open_champion_record(tracking_uri, production_model), ledger_path, entry)


def _require_reason(sign_off: SignOff) -> None:
    """Refuse a sign-off without a name or a reason. The remedy names the options of `plumbline history`."""
    try:
        require_signed(sign_off)
    except GateRefused as refusal:
        raise GateRefused(
            refusal.code,
            found="no name or no reason",
            expected="the name of the person who decides, and an explanation of the loss",
            remedy=f"run {ACCEPT_LOSS}",
        ) from refusal


def _entry(
    event: Event, promoter: str, at: datetime, production_model: str, serving: ServingVersion | None
) -> HistoryEntry:
    entry = HistoryEntry(event, at.isoformat(), promoter, production_model)
    return replace(entry, version=serving.version, model_digest=serving.digest) if serving else entry


def _require_bytes(tracking_uri: str, model: str, serving: ServingVersion) -> None:
    actual = digest_in_registry(tracking_uri, model, serving.version)
    if not actual:
        raise GateRefused(
            "VERSION_GONE",
            found=f"the registry has no files of the champion, version {serving.version} of {model}",
            expected="the promoted files",
            remedy="restore the registry from a backup, or return to an earlier model with `plumbline rollback`",
        )
    if actual != serving.digest:
        raise model_altered(actual, serving.digest, f"version {serving.version} in the registry")

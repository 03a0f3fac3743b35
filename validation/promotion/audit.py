"""The audit: do history, seat, registry and alias tell the same story, and setting them right where they do not.

Contract: ``audit`` changes nothing and reports everything it finds; ``repair`` never puts another model into service
than the one the seat (or, before there was one, the history) names, and only after its bytes were verified. A broken
chain is not repaired: it is evidence.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from spine.errors import EvidenceRejected, GateRefused, PlumblineError
from spine.model_digest import find_model_folder, model_digest
from validation.evaluation.sealing import verified_seal
from validation.promotion.approval import SignOff, require_signed
from validation.promotion.champion import (
    CHAMPION_ALIAS,
    PREVIOUS_ALIAS,
    TAG,
    Champion,
    altered,
    download,
    open_registry,
    version_numbered,
    version_of_alias,
)
from validation.promotion.champion_change import mirror, settle
from validation.promotion.champion_record import ServingVersion, ChampionRecord, open_champion_record
from validation.promotion.cleanup import clean_up
from validation.promotion.history import (
    BEGIN_ANEW,
    CLOCK_TOLERANCE,
    SERVING_EVENTS,
    HistoryEntry,
    append_entry,
    last_champion,
    read_history,
    interrupted_change,
)
from validation.promotion.history_length import (
    REMEDY,
    HistoryLength,
    open_for_append,
    known_lengths,
    begin_anew,
    broken_anchors,
    place_of,
)
from validation.promotion.promote import refusing

if TYPE_CHECKING:
    from mlflow import MlflowClient

_REPAIR = "`plumbline history --repair`"
_AFTER_THE_CUT = "the history first (HISTORY_CUT); then `plumbline history --repair`, which is refused until then"
_LAST = "last entry"


@dataclass(frozen=True)
class Fault:
    """One place where the story breaks.

    Attributes:
        code: stable; place: which entry, version or alias; found: what is wrong; remedy: the way out.
    """

    code: str
    place: str
    found: str
    remedy: str


def audit(tracking_uri: str, production_model: str, ledger_path: Path) -> tuple[Fault, ...]:
    """Every disagreement between history, seat, registry and alias; empty where there is none."""
    try:
        entries = read_history(ledger_path)
    except EvidenceRejected as error:
        return (Fault(error.code, str(ledger_path.name), error.found, error.remedy),)
    with errors_as_refusals():
        client, seat = open_registry(tracking_uri), open_champion_record(tracking_uri, production_model)
        about = [e for e in entries if e.production_model == production_model]
        cut = [*_cut(seat, entries, ledger_path)]
        faults = [*cut, *_interrupted(entries, production_model), *_clock(entries), *_approvals(about)]
        faults += _versions(client, tracking_uri, about)
        faults += _standing(client, seat, entries)
    return tuple(_beside_a_cut(faults) if cut else faults)


def _beside_a_cut(faults: Sequence[Fault]) -> Iterator[Fault]:
    """What is left to say of a history that is cut: it lags behind by that, and is whole before it is repaired."""
    for fault in faults:
        if (fault.code, fault.place) not in (("HISTORY_BEHIND", _LAST), ("HISTORY_CUT", _LAST)):
            yield replace(fault, remedy=_AFTER_THE_CUT) if fault.remedy == _REPAIR else fault


@dataclass(frozen=True)
class Repair:
    """What a repair came to: who serves (None where no model ever did), and what dead promotions had left behind."""

    champion: Champion | None
    cleared: tuple[str, ...]


def repair(tracking_uri: str, production_model: str, *, ledger_path: Path, promoter: str, at: datetime) -> Repair:
    """Finish what was cut off and set a lost or foreign alias back, after verifying the champion's bytes.

    Raises:
        GateRefused: MODEL_ALTERED, VERSION_GONE (the champion's bytes are not to be had: roll back), HISTORY_BROKEN,
            HISTORY_CUT, REGISTRY_UNAVAILABLE.
    """
    with errors_as_refusals():
        client, seat = open_registry(tracking_uri), open_champion_record(tracking_uri, production_model)
    with errors_as_refusals(), open_for_append(seat, ledger_path):
        entries = read_history(ledger_path)
        last = last_champion(entries, production_model)
        if seat.serving() is None and last is not None:
            seat.change(None, ServingVersion(last.version, last.model_digest))
        shown = version_of_alias(client, production_model, CHAMPION_ALIAS)
        if entries and at < datetime.fromisoformat(entries[-1].at) - CLOCK_TOLERANCE:
            _note(ledger_path, "clock_set", promoter, at, production_model, seat.serving())
        holder = seat.serving()
        if holder is not None:
            _require_bytes(tracking_uri, production_model, holder)
            client.set_model_version_tag(production_model, holder.version, TAG + "model_digest", holder.digest)
        holder = settle(client, seat, ledger_path, at)
        cleared = clean_up(client, seat, ledger_path)
        if holder is None:
            return Repair(None, cleared)
        champion = mirror(client, seat)
        if shown is None or str(shown.version) != holder.version:
            _note(ledger_path, "restored", promoter, at, production_model, holder)
    return Repair(champion, cleared)


def accept_history_loss(
    tracking_uri: str, production_model: str, *, ledger_path: Path, word: SignOff, at: datetime
) -> HistoryEntry:
    """Go on with what is left of a history that is lost, and record how much that is, who says so and why.

    The entry is written before anything else is looked at; bringing it into step with the registry is the repair's.

    Raises:
        GateRefused: APPROVAL_EMPTY (no name or reason), HISTORY_COMPLETE, HISTORY_BROKEN, CLOCK_WENT_BACK,
            REGISTRY_UNAVAILABLE, NO_CHAMPIONS_DB.
    """
    _require_reason(word)
    with errors_as_refusals():
        seat = open_champion_record(tracking_uri, production_model)
        who, why = word.approver.strip(), word.comment.strip()
        entry = HistoryEntry("loss_accepted", at.isoformat(), who, production_model, "", "", None, reason=why)
        return begin_anew(seat, ledger_path, entry)


def _require_reason(word: SignOff) -> None:
    """``require_signed`` in the words of `plumbline history`, which has no --comment."""
    try:
        require_signed(word)
    except GateRefused as refusal:
        raise GateRefused(
            refusal.code, found="no name or no reason", expected="who says so, and what happened", remedy=BEGIN_ANEW
        ) from refusal


def other_histories(tracking_uri: str, production_model: str, ledger_path: Path) -> tuple[HistoryLength, ...]:
    """The histories elsewhere that the database knows of this model, so that a reader can look for them."""
    with errors_as_refusals():
        place = place_of(ledger_path)
        return tuple(a for a in known_lengths(open_champion_record(tracking_uri, production_model)) if a.place != place)


def _cut(seat: ChampionRecord, entries: tuple[HistoryEntry, ...], ledger: Path) -> Iterator[Fault]:
    for anchor, fault in broken_anchors(known_lengths(seat), entries, place_of(ledger)):
        yield Fault("HISTORY_CUT", anchor.place, fault, REMEDY)


def _note(ledger: Path, event: str, promoter: str, at: datetime, model: str, holder: ServingVersion | None) -> None:
    version, digest = (holder.version, holder.digest) if holder else ("", "")
    entry = HistoryEntry(event, at.isoformat(), promoter, model, version, digest, None)  # type: ignore[arg-type]
    append_entry(ledger, entry)


def _require_bytes(tracking_uri: str, model: str, holder: ServingVersion) -> None:
    actual = _digest_in_registry(tracking_uri, model, holder.version)
    if not actual:
        raise GateRefused(
            "VERSION_GONE",
            found=f"no bytes of version {holder.version} of {model}, the champion, in the registry",
            expected="the bytes that were promoted",
            remedy="restore the registry from a backup, or return to an earlier model with `plumbline rollback`",
        )
    if actual != holder.digest:
        raise altered(actual, holder.digest, f"version {holder.version} in the registry")


def _digest_in_registry(tracking_uri: str, model: str, version: str) -> str:
    """Digest of the bytes the registry holds, "" where it holds no whole model."""
    from mlflow.exceptions import MlflowException

    try:
        with tempfile.TemporaryDirectory() as scratch:
            return model_digest(find_model_folder(download(tracking_uri, f"models:/{model}/{version}", Path(scratch))))
    except (MlflowException, OSError, PlumblineError):
        return ""


def _interrupted(entries: tuple[HistoryEntry, ...], production_model: str) -> Iterator[Fault]:
    begun = interrupted_change(entries, production_model)
    if begun is not None:
        found = f"{begun.event} of version {begun.version}, without its outcome"
        yield Fault("CHANGE_INTERRUPTED", f"entry {begun.sequence}", found, _REPAIR)


def _clock(entries: Sequence[HistoryEntry]) -> Iterator[Fault]:
    for before, entry in pairwise(entries):
        back = datetime.fromisoformat(entry.at) < datetime.fromisoformat(before.at) - CLOCK_TOLERANCE
        if back and entry.event != "clock_set":
            yield Fault("CLOCK_WENT_BACK", f"entry {entry.sequence}", f"{entry.at} after {before.at}", "find out why")


def _approvals(entries: Sequence[HistoryEntry]) -> Iterator[Fault]:
    granted: set[str | None] = set()
    used: set[str | None] = set()
    for entry in entries:
        if entry.event == "approved":
            granted.add(entry.approval)
        if entry.event == "promoted" and entry.approval is not None:
            if entry.approval not in granted or entry.approval in used:
                found = f"approval {entry.approval[:12]}, " + (
                    "used twice" if entry.approval in used else "never given"
                )
                yield Fault("APPROVAL_UNKNOWN", f"entry {entry.sequence}", found, "find out who promoted")
            used.add(entry.approval)


def _versions(client: "MlflowClient", tracking_uri: str, entries: Sequence[HistoryEntry]) -> Iterator[Fault]:
    """Every version that served must still be there, tagged and with the bytes that were judged."""
    for entry in {e.version: e for e in entries if e.event in SERVING_EVENTS}.values():
        place = f"entry {entry.sequence}, version {entry.version}"
        version = version_numbered(client, entry.production_model, entry.version)
        if version is None:
            yield Fault("VERSION_GONE", place, "the registry does not hold it", "restore the registry from a backup")
            continue
        for tag, wanted in (("model_digest", entry.model_digest), ("verdict", entry.verdict)):
            tagged = version.tags.get(TAG + tag)
            if wanted is not None and tagged != wanted:
                found = f"its tag {tag} is {str(tagged)[:12]}, the history says {wanted[:12]}"
                yield Fault("TAG_ALTERED", place, found, _REPAIR if tag == "model_digest" else "find out who wrote it")
        actual = _digest_in_registry(tracking_uri, entry.production_model, entry.version)
        if actual != entry.model_digest:
            found = f"its bytes have digest {actual[:12] or 'none'}, {entry.model_digest[:12]} was judged"
            yield Fault("MODEL_ALTERED", place, found, "restore the files from a backup, or `plumbline rollback`")
        for code, found in _evidence(tracking_uri, version.run_id, entry.verdict, version.tags.get(TAG + "evidence")):
            yield Fault(code, f"{place}, run {version.run_id}", found, "restore the run's artefacts from a backup")


def _evidence(tracking_uri: str, run_id: str, *judged: str | None) -> Iterator[tuple[str, str]]:
    """What is wrong with the sealed files that lie beside a served model: edited, or not those that were ``judged``."""
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as scratch:
        sealed = {}
        with suppress(MlflowException, OSError):
            folder = download(tracking_uri, f"runs:/{run_id}/evidence", Path(scratch))
            sealed = {path: path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.json"))}
        found = set()
        for path, name in sealed.items():
            try:
                found.add(verified_seal(path))
            except EvidenceRejected as error:
                yield "EVIDENCE_ALTERED", f"evidence/{name}: {error.found}"
        for digest in dict.fromkeys(d for d in judged if d):
            if digest not in found:
                yield "EVIDENCE_MISSING", f"no whole file with the digest {digest[:12]} that was judged"


def _standing(client: "MlflowClient", seat: ChampionRecord, entries: tuple[HistoryEntry, ...]) -> Iterator[Fault]:
    """ChampionRecord, alias and the history's last champion, against each other."""
    model, holder = seat.production_model, seat.serving()
    last, shown = last_champion(entries, model), version_of_alias(client, model, CHAMPION_ALIAS)
    before = version_of_alias(client, model, PREVIOUS_ALIAS)
    if holder is None:
        if last is not None or shown is not None:
            yield Fault("CHAMPION_RECORD_EMPTY", "plumbline_champions", "no row, though a model serves", _REPAIR)
        return
    sits = f"version {holder.version} (model {holder.digest[:12]})"
    if last is None or (last.version, last.model_digest) != (holder.version, holder.digest):
        told = f"version {last.version}" if last else "nothing"
        yield Fault("HISTORY_BEHIND", _LAST, f"the history says {told}, {sits} sits", _REPAIR)
    elif holder.entry and last.event in ("promoted", "rolled_back") and holder.entry not in {e.digest for e in entries}:
        yield Fault("HISTORY_CUT", _LAST, f"{sits} was announced in an entry that is not there", "find the file")
    if shown is None or str(shown.version) != holder.version:
        at = f"at version {shown.version}" if shown else "gone"
        yield Fault("ALIAS_DISAGREES", f"alias {CHAMPION_ALIAS}", f"it is {at}, {sits} sits", _REPAIR)
    if (str(before.version) if before else "") != holder.previous:
        at = f"at version {before.version}" if before else "gone"
        wanted = f"version {holder.previous}" if holder.previous else "none"
        yield Fault("ALIAS_DISAGREES", f"alias {PREVIOUS_ALIAS}", f"it is {at}, {wanted} served before", _REPAIR)

"""The audit: a search for all disagreements between history, champion record, registry and alias.

Contract: ``audit`` changes nothing and reports all disagreements.
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
from validation.evaluation.sealing import open_sealed
from validation.promotion.champion import (
    CHAMPION_ALIAS,
    PREVIOUS_ALIAS,
    TAG,
    download,
    open_registry,
    version_numbered,
    version_of_alias,
)
from validation.promotion.champion_record import ChampionRecord, open_champion_record
from validation.promotion.history import (
    CLOCK_TOLERANCE,
    SERVING_EVENTS,
    HistoryEntry,
    interrupted_change,
    last_champion,
    read_history,
)
from validation.promotion.history_length import REMEDY, HistoryLength, known_lengths, length_faults, place_of
from validation.promotion.registry_errors import errors_as_refusals

if TYPE_CHECKING:
    from mlflow import MlflowClient

_REPAIR = "`plumbline history --repair`"
_AFTER_THE_CUT = "first correct the missing history (HISTORY_CUT), then run `plumbline history --repair`"
_LAST = "last entry"


@dataclass(frozen=True)
class Fault:
    """One disagreement.

    Attributes:
        code: a stable code.
        place: the entry, version or alias with the fault.
        found: a description of the fault.
        remedy: the way to correct the fault.
    """

    code: str
    place: str
    found: str
    remedy: str


def audit(tracking_uri: str, production_model: str, ledger_path: Path) -> tuple[Fault, ...]:
    """All disagreements between history, champion record, registry and alias."""
    try:
        entries = read_history(ledger_path)
    except EvidenceRejected as error:
        return (Fault(error.code, str(ledger_path.name), error.found, error.remedy),)
    with errors_as_refusals():
        client, record = open_registry(tracking_uri), open_champion_record(tracking_uri, production_model)
        mine = [e for e in entries if e.production_model == production_model]
        cut = [*_cut(record, entries, ledger_path)]
        faults = [*cut, *_interrupted(entries, production_model), *_clock(entries), *_approvals(mine)]
        faults += _versions(client, tracking_uri, mine)
        faults += _champion(client, record, entries)
    return tuple(_beside_a_cut(faults) if cut else faults)


def other_histories(tracking_uri: str, production_model: str, ledger_path: Path) -> tuple[HistoryLength, ...]:
    """The stored lengths of this registered model's other histories.

    A length with the same first entry belongs to this history, which was in another place before a move or a restore.
    ``audit`` compares such a length with the file.
    """
    with errors_as_refusals():
        place, entries = place_of(ledger_path), read_history(ledger_path)
        first = entries[0].digest if entries else ""
        lengths = known_lengths(open_champion_record(tracking_uri, production_model))
        return tuple(length for length in lengths if length.place != place and length.first != first)


def digest_in_registry(tracking_uri: str, model: str, version: str) -> str:
    """The digest of a version's files in the registry; "" if the files are not a complete model."""
    from mlflow.exceptions import MlflowException

    try:
        with tempfile.TemporaryDirectory() as scratch:
            return model_digest(find_model_folder(download(tracking_uri, f"models:/{model}/{version}", Path(scratch))))
    except (MlflowException, OSError, PlumblineError):
        return ""


def _beside_a_cut(faults: Sequence[Fault]) -> Iterator[Fault]:
    """The faults of an audit that found a cut history, without the faults that follow from the cut.

    The repair refuses a cut history. Therefore the remedy of each other fault says to correct the cut first.
    """
    for fault in faults:
        if (fault.code, fault.place) not in (("HISTORY_BEHIND", _LAST), ("HISTORY_CUT", _LAST)):
            yield replace(fault, remedy=_AFTER_THE_CUT) if fault.remedy == _REPAIR else fault


def _cut(record: ChampionRecord, entries: tuple[HistoryEntry, ...], ledger: Path) -> Iterator[Fault]:
    for length, fault in length_faults(known_lengths(record), entries, place_of(ledger)):
        yield Fault("HISTORY_CUT", length.place, fault, REMEDY)


def _interrupted(entries: tuple[HistoryEntry, ...], production_model: str) -> Iterator[Fault]:
    begun = interrupted_change(entries, production_model)
    if begun is not None:
        found = f"the change that was announced ({begun.event}, version {begun.version}) has no outcome"
        yield Fault("CHANGE_INTERRUPTED", f"entry {begun.sequence}", found, _REPAIR)


def _clock(entries: Sequence[HistoryEntry]) -> Iterator[Fault]:
    for before, entry in pairwise(entries):
        back = datetime.fromisoformat(entry.at) < datetime.fromisoformat(before.at) - CLOCK_TOLERANCE
        if back and entry.event != "clock_set":
            found = f"the time {entry.at} comes after the later time {before.at}"
            yield Fault("CLOCK_WENT_BACK", f"entry {entry.sequence}", found, "find out why the clock was wrong")


def _approvals(entries: Sequence[HistoryEntry]) -> Iterator[Fault]:
    granted: set[str | None] = set()
    used: set[str | None] = set()
    for entry in entries:
        if entry.event == "approved":
            granted.add(entry.approval)
        if entry.event == "promoted" and entry.approval is not None:
            if entry.approval not in granted or entry.approval in used:
                fault = "used twice" if entry.approval in used else "never granted"
                found = f"approval {entry.approval[:12]} was {fault}"
                yield Fault("APPROVAL_UNKNOWN", f"entry {entry.sequence}", found, "find out who promoted")
            used.add(entry.approval)


def _versions(client: "MlflowClient", tracking_uri: str, entries: Sequence[HistoryEntry]) -> Iterator[Fault]:
    """The faults of the versions that were in service. Each version must still have its tags and the judged files."""
    for entry in {e.version: e for e in entries if e.event in SERVING_EVENTS}.values():
        place = f"entry {entry.sequence}, version {entry.version}"
        version = version_numbered(client, entry.production_model, entry.version)
        if version is None:
            found = "the registry does not have this version"
            yield Fault("VERSION_GONE", place, found, "restore the registry from a backup")
            continue
        for tag, wanted in (("model_digest", entry.model_digest), ("verdict", entry.verdict)):
            tagged = version.tags.get(TAG + tag)
            if wanted is not None and tagged != wanted:
                found = f"tag {tag} is {str(tagged)[:12]}; in the history it is {wanted[:12]}"
                yield Fault("TAG_ALTERED", place, found, _REPAIR if tag == "model_digest" else "find out who wrote it")
        actual = digest_in_registry(tracking_uri, entry.production_model, entry.version)
        if actual != entry.model_digest:
            found = f"the files have digest {actual[:12] or 'none'}; the judged files had {entry.model_digest[:12]}"
            yield Fault("MODEL_ALTERED", place, found, "restore the files from a backup, or run `plumbline rollback`")
        for code, found in _evidence(tracking_uri, version.run_id, entry.verdict, version.tags.get(TAG + "evidence")):
            yield Fault(code, f"{place}, run {version.run_id}", found, "restore the run's artefacts from a backup")


def _evidence(tracking_uri: str, run_id: str, *judged: str | None) -> Iterator[tuple[str, str]]:
    """(code, fault) for each edited evidence file of a model, and for each digest in ``judged`` without a file."""
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as scratch:
        sealed = {}
        with suppress(MlflowException, OSError, GateRefused):
            folder = download(tracking_uri, f"runs:/{run_id}/evidence", Path(scratch))
            sealed = {path: path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.json"))}
        found = set()
        for path, name in sealed.items():
            try:
                found.add(open_sealed(None, path).digest)
            except EvidenceRejected as error:
                yield "EVIDENCE_ALTERED", f"evidence/{name}: {error.found}"
        for digest in dict.fromkeys(d for d in judged if d):
            if digest not in found:
                yield "EVIDENCE_MISSING", f"no unaltered file has the judged digest {digest[:12]}"


def _champion(client: "MlflowClient", record: ChampionRecord, entries: tuple[HistoryEntry, ...]) -> Iterator[Fault]:
    """The disagreements between champion record, aliases and the last champion in the history."""
    model, serving = record.production_model, record.serving()
    last, shown = last_champion(entries, model), version_of_alias(client, model, CHAMPION_ALIAS)
    before = version_of_alias(client, model, PREVIOUS_ALIAS)
    if serving is None:
        if last is not None or shown is not None:
            found = "the table has no row, although a model is in service"
            yield Fault("CHAMPION_RECORD_EMPTY", "plumbline_champions", found, _REPAIR)
        return
    serves = f"version {serving.version} ({serving.digest[:12]}) is in service"
    if last is None or (last.version, last.model_digest) != (serving.version, serving.digest):
        listed = f"version {last.version}" if last else "no version"
        yield Fault("HISTORY_BEHIND", _LAST, f"the history lists {listed} as champion; {serves}", _REPAIR)
    elif (
        serving.entry and last.event in ("promoted", "rolled_back") and serving.entry not in {e.digest for e in entries}
    ):
        found = f"{serves}; the entry that announced this change is missing"
        yield Fault("HISTORY_CUT", _LAST, found, "find the complete file")
    if shown is None or str(shown.version) != serving.version:
        at = f"at version {shown.version}" if shown else "missing"
        yield Fault("ALIAS_DISAGREES", f"alias {CHAMPION_ALIAS}", f"the alias is {at}; {serves}", _REPAIR)
    if (str(before.version) if before else "") != serving.previous:
        at = f"at version {before.version}" if before else "missing"
        wanted = f"version {serving.previous}" if serving.previous else "no version"
        found = f"the alias is {at}; the previous champion is {wanted}"
        yield Fault("ALIAS_DISAGREES", f"alias {PREVIOUS_ALIAS}", found, _REPAIR)

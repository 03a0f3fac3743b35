"""The verification: all differences between the table, its copy, the registry and the files in service.

Contract: ``verify`` changes nothing. The faults are in the order of their causes: first the table, with the number of
the first broken event, then the copy, the versions and the aliases.
"""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spine.errors import EvidenceRejected, GateRefused, PlumblineError
from validation.evaluation.sealing import open_sealed
from validation.promotion.events import Event, State, state_of
from validation.promotion.history import CLOCK_TOLERANCE, History, first_difference, read_copy
from validation.promotion.sync import CHAMPION_ALIAS, PREVIOUS_ALIAS
from validation.registry.client import TAG, aliases_of, download, fetch_version, open_registry, versions_of
from validation.registry.database import database_exists
from validation.registry.errors import errors_as_refusals

if TYPE_CHECKING:
    from mlflow import MlflowClient

_NEXT = "the next command corrects this, e.g. `plumbline champion`"
_RESTORE_FILES = "restore the registry from a backup; if this is the champion, `plumbline rollback` replaces it"


@dataclass(frozen=True)
class Fault:
    """One difference.

    Attributes:
        code: a stable code.
        place: the event, version or alias with the fault.
        found: a description of the fault.
        remedy: the way to correct the fault.
    """

    code: str
    place: str
    found: str
    remedy: str


def verify(history: History) -> tuple[Fault, ...]:
    """All differences.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE.
    """
    with errors_as_refusals():
        events = history.events()
        try:
            state = state_of(events)
        except EvidenceRejected as error:
            return (
                Fault(error.code, error.found.partition(":")[0], error.found, error.remedy),
                *_copy(history, events),
            )
        faults = [*_copy(history, events), *_clock(events)]
        if not database_exists(history.tracking_uri):
            return tuple(faults)
        client = open_registry(history.tracking_uri)
        versions = {str(v.version): v for v in versions_of(client, history.model)}
        for event in state.put_into_service.values():
            faults += _version(history, event, versions.get(event.version))
        return (*faults, *_aliases(client, history, state))


def _copy(history: History, events: tuple[Event, ...]) -> Iterator[Fault]:
    known = read_copy(history.copy)
    first, place = first_difference(events, known), history.copy.name
    if first is not None:
        try:
            history.state()
        except PlumblineError as error:
            yield Fault(error.code, f"event {first}", error.found, error.remedy)
    elif len(known) < len(events):
        yield Fault("COPY_BEHIND", f"event {len(known)}", f"{place} ends before event {len(known)}", _NEXT)


def _clock(events: tuple[Event, ...]) -> Iterator[Fault]:
    for before, event in pairwise(events):
        back = datetime.fromisoformat(event.at) < datetime.fromisoformat(before.at) - CLOCK_TOLERANCE
        if back and event.kind != "restored":
            found = f"the time {event.at} comes after the later time {before.at}"
            yield Fault("CLOCK_WENT_BACK", f"event {event.sequence}", found, "find out why the clock was wrong")


def _version(history: History, event: Event, version: Any | None) -> Iterator[Fault]:
    """The faults of a version that was in service. It must still have its tags, the judged files and the evidence."""
    place = f"event {event.sequence}, version {event.version}"
    if version is None:
        yield Fault("VERSION_GONE", place, "the registry does not have this version", _RESTORE_FILES)
        return
    for tag, wanted in (("model_digest", event.digest), ("verdict", event.verdict)):
        tagged = version.tags.get(TAG + tag, "none")
        if tagged != wanted:
            found = f"tag {tag} is {tagged[:12]}; in the history it is {wanted[:12]}"
            yield Fault("TAG_ALTERED", place, found, "find out who wrote it")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            into = Path(scratch) / "model"
            fetch_version(history.tracking_uri, history.model, event.version, event.digest, into=into)
    except (PlumblineError, OSError) as error:
        found = error.found if isinstance(error, PlumblineError) else f"no files: {error}"
        yield Fault("MODEL_ALTERED", place, f"{found}; the judged files had {event.digest[:12]}", _RESTORE_FILES)
    judged = (event.verdict, version.tags.get(TAG + "evidence"))
    for code, found in _evidence(history.tracking_uri, version.run_id, *judged):
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


def _aliases(client: "MlflowClient", history: History, state: State) -> Iterator[Fault]:
    shown = aliases_of(client, history.model)
    for alias, event in ((CHAMPION_ALIAS, state.champion), (PREVIOUS_ALIAS, state.previous)):
        wanted = event.version if event else None
        if shown.get(alias) != wanted:
            at = f"at version {shown[alias]}" if alias in shown else "missing"
            found = f"the alias is {at}; in the history it is {f'version {wanted}' if wanted else 'no version'}"
            yield Fault("ALIAS_DISAGREES", f"alias {alias}", found, _NEXT)

"""The rollback: it returns to the last good model in one change, and records the reason.

Contract: the target was in service before, is neither denied nor refused, still has the promoted files, and passes the
smoke test. The same transaction denies the present champion. The former champions are read from the history and from
the registry, so a rollback works if either the history or the registry has lost them. It also works without the alias.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from spine.errors import GateRefused, PlumblineError
from spine.model_digest import find_model_folder, model_digest
from validation.gates.policy import VirtualStudyLimits
from validation.promotion.champion import (
    SERVED_STATES,
    TAG,
    Champion,
    download,
    model_altered,
    version_numbered,
    versions_of,
)
from validation.promotion.champion_change import change_champion, open_for_change, sync
from validation.promotion.champion_record import ChampionRecord, Denial, ServingVersion
from validation.promotion.history import SERVING_EVENTS, HistoryEntry, last_champion, read_history
from validation.promotion.refusals import standing_refusals
from validation.promotion.smoke_test import MeasureVirtualStudy, require_smoke_test, smoke_test_absent

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class RollbackRequest:
    """The input of ``rollback``.

    Attributes:
        tracking_uri: the address of the registry.
        ledger_path: the file of the history.
        reason: the reason why the present model must not stay in service.
        promoter: the person or program that decides.
        measure_virtual_study: the function that runs a model for the smoke test. A request with None is refused.
        limits: the limits of the smoke test, which the target must pass.
        to: the version to return to; None means the last good version.
    """

    tracking_uri: str
    production_model: str
    ledger_path: Path
    reason: str
    promoter: str
    at: datetime
    measure_virtual_study: MeasureVirtualStudy | None
    limits: VirtualStudyLimits
    to: str | None = None


@dataclass(frozen=True)
class Rollback:
    """A completed rollback.

    Attributes:
        champion: the model that is back in service.
        left: digest of the previous champion, which is denied now.
        passed_over: a text for each newer version that was not chosen, with the reason.
        history_entry: digest of the last entry of the history.
    """

    champion: Champion
    left: str
    passed_over: tuple[str, ...]
    history_entry: str


@dataclass(frozen=True)
class FormerChampion:
    """A version that was in service before."""

    version: str
    digest: str


def rollback(request: RollbackRequest) -> Rollback:
    """Return to the version ``request.to`` or to the last good version, or refuse.

    Raises:
        GateRefused: NO_REASON, NO_CHAMPION, ROLLBACK_UNKNOWN (the target was never in service), ROLLBACK_REFUSED (the
            target is denied, refused, altered or missing, or fails the smoke test), NO_GOOD_MODEL, SMOKE_TEST_ABSENT,
            STALE_CHAMPION, REGISTRY_UNAVAILABLE, HISTORY_* (broken, cut), CLOCK_WENT_BACK. All these codes mean that
            nothing changed. After CHANGE_UNFINISHED `plumbline history --repair` completes the change.
    """
    _require_complete(request)
    model, ledger, reason = request.production_model, request.ledger_path, request.reason.strip()
    with open_for_change(request.tracking_uri, model, ledger, request.at) as (client, record):
        serving = _require_serving(client, record, request)
        before = former_champions(client, read_history(ledger), serving, model)
        target, passed_over = _choose(record, request, before)
        denied = record.denials()
        older = before[before.index(target) + 1 :]
        previous = next((s.version for s in older if s.digest not in denied), "")
        deny = Denial(serving.digest, reason, request.promoter, request.at.isoformat())
        entry = _announcement(client, request, target, serving)
        champion, done = change_champion(client, record, ledger, entry, serving, previous=previous, deny=deny)
    return Rollback(champion, serving.digest, passed_over, done.digest)


def former_champions(
    client: "MlflowClient", entries: Sequence[HistoryEntry], serving: ServingVersion, production_model: str
) -> list[FormerChampion]:
    """The models that were in service before ``serving``. Each model is listed once, and the latest model is first.

    The models in the history are followed by the models that only the registry has.
    """
    written = [e for e in reversed(entries) if e.production_model == production_model and e.event in SERVING_EVENTS]
    found = [FormerChampion(e.version, e.model_digest) for e in written]
    known = [v for v in versions_of(client, production_model) if v.tags.get(TAG + "state") in SERVED_STATES]
    known.sort(key=lambda v: int(v.version), reverse=True)
    found += [FormerChampion(str(v.version), v.tags.get(TAG + "model_digest", "")) for v in known]
    first: dict[str, FormerChampion] = {}
    for former in found:
        if former.digest != serving.digest:
            first.setdefault(former.digest, former)
    return list(first.values())


def _require_complete(request: RollbackRequest) -> None:
    if not request.reason.strip():
        raise GateRefused(
            "NO_REASON",
            found="a rollback without a reason",
            expected="the reason why the present model must not stay in service",
            remedy="add --reason",
        )
    if request.measure_virtual_study is None:
        raise smoke_test_absent()


def _require_serving(client: "MlflowClient", record: ChampionRecord, request: RollbackRequest) -> ServingVersion:
    """The version in service. An empty champion record is first filled from the alias, or else from the history."""
    try:
        serving = sync(client, record, request.ledger_path, request.at)
    except GateRefused as refusal:
        if refusal.code not in ("VERSION_GONE", "CHAMPION_UNKNOWN"):
            raise
        serving = record.serving()
    last = last_champion(read_history(request.ledger_path), request.production_model)
    if serving is None and last is not None:
        serving = record.change(None, ServingVersion(last.version, last.model_digest))
    if serving is None:
        raise GateRefused(
            "NO_CHAMPION",
            found="no model is in service",
            expected="a champion that the rollback can replace",
            remedy="promote a model",
        )
    return serving


def _choose(
    record: ChampionRecord, request: RollbackRequest, before: list[FormerChampion]
) -> tuple[FormerChampion, tuple[str, ...]]:
    """The target, and for each newer version the reason why it was not chosen."""
    if request.to is None:
        chosen, faults = _next_good(record, request, before)
        if chosen is None:
            raise GateRefused(
                "NO_GOOD_MODEL",
                found="; ".join(faults) or "no model was in service before the present model",
                expected="an earlier model that works and is neither denied nor refused",
                remedy="promote a better model",
            )
        return chosen, faults
    target = next((s for s in before if s.version == request.to), None)
    if target is None:
        raise GateRefused(
            "ROLLBACK_UNKNOWN",
            found=f"version {request.to} was never in service",
            expected=f"a version that was in service before: {', '.join(s.version for s in before) or 'there is none'}",
            remedy="choose one of the versions listed above, or omit --to",
        )
    fault = _fault_of(record, request, target)
    if fault is not None:
        other, _ = _next_good(record, request, [s for s in before if s is not target])
        offer = (
            f"use --to {other.version}, the next version that works and is neither denied nor refused"
            if other
            else "promote another model; every earlier version is denied or refused, or does not work"
        )
        raise GateRefused(
            "ROLLBACK_REFUSED",
            found=fault,
            expected="a model that passes the smoke test and is neither denied nor refused",
            remedy=offer,
        )
    return target, ()


def _next_good(
    record: ChampionRecord, request: RollbackRequest, candidates: list[FormerChampion]
) -> tuple[FormerChampion | None, tuple[str, ...]]:
    faults: list[str] = []
    for former in candidates:
        fault = _fault_of(record, request, former)
        if fault is None:
            return former, tuple(faults)
        faults.append(fault)
    return None, tuple(faults)


def _fault_of(record: ChampionRecord, request: RollbackRequest, target: FormerChampion) -> str | None:
    """The reason why this version must not go back into service; None if it may."""
    denial = record.denials().get(target.digest)
    if denial is not None:
        return f"version {target.version} was denied on {denial.at[:10]} by {denial.by}: {denial.reason}"
    refusals = standing_refusals(read_history(request.ledger_path))
    refusal = next((r for r in refusals if r.model == target.digest), None)
    if refusal is not None:
        return f"version {target.version} was refused on {refusal.at[:10]} by {refusal.by}: {refusal.comment}"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            address = f"models:/{request.production_model}/{target.version}"
            folder = find_model_folder(download(request.tracking_uri, address, Path(scratch)))
            actual = model_digest(folder)
            if actual != target.digest:
                raise model_altered(actual, target.digest, "the registry")
            require_smoke_test(request.measure_virtual_study, folder, target.digest, request.limits)
    except Exception as error:  # Whatever the error of this version is, the next version is tried.
        why = f"{error.code}: {error.found}" if isinstance(error, PlumblineError) else str(error)
        return f"version {target.version}: {' '.join(why.split())[:300]}"
    return None


def _announcement(
    client: "MlflowClient", request: RollbackRequest, target: FormerChampion, serving: ServingVersion
) -> HistoryEntry:
    version = version_numbered(client, request.production_model, target.version)
    return HistoryEntry(
        event="rollback_intended",
        at=request.at.isoformat(),
        promoter=request.promoter,
        production_model=request.production_model,
        version=target.version,
        model_digest=target.digest,
        previous_digest=serving.digest,
        verdict=version.tags.get(TAG + "verdict") if version is not None else None,
        reason=request.reason.strip(),
    )

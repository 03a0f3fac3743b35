"""Rollback: back to the last good model, in one move, with a reason that stays.

Contract: a target must have served, must not be denied, must still have the bytes it was promoted with and must answer
the bundled study; the model that is left goes on the deny-list in the same transaction. Who served is read from the
history and from the registry's versions, so one of them may be lost, and so may the alias.
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
    altered,
    download,
    open_registry,
    version_numbered,
    versions_of,
)
from validation.promotion.champion_change import move, settle
from validation.promotion.champion_record import Denial, ServingVersion, ChampionRecord, open_champion_record
from validation.promotion.history import SERVING_EVENTS, HistoryEntry, last_champion, read_history, require_time_goes_on
from validation.promotion.history_length import open_for_append
from validation.promotion.promote import refusing
from validation.promotion.refusals import standing_refusals
from validation.promotion.smoke_test import MeasureVirtualStudy, require_smoke_test

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Order:
    """What is asked for.

    Attributes:
        tracking_uri, production_model: where; ledger_path: the history.
        reason: why the present model must go; promoter: who says so; at: when.
        measure_virtual_study, limits: the smoke test a target must pass.
        to: version to return to; None: the last good one.
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
    """A rollback that happened.

    Attributes:
        champion: the model that serves again; left: digest of the one that went.
        passed_over: newer ones that were not good, each with the reason.
        history_entry: digest of the last entry of the history.
    """

    champion: Champion
    left: str
    passed_over: tuple[str, ...]
    history_entry: str


@dataclass(frozen=True)
class Served:
    """A version that served once."""

    version: str
    digest: str


def rollback(order: Order) -> Rollback:
    """Return to ``order.to`` or the last good model, or refuse.

    Raises:
        GateRefused: NO_REASON, NO_CHAMPION, ROLLBACK_UNKNOWN (the target never served), ROLLBACK_REFUSED (it is denied,
            altered, gone or fails the smoke test; the next good one is named), NO_GOOD_MODEL, SMOKE_TEST_ABSENT,
            STALE_CHAMPION, REGISTRY_UNAVAILABLE, HISTORY_* (broken, cut), CLOCK_WENT_BACK: nothing moved;
            CHANGE_UNFINISHED.
    """
    _require_order(order)
    with errors_as_refusals():
        client, seat = open_registry(order.tracking_uri), open_champion_record(order.tracking_uri, order.production_model)
    with errors_as_refusals(), open_for_append(seat, order.ledger_path):
        require_time_goes_on(read_history(order.ledger_path), order.at)
        holder = _leaving(client, seat, order)
        before = served_before(client, read_history(order.ledger_path), holder, order.production_model)
        chosen, passed_over = _choose(client, seat, order, before)
        older = before[before.index(chosen) + 1 :]
        denied = seat.denials()
        previous = next((s.version for s in older if s.digest not in denied), "")
        deny = Denial(holder.digest, order.reason.strip(), order.promoter, order.at.isoformat())
        entry = _intention(client, order, chosen, holder)
        champion, done = move(client, seat, order.ledger_path, entry, holder, previous=previous, deny=deny)
    return Rollback(champion, holder.digest, passed_over, done.digest)


def served_before(
    client: "MlflowClient", entries: Sequence[HistoryEntry], holder: ServingVersion, production_model: str
) -> list[Served]:
    """Versions that served before ``holder``, last one first, each model once; by the history, then by the registry."""
    of_history = [e for e in reversed(entries) if e.production_model == production_model and e.event in SERVING_EVENTS]
    told = [Served(e.version, e.model_digest) for e in of_history]
    known = [v for v in versions_of(client, production_model) if v.tags.get(TAG + "state") in SERVED_STATES]
    known.sort(key=lambda v: int(v.version), reverse=True)
    told += [Served(str(v.version), v.tags.get(TAG + "model_digest", "")) for v in known]
    found: dict[str, Served] = {}
    for served in told:
        if served.digest != holder.digest:
            found.setdefault(served.digest, served)
    return list(found.values())


def _require_order(order: Order) -> None:
    if not order.reason.strip():
        raise _refused("NO_REASON", "a rollback without a reason", "why the present model must not serve", "say why")
    if order.measure_virtual_study is None:
        remedy = "roll back with `plumbline rollback`, which hands one in"
        raise _refused("SMOKE_TEST_ABSENT", "no way to ask a model", "a target that was asked before it serves", remedy)


def _leaving(client: "MlflowClient", seat: ChampionRecord, order: Order) -> ServingVersion:
    """Who sits; where neither seat nor alias knows, the last champion of the history is seated first."""
    try:
        holder = settle(client, seat, order.ledger_path, order.at)
    except GateRefused as refusal:
        if refusal.code not in ("VERSION_GONE", "CHAMPION_UNKNOWN"):
            raise
        holder = seat.serving()
    last = last_champion(read_history(order.ledger_path), order.production_model)
    if holder is None and last is not None:
        holder = seat.change(None, ServingVersion(last.version, last.model_digest))
    if holder is None:
        raise _refused("NO_CHAMPION", "no model that serves", "one to return from", "promote a model")
    return holder


def _choose(client: "MlflowClient", seat: ChampionRecord, order: Order, before: list[Served]) -> tuple[Served, tuple[str, ...]]:
    if order.to is None:
        chosen, faults = _next_good(seat, order, before)
        if chosen is None:
            found = "; ".join(faults) or "no model that served before the present one"
            raise _refused("NO_GOOD_MODEL", found, "an earlier model that still works", "promote a better model")
        return chosen, faults
    target = next((s for s in before if s.version == order.to), None)
    if target is None:
        expected = f"one that served before: {', '.join(s.version for s in before) or 'there is none'}"
        raise _refused("ROLLBACK_UNKNOWN", f"version {order.to}", expected, "name one of them, or leave --to out")
    fault = _fault_of(seat, order, target)
    if fault is not None:
        other, _ = _next_good(seat, order, [s for s in before if s is not target])
        offer = f"the next good one is version {other.version}: --to {other.version}" if other else "no other is good"
        raise _refused("ROLLBACK_REFUSED", fault, "a model that may serve and works", offer)
    return target, ()


def _next_good(seat: ChampionRecord, order: Order, candidates: list[Served]) -> tuple[Served | None, tuple[str, ...]]:
    faults: list[str] = []
    for served in candidates:
        fault = _fault_of(seat, order, served)
        if fault is None:
            return served, tuple(faults)
        faults.append(fault)
    return None, tuple(faults)


def _fault_of(seat: ChampionRecord, order: Order, target: Served) -> str | None:
    """Why this version may not serve again, None where it may."""
    denial = seat.denials().get(target.digest)
    if denial is not None:
        return f"version {target.version} is denied since {denial.at[:10]} by {denial.by}: {denial.reason}"
    said = next((r for r in standing_refusals(read_history(order.ledger_path)) if r.model == target.digest), None)
    if said is not None:
        return f"version {target.version} was refused on {said.at[:10]} by {said.by}: {said.comment}"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            address = f"models:/{order.production_model}/{target.version}"
            folder = find_model_folder(download(order.tracking_uri, address, Path(scratch)))
            actual = model_digest(folder)
            if actual != target.digest:
                raise altered(actual, target.digest, "the registry")
            require_smoke_test(order.measure_virtual_study, folder, target.digest, order.limits)
    except Exception as error:  # whatever is wrong with one version, another one may still be good
        told = f"{error.code}: {error.found}" if isinstance(error, PlumblineError) else str(error)
        return f"version {target.version}: {' '.join(told.split())[:300]}"
    return None


def _intention(client: "MlflowClient", order: Order, chosen: Served, holder: ServingVersion) -> HistoryEntry:
    version = version_numbered(client, order.production_model, chosen.version)
    tags = version.tags if version is not None else {}
    return HistoryEntry(
        "rollback_intended",
        order.at.isoformat(),
        order.promoter,
        order.production_model,
        chosen.version,
        chosen.digest,
        holder.digest,
        tags.get(TAG + "verdict"),
        reason=order.reason.strip(),
    )


def _refused(code: str, found: str, expected: str, remedy: str) -> GateRefused:
    return GateRefused(code, found=found, expected=expected, remedy=remedy)

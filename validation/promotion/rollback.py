"""The rollback: it returns to the last good model in one event, and records the reason.

Contract: the target was in service before, is neither denied nor rejected, still has the promoted files, and passes the
smoke test. The event denies the model that it replaces. A rollback needs neither the aliases nor the champion's files.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from spine.errors import GateRefused, PlumblineError
from validation.gates.policy import VirtualStudyLimits
from validation.promotion.decisions import require_champion, require_not_barred, rolled_back
from validation.promotion.events import Event
from validation.promotion.smoke_test import MeasureVirtualStudy, require_smoke_test, smoke_test_absent
from validation.promotion.sync import Change
from validation.registry.client import fetch_version


@dataclass(frozen=True)
class RollbackRequest:
    """The input of ``rollback``.

    Attributes:
        reason: the reason why the present model must not stay in service.
        promoter: the person or program that decides.
        measure_virtual_study: the function that runs a model for the smoke test. A request with None is refused.
        limits: the limits of the smoke test, which the target must pass.
        to: the version to return to; None means the last good version.
        champion: the champion when the person decided; None for the present champion.
    """

    reason: str
    promoter: str
    at: datetime
    measure_virtual_study: MeasureVirtualStudy | None
    limits: VirtualStudyLimits
    to: str | None = None
    champion: Event | None = None


@dataclass(frozen=True)
class Rollback:
    """A completed rollback: its event, and a text for each newer version that was not chosen, with the reason."""

    event: Event
    passed_over: tuple[str, ...]


def rollback(change: Change, request: RollbackRequest) -> Rollback:
    """Return to the version ``request.to`` or to the last good version, or refuse.

    Raises:
        GateRefused: NO_REASON, NO_CHAMPION, ROLLBACK_UNKNOWN (the target was never in service), ROLLBACK_REFUSED (the
            target is denied, rejected, altered or missing, or fails the smoke test), NO_GOOD_MODEL, SMOKE_TEST_ABSENT,
            STALE_CHAMPION, CLOCK_WENT_BACK, REGISTRY_UNAVAILABLE. All these codes mean that nothing changed.
    """
    if not request.reason.strip():
        expected = "the reason why the present model must not stay in service"
        raise GateRefused("NO_REASON", "a rollback without a reason", expected, "add --reason")
    if request.measure_virtual_study is None:
        raise smoke_test_absent()
    champion = change.state.champion
    if champion is None:
        raise GateRefused(
            "NO_CHAMPION",
            found="no model is in service",
            expected="a champion that the rollback can replace",
            remedy="promote a model",
        )
    left = request.champion or champion
    require_champion(change.state, left)
    target, passed_over = _choose(change, request)
    decide = partial(
        rolled_back, target=target, champion=left, reason=request.reason, actor=request.promoter, at=request.at
    )
    return Rollback(change.history.append(decide), passed_over)


def _choose(change: Change, request: RollbackRequest) -> tuple[Event, tuple[str, ...]]:
    """The target, and for each newer version the reason why it was not chosen."""
    earlier = change.state.served[1:]
    if request.to is None:
        chosen, faults = _next_good(change, request, earlier)
        if chosen is None:
            raise GateRefused(
                "NO_GOOD_MODEL",
                found="; ".join(faults) or "no model was in service before the present model",
                expected="an earlier model that works and is neither denied nor rejected",
                remedy="promote a better model; a denied or rejected one can be permitted again: `plumbline reinstate`",
            )
        return chosen, faults
    target = next((e for e in earlier if e.version == request.to), None)
    if target is None:
        raise GateRefused(
            "ROLLBACK_UNKNOWN",
            found=f"version {request.to} was never in service",
            expected=f"a version that was in service: {', '.join(e.version for e in earlier) or 'there is none'}",
            remedy="choose one of the versions listed above, or omit --to",
        )
    fault = _fault_of(change, request, target)
    if fault is not None:
        other, _ = _next_good(change, request, [e for e in earlier if e is not target])
        offer = (
            f"use --to {other.version}, the next version that works and is neither denied nor rejected"
            if other
            else "promote another model; every earlier version is denied or rejected, or does not work"
        )
        expected = "a model that passes the smoke test and is neither denied nor rejected"
        raise GateRefused("ROLLBACK_REFUSED", fault, expected, offer)
    return target, ()


def _next_good(
    change: Change, request: RollbackRequest, candidates: Sequence[Event]
) -> tuple[Event | None, tuple[str, ...]]:
    faults: list[str] = []
    for event in candidates:
        fault = _fault_of(change, request, event)
        if fault is None:
            return event, tuple(faults)
        faults.append(fault)
    return None, tuple(faults)


def _fault_of(change: Change, request: RollbackRequest, target: Event) -> str | None:
    """The reason why this version must not go back into service; None if it may."""
    try:
        require_not_barred(change.state, target.digest)
        with tempfile.TemporaryDirectory() as scratch:
            folder, history = Path(scratch) / "model", change.history
            fetch_version(history.tracking_uri, history.model, target.version, target.digest, into=folder)
            require_smoke_test(request.measure_virtual_study, folder, target.digest, request.limits)
    except Exception as error:  # Whatever the error of this version is, the next version is tried.
        why = f"{error.code}: {error.found}" if isinstance(error, PlumblineError) else str(error)
        return f"version {target.version}: {' '.join(why.split())[:300]}"
    return None

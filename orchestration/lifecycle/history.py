"""The changes of a workspace's history by people: approval, rejection, reinstatement, rollback, restoration.

Contract: a verdict is named by its file or by the beginning of its digest, so that a person decides on the verdict that
they read. The author of a candidate is read from the registry.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from orchestration.lifecycle.changes import changing_history, require_no_local_rollback
from orchestration.lifecycle.local_champion import fault_of_local_copy, local_champion, previous_local_champion
from orchestration.lifecycle.virtual_study import measure_virtual_study
from orchestration.pipeline.names import CANDIDATES_MODEL, PRODUCTION_MODEL
from orchestration.pipeline.params import Params
from orchestration.pipeline.policies import workspace_policy
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.registry import author_of_model, history_state
from spine.errors import EvidenceRejected, GateRefused, PlumblineError
from validation.gates.verdict import Verdict, read_verdict
from validation.promotion import verify
from validation.promotion.approval import SHORTEST_DIGEST, SignOff
from validation.promotion.decisions import approved, reinstated, rejected
from validation.promotion.events import Event, State
from validation.promotion.history import open_history
from validation.promotion.rollback import Rollback, RollbackRequest, rollback
from validation.promotion.sync import restore
from validation.promotion.verify import Fault
from validation.registry.client import TAG, open_registry, version_gone, version_of_alias
from validation.registry.database import database_exists
from validation.registry.errors import errors_as_refusals


def approve_verdict(workspace: Workspace, params: Params, named: str, sign_off: SignOff) -> Event:
    """Approve the verdict that ``find_verdict`` finds; raises the errors of ``decisions.approved``."""
    verdict, policy = find_verdict(workspace, named), workspace_policy(params, workspace)
    with changing_history(workspace) as change:
        author, at = author_of_model(workspace, verdict.challenger_model), datetime.now(UTC)
        return change.history.append(
            partial(approved, verdict=verdict, policy=policy, sign_off=sign_off, author=author, at=at)
        )


def reject_verdict(workspace: Workspace, named: str, sign_off: SignOff) -> Event:
    """Reject the model of the verdict that ``find_verdict`` finds."""
    event = rejected(find_verdict(workspace, named), sign_off, datetime.now(UTC))
    with changing_history(workspace) as change:
        return change.history.append(lambda _: event)


def reinstate_model(workspace: Workspace, model: str, sign_off: SignOff) -> tuple[Event, tuple[Event, ...]]:
    """End the denial and the rejections of a model; return the event, and the events that it ended."""
    with changing_history(workspace) as change:
        author_of, at = partial(author_of_model, workspace), datetime.now(UTC)
        event = change.history.append(partial(reinstated, model=model, sign_off=sign_off, author_of=author_of, at=at))
        return event, change.state.barred.get(event.digest, ())


def roll_back(workspace: Workspace, params: Params, *, reason: str, promoter: str, to: str | None) -> Rollback:
    """Return to the last good model, or to version ``to``; the local copy follows."""
    limits = workspace_policy(params, workspace).virtual_study
    left = history_state(workspace).champion  # Another command may change it while this one waits for the lock.
    with changing_history(workspace, local_rollback=False) as change:
        return rollback(
            change, RollbackRequest(reason, promoter, datetime.now(UTC), measure_virtual_study, limits, to, left)
        )


def restore_history(workspace: Workspace, sign_off: SignOff) -> Event:
    """Put the events of the workspace's copy back into the database, or go on after a clock that was ahead."""
    history = open_history(workspace.tracking_uri, PRODUCTION_MODEL, workspace.history_copy)
    return restore(history, sign_off, datetime.now(UTC))


def verify_workspace(workspace: Workspace) -> Sequence[Fault]:
    """The faults: the differences between table, copy, registry, and the local copy of the champion."""
    history = open_history(workspace.tracking_uri, PRODUCTION_MODEL, workspace.history_copy)
    return [*verify.verify(history), *_local_faults(workspace)]


def _local_faults(workspace: Workspace) -> Iterator[Fault]:
    """Faults of the local copy: other files, another version, a rollback that the history does not have."""
    place, remedy = "state/champion", "run `plumbline champion`, which fetches the champion again"
    altered, local = fault_of_local_copy(workspace), local_champion(workspace)
    if altered is not None:
        yield Fault("LOCAL_COPY_ALTERED", place, altered, remedy)
    if workspace.rollback_pending.exists():
        found = "a local rollback that the history does not have"
        yield Fault("ROLLBACK_PENDING", "state", found, "run `plumbline champion`, which adds it to the history")
        return
    try:
        state = history_state(workspace)
    except GateRefused:  # a fault of the history, which is in the list already
        return
    champion, kept = state.champion, previous_local_champion(workspace)
    if state.previous is not None and (kept is None or kept.digest != state.previous.digest):
        found = "the local copy of the previous champion is missing or altered"
        yield Fault("LOCAL_COPY_ALTERED", "state/previous_champion", found, remedy)
    if champion is not None and (local is None or (local.version, local.digest) != (champion.version, champion.digest)):
        copy = f"version {local.version} ({local.digest[:12]})" if local is not None else "missing"
        found = f"the local copy is {copy}; the champion is version {champion.version} ({champion.digest[:12]})"
        yield Fault("LOCAL_COPY_BEHIND", place, found, remedy)


def up_to_date(workspace: Workspace) -> State:
    """The state of the history. Registry and local copy follow first, unless another command changes them now.

    Raises:
        GateRefused: ROLLBACK_PENDING, VERSION_GONE, the errors of ``changing_history``.
    """
    if database_exists(workspace.tracking_uri):
        try:
            with changing_history(workspace, wait=False) as change:
                require_no_local_rollback(workspace)
                if change.state.champion is not None and not change.champion_is_intact:
                    raise version_gone(PRODUCTION_MODEL, change.state.champion.version)
                return change.state
        except PermissionError:  # a workspace that this account may only read
            pass
        except PlumblineError as refusal:
            if refusal.code not in ("HISTORY_BUSY", "NOT_PERMITTED", "NO_HISTORY_DB"):
                raise
    return history_state(workspace)


def models_in_use(workspace: Workspace, state: State) -> list[tuple[str, str, str]]:
    """(role, version, model digest) of challenger, champion, previous champion and local copy; "none" if absent."""
    local, altered = local_champion(workspace), fault_of_local_copy(workspace)
    here = ("none", "none") if local is None else (f"{PRODUCTION_MODEL} v{local.version}", local.digest[:12])
    return [
        ("challenger", *_challenger(workspace)),
        ("champion", *_shown(state.champion)),
        ("previous champion", *_shown(state.previous)),
        ("local copy, state/champion", here[0], here[1] if altered is None else f"ALTERED: {altered}"),
    ]


def _shown(event: Event | None) -> tuple[str, str]:
    return (f"{PRODUCTION_MODEL} v{event.version}", event.digest[:12]) if event is not None else ("none", "none")


def _challenger(workspace: Workspace) -> tuple[str, str]:
    if not database_exists(workspace.tracking_uri):
        return "none", "none"
    with errors_as_refusals():
        version = version_of_alias(open_registry(workspace.tracking_uri), CANDIDATES_MODEL, "challenger")
    if version is None:
        return "none", "none"
    return f"{CANDIDATES_MODEL} v{version.version}", version.tags.get(TAG + "model_digest", "")[:12]


def find_verdict(workspace: Workspace, named: str) -> Verdict:
    """The verdict in the file ``named``, or the workspace's verdict whose digest begins with ``named``.

    Raises:
        EvidenceRejected: EVIDENCE_MISSING if no verdict or several verdicts match; any error of ``read_verdict``.
    """
    if Path(named).is_file():
        return read_verdict(Path(named))
    found = [p for p in sorted(workspace.verdict_file.parent.glob("*.json")) if p.stem.startswith(named)]
    if len(found) == 1 and len(named) >= SHORTEST_DIGEST:
        return read_verdict(found[0])
    raise EvidenceRejected(
        "EVIDENCE_MISSING",
        found=f"{named!r}, which is not a file, and with which {len(found)} verdicts of this workspace begin",
        expected=f"a file, or at least {SHORTEST_DIGEST} characters of one verdict's digest",
        remedy="`plumbline verdict` shows the digest of the latest verdict; the others are in state/verdicts",
    )

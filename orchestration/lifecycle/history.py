"""The history of a workspace: audit, repair, acceptance of a loss, reinstatement, rollback with or without registry.

Contract: the local copy follows the registry after every change. While the registry is down, the local copy of the
previous champion can replace the local champion, after its digest and the smoke test have been checked. The next
``plumbline rollback`` makes the same change in the registry. Until then no command downloads a model from the registry.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from orchestration.lifecycle.local_champion import (
    LocalChampion,
    fault_of_local_copy,
    local_champion,
    previous_local_champion,
    refresh_local_champion,
    write_local_champion,
)
from orchestration.lifecycle.virtual_study import measure_virtual_study
from orchestration.pipeline.names import CANDIDATES_MODEL, PRODUCTION_MODEL
from orchestration.pipeline.params import Params
from orchestration.pipeline.policies import workspace_policy
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.registry import author_of_model
from spine.errors import GateRefused
from spine.storage import write_text_atomically
from validation.promotion import audit, repair
from validation.promotion.approval import SignOff
from validation.promotion.audit import Fault
from validation.promotion.champion import TAG, current_champion, open_registry, version_of_alias
from validation.promotion.champion_record import open_champion_record
from validation.promotion.database import database_exists
from validation.promotion.history import HistoryEntry
from validation.promotion.registry_errors import errors_as_refusals
from validation.promotion.reinstatement import Reinstatement, ReinstatementRequest, reinstate
from validation.promotion.repair import Repair
from validation.promotion.rollback import Rollback, RollbackRequest, rollback
from validation.promotion.smoke_test import require_smoke_test


def audit_history(workspace: Workspace) -> Sequence[Fault]:
    """The faults: the disagreements of history, champion record, registry, alias and local copy."""
    faults = audit.audit(workspace.tracking_uri, PRODUCTION_MODEL, workspace.promotion_ledger)
    return [*faults, *_local_faults(workspace)]


def _local_faults(workspace: Workspace) -> Iterator[Fault]:
    """Faults of the local copy: other bytes, another version, a rollback that the registry does not have."""
    place, fetch = "state/champion", "`plumbline champion --fetch`"
    local, altered = local_champion(workspace), fault_of_local_copy(workspace)
    if altered is not None:
        yield Fault("LOCAL_COPY_ALTERED", place, altered, fetch)
    if workspace.rollback_pending.exists():
        found = "a local rollback that the registry does not have"
        yield Fault("ROLLBACK_PENDING", "state", found, "run `plumbline rollback`, which makes it in the registry")
        return
    serving = open_champion_record(workspace.tracking_uri, PRODUCTION_MODEL).serving()
    copied = (local.version, local.digest) if local is not None else None
    if serving is not None and copied != (serving.version, serving.digest):
        copy = f"version {local.version} ({local.digest[:12]})" if local is not None else "missing"
        found = f"the local copy is {copy}; the champion is version {serving.version} ({serving.digest[:12]})"
        yield Fault("LOCAL_COPY_BEHIND", place, found, fetch)


def describe_other_histories(workspace: Workspace) -> Sequence[str]:
    """The other histories of this model that the registry's database lists, with one line for each."""
    others = audit.other_histories(workspace.tracking_uri, PRODUCTION_MODEL, workspace.promotion_ledger)
    return [f"{a.place}: {a.length} entries up to {a.last[:12]}{', closed' if a.closed_by else ''}" for a in others]


def accept_history_loss(workspace: Workspace, sign_off: SignOff) -> HistoryEntry:
    """Record in a new entry that a history, or its end, is lost; then repair the history."""
    uri, ledger, now = workspace.tracking_uri, workspace.promotion_ledger, datetime.now(UTC)
    entry = repair.accept_history_loss(uri, PRODUCTION_MODEL, ledger_path=ledger, sign_off=sign_off, at=now)
    repair_history(workspace, sign_off.approver)
    return entry


def reinstate_model(workspace: Workspace, model: str, sign_off: SignOff) -> Reinstatement:
    """Remove the denial and the rejections of a model, which is named by version or by the beginning of its digest."""
    return reinstate(
        ReinstatementRequest(
            tracking_uri=workspace.tracking_uri,
            production_model=PRODUCTION_MODEL,
            ledger_path=workspace.promotion_ledger,
            model=model,
            sign_off=sign_off,
            at=datetime.now(UTC),
            author=lambda digest: author_of_model(workspace, digest),
            approvals=workspace.approvals,
        )
    )


def repair_history(workspace: Workspace, promoter: str) -> Repair:
    """Complete an interrupted change, correct the aliases, clean up, and renew the local copy."""
    uri, ledger, now = workspace.tracking_uri, workspace.promotion_ledger, datetime.now(UTC)
    done = repair.repair(uri, PRODUCTION_MODEL, ledger_path=ledger, promoter=promoter, at=now)
    if done.champion is not None and not workspace.rollback_pending.exists():
        refresh_local_champion(workspace)
    return done


def roll_back(workspace: Workspace, params: Params, *, reason: str, promoter: str, to: str | None) -> Rollback:
    """Return to the last good model, or to version ``to``; the local copy follows."""
    done = rollback(
        RollbackRequest(
            tracking_uri=workspace.tracking_uri,
            production_model=PRODUCTION_MODEL,
            ledger_path=workspace.promotion_ledger,
            reason=reason,
            promoter=promoter,
            at=datetime.now(UTC),
            measure_virtual_study=measure_virtual_study,
            limits=workspace_policy(params, workspace).virtual_study,
            to=to,
        )
    )
    workspace.rollback_pending.unlink(missing_ok=True)
    refresh_local_champion(workspace)
    return done


def roll_back_locally(workspace: Workspace, params: Params, *, reason: str, promoter: str) -> LocalChampion:
    """Roll back without a registry, to the local copy of the previous champion; return the record of that model.

    Raises:
        GateRefused: NO_GOOD_MODEL: there is no local copy of a previous champion; SMOKE_TEST_FAILED; ROLLBACK_PENDING:
            an earlier local rollback was not made in the registry yet.
        EvidenceRejected: the copy is incomplete.
    """
    left, previous = local_champion(workspace), previous_local_champion(workspace)
    if workspace.rollback_pending.exists():
        raise GateRefused(
            "ROLLBACK_PENDING",
            found="an earlier local rollback that was not made in the registry yet",
            expected="one local rollback at a time",
            remedy="run `plumbline rollback` when the registry is available",
        )
    if left is None or previous is None:
        raise GateRefused(
            "NO_GOOD_MODEL",
            found="no local copy of a previous champion",
            expected="a complete local copy of the previous champion",
            remedy="start the registry, then run `plumbline rollback`",
        )
    limits = workspace_policy(params, workspace).virtual_study
    require_smoke_test(measure_virtual_study, workspace.previous_champion, previous.digest, limits)
    note = {"left": left.digest, "reason": reason, "by": promoter, "at": datetime.now(UTC).isoformat()}
    write_text_atomically(workspace.rollback_pending, json.dumps(note, indent=1))
    staged = workspace.state / "champion_returning"
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(workspace.previous_champion, staged)
    shutil.rmtree(workspace.champion, ignore_errors=True)
    staged.replace(workspace.champion)
    write_local_champion(workspace, previous)
    return previous


def models_in_use(workspace: Workspace) -> list[tuple[str, str, str]]:
    """(role, version, model digest) of challenger, champion, previous champion and local copy; "none" if absent.

    Raises:
        GateRefused: CHAMPION_LOST: the history lists a champion, but the registry has none; REGISTRY_UNAVAILABLE ...
    """
    uri, local = workspace.tracking_uri, local_champion(workspace)
    with errors_as_refusals():
        champion = current_champion(uri, PRODUCTION_MODEL, workspace.promotion_ledger)
        challenger = _row_of_alias(uri, CANDIDATES_MODEL, "challenger")
        previous = _row_of_alias(uri, PRODUCTION_MODEL, "previous champion")
    now = (f"{PRODUCTION_MODEL} v{champion.version}", champion.model_digest[:12]) if champion else ("none", "none")
    here = (f"{PRODUCTION_MODEL} v{local.version}", local.digest[:12]) if local else ("none", "none")
    if (altered := fault_of_local_copy(workspace)) is not None:
        here = (here[0], f"ALTERED: {altered}")
    return [challenger, ("champion", *now), previous, ("local copy, state/champion", *here)]


def _row_of_alias(tracking_uri: str, model: str, role: str) -> tuple[str, str, str]:
    found = database_exists(tracking_uri)
    version = version_of_alias(open_registry(tracking_uri), model, role.replace(" ", "_")) if found else None
    if version is None:
        return role, "none", "none"
    return role, f"{model} v{version.version}", version.tags.get(TAG + "model_digest", "")[:12]

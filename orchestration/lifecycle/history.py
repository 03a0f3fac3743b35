"""Where things stand and how to go back: history, audit, repair, beginning anew, rollback (also without a registry).

Contract: the local copy follows the registry after every move. While the registry is down, the local copy of the
previous champion can serve in the present one's place (digest and smoke test first); the registry is told by the next
rollback, and until then nothing fetches the model that was left.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestration.lifecycle.local_champion import (
    LocalChampion,
    fault_of_local_copy,
    local_champion,
    previous_local_champion,
    refresh_local_champion,
    write_local_champion,
)
from orchestration.pipeline.names import CANDIDATES_MODEL, PRODUCTION_MODEL
from orchestration.pipeline.params import Params
from orchestration.pipeline.policies import policy_path
from orchestration.pipeline.registry_ownership import require_own_registry
from orchestration.pipeline.workspace import Workspace
from spine.errors import GateRefused
from spine.storage import write_text_atomically

if TYPE_CHECKING:
    from validation.promotion.approval import SignOff
    from validation.promotion.audit import Fault, Repair
    from validation.promotion.history import HistoryEntry
    from validation.promotion.reinstatement import Reinstatement
    from validation.promotion.rollback import Rollback


def audit_history(workspace: Workspace) -> Sequence["Fault"]:
    """Every disagreement between history, seat, registry, alias and the local copy; first whether it is a copy."""
    from validation.promotion.audit import audit

    faults = audit(workspace.tracking_uri, PRODUCTION_MODEL, workspace.promotion_ledger)
    return [*_copied(workspace), *faults, *_local_faults(workspace)]


def _copied(workspace: Workspace) -> Iterator["Fault"]:
    from validation.promotion.audit import Fault

    try:
        require_own_registry(workspace)
    except GateRefused as refusal:
        if refusal.code != "WORKSPACE_COPIED":
            raise
        yield Fault(refusal.code, "state/mlflow", refusal.found, refusal.remedy)


def _local_faults(workspace: Workspace) -> Iterator["Fault"]:
    """What is wrong with the copy that serves here: its bytes, its version, or that the registry was not told."""
    from validation.promotion.audit import Fault
    from validation.promotion.champion_record import open_champion_record

    place, fetch = "state/champion", "`plumbline champion --fetch`"
    local, altered = local_champion(workspace), fault_of_local_copy(workspace)
    if altered is not None:
        yield Fault("LOCAL_COPY_ALTERED", place, altered, fetch)
    if workspace.rollback_pending.exists():
        remedy = "`plumbline rollback` tells the registry"
        yield Fault("ROLLBACK_PENDING", "state", "a local rollback that the registry does not know", remedy)
        return
    sits = open_champion_record(workspace.tracking_uri, PRODUCTION_MODEL).serving()
    told = (local.version, local.digest) if local is not None else None
    if sits is not None and told != (sits.version, sits.digest):
        found = f"version {local.version} (model {local.digest[:12]})" if local is not None else "no local copy"
        yield Fault("LOCAL_COPY_BEHIND", place, f"{found}; version {sits.version} ({sits.digest[:12]}) sits", fetch)


def known_elsewhere(workspace: Workspace) -> Sequence[str]:
    """The histories of this model elsewhere that the registry's database knows, in words."""
    from validation.promotion.audit import other_histories

    others = other_histories(workspace.tracking_uri, PRODUCTION_MODEL, workspace.promotion_ledger)
    return [f"{a.place}: {a.length} entries up to {a.last[:12]}{', given up' if a.ended else ''}" for a in others]


def begin_anew(workspace: Workspace, word: "SignOff") -> "HistoryEntry":
    """Go on where a history is lost, and record it; then bring it into step with the registry."""
    from validation.promotion.audit import accept_history_loss

    require_own_registry(workspace)
    uri, ledger = workspace.tracking_uri, workspace.promotion_ledger
    entry = accept_history_loss(uri, PRODUCTION_MODEL, ledger_path=ledger, word=word, at=datetime.now(UTC))
    repair_history(workspace, word.approver)
    return entry


def lift(workspace: Workspace, model: str, word: "SignOff") -> "Reinstatement":
    """Lift what stands against a model, named by its version or the beginning of its digest."""
    from orchestration.tracking.registry import author_of_model
    from validation.promotion.reinstatement import reinstate

    require_own_registry(workspace)
    uri, ledger = workspace.tracking_uri, workspace.promotion_ledger
    return reinstate(
        uri, PRODUCTION_MODEL, ledger_path=ledger, model=model, word=word, at=datetime.now(UTC),
        author=lambda digest: author_of_model(workspace, digest), approvals=workspace.approvals,
    )  # fmt: skip


def repair_history(workspace: Workspace, promoter: str) -> "Repair":
    """Finish what was cut off, set aliases back, clear what is left over, and bring the local copy along."""
    from validation.promotion.audit import repair

    require_own_registry(workspace)
    done = repair(
        workspace.tracking_uri,
        PRODUCTION_MODEL,
        ledger_path=workspace.promotion_ledger,
        promoter=promoter,
        at=datetime.now(UTC),
    )
    if done.champion is not None and not workspace.rollback_pending.exists():
        refresh_local_champion(workspace)
    return done


def roll_back(workspace: Workspace, params: Params, *, reason: str, promoter: str, to: str | None) -> "Rollback":
    """Return to the last good model, or to ``to``; the local copy follows."""
    from orchestration.lifecycle.virtual_study import measure_virtual_study
    from validation.gates.policy import read_policy
    from validation.promotion.rollback import Order, rollback

    require_own_registry(workspace)
    done = rollback(
        Order(
            tracking_uri=workspace.tracking_uri,
            production_model=PRODUCTION_MODEL,
            ledger_path=workspace.promotion_ledger,
            reason=reason,
            promoter=promoter,
            at=datetime.now(UTC),
            measure_virtual_study=measure_virtual_study,
            limits=read_policy(policy_path(params, workspace)).virtual_study,
            to=to,
        )
    )
    workspace.rollback_pending.unlink(missing_ok=True)
    refresh_local_champion(workspace)
    return done


def roll_back_locally(workspace: Workspace, params: Params, *, reason: str, promoter: str) -> LocalChampion:
    """Serve the local copy of the previous champion, without asking any registry.

    Raises:
        GateRefused: NO_GOOD_MODEL: there is no such copy; SMOKE_TEST_FAILED; ROLLBACK_PENDING: it was done before.
        EvidenceRejected: the copy is not whole.
    """
    from orchestration.lifecycle.virtual_study import measure_virtual_study
    from validation.gates.policy import read_policy
    from validation.promotion.smoke_test import require_smoke_test

    left, previous = local_champion(workspace), previous_local_champion(workspace)
    if workspace.rollback_pending.exists():
        raise _refused("ROLLBACK_PENDING", "a local rollback before this one", "`plumbline rollback`, once it answers")
    if left is None or previous is None:
        raise _refused("NO_GOOD_MODEL", "no local copy of a previous champion", "start the registry, then roll back")
    limits = read_policy(policy_path(params, workspace)).virtual_study
    require_smoke_test(measure_virtual_study, workspace.previous_champion, previous.digest, limits)
    told = {"left": left.digest, "reason": reason, "by": promoter, "at": datetime.now(UTC).isoformat()}
    write_text_atomically(workspace.rollback_pending, json.dumps(told, indent=1))
    staged = workspace.state / "champion_returning"
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(workspace.previous_champion, staged)
    shutil.rmtree(workspace.champion, ignore_errors=True)
    staged.replace(workspace.champion)
    write_local_champion(workspace, previous)
    return previous


def models_in_use(workspace: Workspace) -> list[tuple[str, str, str]]:
    """(role, version, model digest) of challenger, champion, previous champion and what serves here; or "none".

    Raises:
        GateRefused: CHAMPION_LOST: the history knows a champion, the registry none; REGISTRY_UNAVAILABLE ...
    """
    from validation.promotion.champion import current_champion
    from validation.promotion.promote import refusing

    uri, local = workspace.tracking_uri, local_champion(workspace)
    with errors_as_refusals():
        champion = current_champion(uri, PRODUCTION_MODEL, workspace.promotion_ledger)
        rows = [_row_of_alias(uri, model, role) for role, model in _ALIASED]
    told = (f"{PRODUCTION_MODEL} v{champion.version}", champion.model_digest[:12]) if champion else ("none", "none")
    here = (f"{PRODUCTION_MODEL} v{local.version}", local.digest[:12]) if local else ("none", "none")
    altered = fault_of_local_copy(workspace)
    here = (here[0], f"ALTERED: {altered}") if altered is not None else here
    return [rows[0], ("champion", *told), rows[1], ("served from state/champion", *here)]


_ALIASED = (("challenger", CANDIDATES_MODEL), ("previous champion", PRODUCTION_MODEL))


def _row_of_alias(tracking_uri: str, model: str, role: str) -> tuple[str, str, str]:
    from validation.promotion.champion import TAG, open_registry, version_of_alias
    from validation.promotion.database import exists

    found = exists(tracking_uri)
    version = version_of_alias(open_registry(tracking_uri), model, role.replace(" ", "_")) if found else None
    if version is None:
        return role, "none", "none"
    return role, f"{model} v{version.version}", version.tags.get(TAG + "model_digest", "")[:12]


def _refused(code: str, found: str, remedy: str) -> GateRefused:
    return GateRefused(code, found=found, expected="a previous champion that can serve", remedy=remedy)

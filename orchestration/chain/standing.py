"""Where things stand and how to go back: history, audit, repair, rollback, and a rollback without a registry.

What belongs here: from the workspace to the gate's functions, and the local copies that follow. What does not: whether
a model may serve (``validation.gates``). Contract: the local copy follows the registry after every move. While the
registry is down, the local copy of the previous champion can serve in the present one's place (digest and smoke test
first); the registry is told by the next rollback, and until then nothing fetches the model that was left.
"""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestration.chain.champion import (
    CANDIDATES_MODEL,
    PRODUCTION_MODEL,
    LocalChampion,
    local_champion,
    previous_local_champion,
    refresh_local_champion,
    write_local_champion,
)
from orchestration.chain.decision import policy_path
from orchestration.chain.params import Params
from orchestration.chain.workspace import Workspace
from spine.errors import GateRefused
from spine.storage import write_text_atomically

if TYPE_CHECKING:
    from validation.gates.audit import Fault
    from validation.gates.champion import Champion
    from validation.gates.history import HistoryEntry
    from validation.gates.rollback import Rollback


def promotion_history(workspace: Workspace) -> Sequence["HistoryEntry"]:
    """The verified history, oldest first."""
    from validation.gates.history import read_history

    return read_history(workspace.promotion_ledger)


def audit_history(workspace: Workspace) -> Sequence["Fault"]:
    """Every disagreement between history, seat, registry, alias and the local copy."""
    from validation.gates.audit import Fault, audit
    from validation.gates.history import last_champion

    faults = list(audit(workspace.tracking_uri, PRODUCTION_MODEL, workspace.promotion_ledger))
    if workspace.rollback_pending.exists():
        remedy = "`plumbline rollback` tells the registry"
        faults.append(Fault("ROLLBACK_PENDING", "state", "a local rollback that the registry does not know", remedy))
    elif not faults:
        last, local = last_champion(tuple(promotion_history(workspace)), PRODUCTION_MODEL), local_champion(workspace)
        if last is not None and (local is None or local.digest != last.model_digest):
            found = f"local copy {local.digest[:12] if local else 'none'}, {last.model_digest[:12]} serves"
            faults.append(Fault("LOCAL_COPY_BEHIND", "state/champion", found, "`plumbline champion --fetch`"))
    return faults


def repair_history(workspace: Workspace, promoter: str) -> "Champion | None":
    """Finish what was cut off, set aliases back, and bring the local copy along."""
    from validation.gates.audit import repair

    champion = repair(
        workspace.tracking_uri,
        PRODUCTION_MODEL,
        ledger_path=workspace.promotion_ledger,
        promoter=promoter,
        at=datetime.now(UTC),
    )
    if champion is not None and not workspace.rollback_pending.exists():
        refresh_local_champion(workspace)
    return champion


def roll_back(workspace: Workspace, params: Params, *, reason: str, promoter: str, to: str | None) -> "Rollback":
    """Return to the last good model, or to ``to``; the local copy follows."""
    from orchestration.chain.smoke import ask_phantom
    from validation.gates.policy import read_policy
    from validation.gates.rollback import Order, rollback

    done = rollback(
        Order(
            tracking_uri=workspace.tracking_uri,
            production_model=PRODUCTION_MODEL,
            ledger_path=workspace.promotion_ledger,
            reason=reason,
            promoter=promoter,
            at=datetime.now(UTC),
            ask_phantom=ask_phantom,
            limits=read_policy(policy_path(params, workspace)).phantom_study,
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
    from orchestration.chain.smoke import ask_phantom
    from validation.gates.policy import read_policy
    from validation.gates.smoke import demand_smoke_test

    left, previous = local_champion(workspace), previous_local_champion(workspace)
    if workspace.rollback_pending.exists():
        raise _refused("ROLLBACK_PENDING", "a local rollback before this one", "`plumbline rollback`, once it answers")
    if left is None or previous is None:
        raise _refused("NO_GOOD_MODEL", "no local copy of a previous champion", "start the registry, then roll back")
    limits = read_policy(policy_path(params, workspace)).phantom_study
    demand_smoke_test(ask_phantom, workspace.previous_champion, previous.digest, limits)
    told = {"left": left.digest, "reason": reason, "by": promoter, "at": datetime.now(UTC).isoformat()}
    write_text_atomically(workspace.rollback_pending, json.dumps(told, indent=1))
    staged = workspace.state / "champion_returning"
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(workspace.previous_champion, staged)
    shutil.rmtree(workspace.champion, ignore_errors=True)
    staged.replace(workspace.champion)
    write_local_champion(workspace, previous)
    return previous


def three_models(workspace: Workspace) -> list[tuple[str, str, str]]:
    """(role, version, model digest) of challenger, champion and previous champion; "none" where there is none."""
    from validation.gates.champion import TAG, current_champion, open_registry, version_of_alias

    champion = current_champion(workspace.tracking_uri, PRODUCTION_MODEL)
    client = open_registry(workspace.tracking_uri)
    rows = []
    for role, model in (("challenger", CANDIDATES_MODEL), ("previous champion", PRODUCTION_MODEL)):
        version = version_of_alias(client, model, role.replace(" ", "_"))
        digest = version.tags.get(TAG + "model_digest", "")[:12] if version is not None else "none"
        rows.append((role, f"{model} v{version.version}" if version is not None else "none", digest))
    told = (f"{PRODUCTION_MODEL} v{champion.version}", champion.model_digest[:12]) if champion else ("none", "none")
    return [rows[0], ("champion", *told), rows[1]]


def _refused(code: str, found: str, remedy: str) -> GateRefused:
    return GateRefused(code, found=found, expected="a previous champion that can serve", remedy=remedy)

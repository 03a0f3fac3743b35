"""Changes of a workspace's history, which the registry and the local copy of the champion follow.

Contract: every command that changes the history uses ``changing_history``. While the registry is down,
``roll_back_locally`` replaces the local copy of the champion by that of the previous champion. The next command that
reaches the registry adds this rollback to the history.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial

from orchestration.lifecycle.local_champion import (
    LocalChampion,
    local_champion,
    previous_local_champion,
    write_record,
)
from orchestration.lifecycle.virtual_study import measure_virtual_study
from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.params import Params
from orchestration.pipeline.policies import workspace_policy
from orchestration.pipeline.workspace import Workspace
from spine.errors import GateRefused, PlumblineError
from spine.storage import write_text_atomically
from spine.times import to_the_minute
from validation.promotion.approval import SignOff, require_signed
from validation.promotion.decisions import rolled_back
from validation.promotion.events import Event
from validation.promotion.history import History, open_history
from validation.promotion.smoke_test import require_smoke_test
from validation.promotion.sync import Change, changing, sync
from validation.registry.client import fetch_version


@contextmanager
def changing_history(workspace: Workspace, *, wait: bool = True, local_rollback: bool = True) -> Iterator[Change]:
    """Open the workspace's history for a change. Before and after it, registry and local copy follow the history.

    Args:
        wait: whether to wait for another command of this workspace, or else to refuse.
        local_rollback: whether to add a rollback that was made while the registry was down.

    Raises:
        GateRefused: the errors of ``changing``. LOCAL_COPY_BEHIND: the history has the change, but the local copy could
            not be written.
    """
    history = open_history(workspace.tracking_uri, PRODUCTION_MODEL, workspace.history_copy)
    behind: Exception | None = None
    with changing(history, wait=wait) as change:
        shutil.rmtree(workspace.gathered_evidence, ignore_errors=True)  # of a killed promotion
        if local_rollback:
            change = _add_local_rollback(workspace, change)
        if not workspace.rollback_pending.exists():
            with suppress(OSError, PlumblineError):  # a rollback must work without the champion's files
                _follow(workspace, history)
        yield change
        if history.state().champion != change.state.champion:
            workspace.rollback_pending.unlink(missing_ok=True)
        if not workspace.rollback_pending.exists():
            try:
                _follow(workspace, history)
            except (OSError, PlumblineError) as error:
                behind = error
    if behind is not None:
        raise GateRefused(
            "LOCAL_COPY_BEHIND",
            found=f"the history is up to date, but the local copy of the champion was not written: {behind}",
            expected="the champion's files in state/champion",
            remedy="remove the cause and run `plumbline champion`; `plumbline measure` uses the old copy until then",
        ) from behind


def roll_back_locally(workspace: Workspace, params: Params, *, reason: str, promoter: str) -> LocalChampion:
    """Roll back without a registry, to the local copy of the previous champion; return the record of that model.

    Raises:
        GateRefused: APPROVAL_EMPTY: no name or no reason; NO_GOOD_MODEL: there is no local copy of a previous champion;
            SMOKE_TEST_FAILED; ROLLBACK_PENDING: an earlier local rollback is not in the history yet.
    """
    require_signed(SignOff(promoter, reason))  # The history would refuse the event later, at every command.
    left, previous = local_champion(workspace), previous_local_champion(workspace)
    if left is None or previous is None or left == previous:
        require_no_local_rollback(workspace)
        raise GateRefused(
            "NO_GOOD_MODEL",
            found="no intact local copy of a previous champion that may go back into service",
            expected="a complete local copy of the previous champion",
            remedy="run `plumbline rollback` when the registry is available, or promote another model",
        )
    limits = workspace_policy(params, workspace).virtual_study
    require_smoke_test(measure_virtual_study, workspace.previous_champion, previous.digest, limits)
    note = {"left": left.digest, "digest": previous.digest, "reason": reason, "by": promoter}
    write_text_atomically(workspace.rollback_pending, json.dumps(note | {"at": datetime.now(UTC).isoformat()}))
    staged = workspace.state / "champion_returning"
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(workspace.previous_champion, staged)
    shutil.rmtree(workspace.champion, ignore_errors=True)
    staged.replace(workspace.champion)
    write_record(workspace.champion_record, previous)
    return previous


def _follow(workspace: Workspace, history: History) -> None:
    """Fetch the verified files of the champion and of the previous champion, and write the records beside them."""
    state, fetch = history.state(), partial(fetch_version, history.tracking_uri, history.model)
    copied = previous_local_champion(workspace)
    if copied is None or state.previous is None or copied.digest != state.previous.digest:
        shutil.rmtree(workspace.previous_champion, ignore_errors=True)  # `rollback --local` must not return to it
    if state.previous is not None:
        with suppress(OSError, PlumblineError):  # Without these files only `plumbline rollback --local` is refused.
            fetch(state.previous.version, state.previous.digest, into=workspace.previous_champion)
            write_record(workspace.previous_champion / "champion.json", _record(state.previous))
    if state.champion is not None:
        fetch(state.champion.version, state.champion.digest, into=workspace.champion)
        write_record(workspace.champion_record, _record(state.champion))


def _record(event: Event) -> LocalChampion:
    return LocalChampion(event.version, event.digest, event.verdict)


def _add_local_rollback(workspace: Workspace, change: Change) -> Change:
    """Add the rollback that was made while the registry was down. If another model is champion now, reject the model.

    If its target was denied or rejected meanwhile, the model that was left is rejected, too, and the rollback stays
    pending until the target is reinstated or another model is champion.
    """
    if not workspace.rollback_pending.exists():
        return change
    note, champion, at = json.loads(workspace.rollback_pending.read_text()), change.state.champion, datetime.now(UTC)
    reason, actor = f"{note['reason']} (while the registry was down, {to_the_minute(note['at'])})", note["by"]
    left = next((e for e in change.state.served if e.digest == note["left"]), None)
    target = next((e for e in change.state.served if e.digest == note["digest"]), None)
    is_barred = target is not None and target.digest in change.state.barred
    if champion is not None and target is not None and champion == left and not is_barred:
        change.history.append(partial(rolled_back, target=target, champion=champion, reason=reason, actor=actor, at=at))
    elif left is not None and left.digest not in change.state.barred:
        why = Event("rejected", at.isoformat(), actor, digest=left.digest, verdict=left.verdict, reason=reason)
        change.history.append(lambda _: why)
    if champion != left or not is_barred:
        workspace.rollback_pending.unlink()
    return sync(change.client, change.history)


def require_no_local_rollback(workspace: Workspace) -> None:
    """Refuse a workspace with a local rollback that the history does not have.

    Raises:
        GateRefused: ROLLBACK_PENDING.
    """
    if workspace.rollback_pending.exists():
        raise GateRefused(
            "ROLLBACK_PENDING",
            found="a local rollback that is not in the history yet: the registry was not available since, or the model "
            "to which it returned was denied or rejected meanwhile",
            expected="the same rollback in the history",
            remedy="when the registry is available, run `plumbline champion`. If that is refused, too, run `plumbline "
            "rollback`, promote a better model, or reinstate the model with `plumbline reinstate`",
        )

"""Locks a workspace, so that it has one writer at a time: a Dagster run, the command line or ``dvc repro``.

Contract: the kernel releases a lock when its process dies, so no clean-up is needed. A second writer is refused
within a second, with the reason.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.workspace import Workspace
from spine.errors import PlumblineError
from spine.storage import locked
from validation.promotion.champion import require_none_lost
from validation.promotion.database import database_exists


class WorkspaceBusy(PlumblineError):
    """Another run is writing in the workspace."""

    exit_code = 4


@contextmanager
def workspace_lock(workspace: Workspace, run_id: str = "") -> Iterator[None]:
    """Lock the workspace for one writer, and write the id of its Dagster run into the lock.

    Raises:
        WorkspaceBusy: another process has the lock (``RUN_IN_PROGRESS``).
        GateRefused: the registry's database is damaged (``REGISTRY_UNAVAILABLE``).
    """
    lock = workspace.state / "workspace.lock"
    with ExitStack() as stack:
        if not any(_tries(stack, lock)):
            raise WorkspaceBusy(
                "RUN_IN_PROGRESS",
                found="another run that is writing in this workspace",
                expected="one writer at a time",
                remedy="wait until the other run ends, or stop it",
            )
        lock.write_text(run_id)
        database_exists(workspace.tracking_uri)  # refuses a damaged file before anything is written
        yield


def _tries(stack: ExitStack, lock: Path) -> Iterator[bool]:
    """Try for a second to take the lock, which other commands take for a moment to see whether it is free."""
    for pause_s in (0.0, 0.1, 0.3, 0.6):
        time.sleep(pause_s)
        yield stack.enter_context(locked(lock, wait=False))


@contextmanager
def services_lock(workspace: Workspace) -> Iterator[None]:
    """Lock the workspace for one set of services (web server, daemon, tracking server).

    Raises:
        WorkspaceBusy: the services run already (``SERVICES_RUNNING``).
        GateRefused: the registry's database is damaged (``REGISTRY_UNAVAILABLE``), or missing although the history
            lists a champion (``CHAMPION_LOST``).
    """
    with locked(workspace.state / "services.lock", wait=False) as acquired:
        if not acquired:
            raise WorkspaceBusy(
                "SERVICES_RUNNING",
                found="services of this workspace that are running already",
                expected="one web server, daemon and tracking server per workspace",
                remedy="use the running services, or stop them first",
            )
        _require_registry(workspace)
        yield


def _require_registry(workspace: Workspace) -> None:
    """Refuse a damaged or lost database before MLflow's server creates an empty one in its place."""
    if not database_exists(workspace.tracking_uri):
        require_none_lost(workspace.promotion_ledger, PRODUCTION_MODEL)

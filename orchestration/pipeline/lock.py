"""One writer in a workspace at a time, whoever starts it: a Dagster run, the command line, ``dvc repro``.

Contract: the kernel releases a lock when its holder dies, so nobody has to clean up; whoever comes second is refused
at once and told why.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration.pipeline.registry_ownership import require_own_registry
from orchestration.pipeline.workspace import Workspace
from spine.errors import PlumblineError


class WorkspaceBusy(PlumblineError):
    """Another run is writing in the workspace."""

    exit_code = 4


@contextmanager
def workspace_lock(workspace: Workspace) -> Iterator[None]:
    """Be the one writer in the workspace.

    Raises:
        WorkspaceBusy: somebody else is (``RUN_IN_PROGRESS``).
        GateRefused: it is a copy (``WORKSPACE_COPIED``), or its database is damaged (``REGISTRY_UNAVAILABLE``).
    """
    with exclusive(workspace.state / "workspace.lock") as held:
        if not held:
            raise WorkspaceBusy(
                "RUN_IN_PROGRESS",
                found="another run that is writing in this workspace",
                expected="one writer at a time",
                remedy="wait until it has ended, or stop it",
            )
        require_own_registry(workspace)
        yield


@contextmanager
def services_lock(workspace: Workspace) -> Iterator[None]:
    """Be the one set of services (web server, daemon, tracking server) of the workspace.

    Raises:
        WorkspaceBusy: they run already (``SERVICES_RUNNING``).
        GateRefused: as of ``workspace_lock``.
    """
    with exclusive(workspace.state / "services.lock") as held:
        if not held:
            raise WorkspaceBusy(
                "SERVICES_RUNNING",
                found="the services of this workspace, up already",
                expected="one web server, daemon and tracking server per workspace",
                remedy="use those, or stop them first",
            )
        require_own_registry(workspace)
        yield


@contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Whether the lock on ``path`` was free; it is held until the end of the block, or of the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield _locked(handle)
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""One writer in a workspace at a time, whoever starts it: a Dagster run, the command line, ``dvc repro``.

Contract: the kernel releases a lock when its holder dies, so nobody has to clean up; whoever comes second is refused
at once and told why.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from orchestration.pipeline.registry_ownership import require_own_registry
from orchestration.pipeline.workspace import Workspace
from spine.errors import PlumblineError
from spine.storage import locked


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
    with locked(workspace.state / "workspace.lock", wait=False) as held:
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
    with locked(workspace.state / "services.lock", wait=False) as held:
        if not held:
            raise WorkspaceBusy(
                "SERVICES_RUNNING",
                found="the services of this workspace, up already",
                expected="one web server, daemon and tracking server per workspace",
                remedy="use those, or stop them first",
            )
        require_own_registry(workspace)
        yield

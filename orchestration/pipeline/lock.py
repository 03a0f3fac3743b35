"""Locks a workspace, so that it has one writer at a time: a Dagster run, the command line or ``dvc repro``.

Contract: a lock ends with its process, so no clean-up is needed. A second writer is refused within a second, and told
who the first one is. If the history is in a PostgreSQL database, the lock is a ``Lease`` there, which several machines
respect; otherwise it is a lock of the file ``state/NAME.lock``, which the kernel of this machine keeps. The file always
says who has the lock. ``require_lock`` stops a writer whose lease was lost, before it writes more.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from orchestration.pipeline.lease import Lease
from orchestration.pipeline.names import PRODUCTION_MODEL
from orchestration.pipeline.workspace import Workspace
from spine.errors import PlumblineError
from spine.storage import locked
from spine.types import Progress
from validation.promotion.history import DATABASE_VARIABLE
from validation.promotion.sync import read_state
from validation.registry.database import database_exists

WORKSPACE, SERVICES = "workspace", "services"
"""The names of the two locks."""

IDENTITY = "workspace.id"
"""The file in ``state`` with the id of the workspace. A backup leaves it out: a copy is a workspace of its own."""

WhyLost = Callable[[Callable[[], bool]], str]
"""Why a lock is lost, or ""; its argument says whether nobody took the lock in the meantime."""

_writing: dict[Path, Callable[[], str]] = {}
"""Root of a workspace in which this process writes -> why its lock is lost, or ""."""


class WorkspaceBusy(PlumblineError):
    """Another run is writing in the workspace."""

    exit_code = 4


@dataclass(frozen=True)
class Holder:
    """Who has the lock: id of the Dagster run ("" for a command), host, process, and a token that is new each time."""

    run: str
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    token: str = field(default_factory=lambda: uuid4().hex)

    def __str__(self) -> str:
        return f"{f'run {self.run[:8]}' if self.run else 'a command'} on {self.host} (process {self.pid})"


@contextmanager
def workspace_lock(workspace: Workspace, run_id: str = "", *, without_registry: bool = False) -> Iterator[None]:
    """Lock the workspace for one writer, and write the id of its Dagster run into the lock.

    Args:
        without_registry: whether the registry's database may be missing although the history has events.

    Raises:
        WorkspaceBusy: another process has the lock (``RUN_IN_PROGRESS``).
        GateRefused: REGISTRY_UNAVAILABLE: the registry's database is damaged, does not answer, or is missing although
            the history has events.
    """
    with ExitStack() as stack:
        why_lost = next(filter(None, _tries(stack, workspace)), None)
        if why_lost is None:
            raise WorkspaceBusy(
                "RUN_IN_PROGRESS",
                found=f"another run that is writing in this workspace: {holder_of(workspace) or 'not named yet'}",
                expected="one writer at a time",
                remedy="wait until the other run ends, or stop it",
            )
        me = Holder(run_id)
        # Not atomically: the kernel's lock belongs to this file, not to its name.
        _lock_file(workspace, WORKSPACE).write_text(json.dumps(asdict(me)), encoding="utf-8")
        _writing[workspace.root] = partial(why_lost, lambda: holder_of(workspace) == me)
        stack.callback(_writing.pop, workspace.root)
        if not (database_exists(workspace.tracking_uri) or without_registry):
            _require_registry(workspace)
        yield


def _tries(stack: ExitStack, workspace: Workspace) -> Iterator[WhyLost | None]:
    """Try for a second to take the lock, which other commands take for a moment to see whether it is free."""
    for pause_s in (0.0, 0.1, 0.3, 0.6):
        time.sleep(pause_s)
        yield stack.enter_context(_taken(workspace, WORKSPACE))


@contextmanager
def services_lock(workspace: Workspace) -> Iterator[None]:
    """Lock the workspace for one set of services (web server, daemon, tracking server).

    Raises:
        WorkspaceBusy: the services run already (``SERVICES_RUNNING``).
        GateRefused: REGISTRY_UNAVAILABLE: the registry's database is damaged, or missing although the history has
            events.
    """
    with free(workspace, SERVICES) as acquired:
        if not acquired:
            raise WorkspaceBusy(
                "SERVICES_RUNNING",
                found="services of this workspace that are running already",
                expected="one web server, daemon and tracking server per workspace",
                remedy="use the running services, or stop them first",
            )
        _require_registry(workspace)
        yield


def require_lock(workspace: Workspace) -> None:
    """Stop a writer that has lost its lock. Without a lock of this process, nothing is checked.

    Raises:
        WorkspaceBusy: LOCK_LOST: the database that keeps the lock is gone, or gave it to another process.
    """
    why = _writing.get(workspace.root, str)()
    if why:
        raise WorkspaceBusy(
            "LOCK_LOST",
            found=why,
            expected="the lock of this workspace until the run ends",
            remedy="start the database and run the same command again: finished steps are kept",
        )


def while_locked(workspace: Workspace, progress: Progress | None) -> Progress | None:
    """``progress``, which first stops a writer that has lost its lock. Every step reports after each piece of work."""
    if workspace.root not in _writing:
        return progress

    def checked(done: int, total: int) -> None:
        require_lock(workspace)
        if progress is not None:
            progress(done, total)

    return checked


@contextmanager
def free(workspace: Workspace, name: str = WORKSPACE) -> Iterator[bool]:
    """Whether nobody has the lock ``name``. If so, nobody gets it before the block ends.

    Raises:
        GateRefused: REGISTRY_UNAVAILABLE: the database of the lock does not answer.
    """
    with _taken(workspace, name) as why_lost:
        yield why_lost is not None


def holder_of(workspace: Workspace) -> Holder | None:
    """Who has the lock of the workspace, or had it last; None if the file does not say it."""
    try:
        return Holder(**json.loads(_lock_file(workspace, WORKSPACE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def _taken(workspace: Workspace, name: str) -> Iterator[WhyLost | None]:
    """Take a lock; yields the function that says why it is lost, or None if another process has the lock."""
    database = os.environ.get(DATABASE_VARIABLE) or workspace.tracking_uri
    if not database.startswith("postgresql"):
        with locked(_lock_file(workspace, name), wait=False) as acquired:
            yield (lambda _: "") if acquired else None
        return
    lease = Lease(database, f"{_identity(workspace)} {name}")
    try:
        yield lease.why_lost if lease.take() else None
    finally:
        lease.release()


def _lock_file(workspace: Workspace, name: str) -> Path:
    return workspace.state / f"{name}.lock"


def _identity(workspace: Workspace) -> str:
    """The random id of the workspace, the same on every machine, wherever the folder is mounted. Made at first use."""
    path = workspace.state / IDENTITY
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent) as scratch:
            new = Path(scratch) / IDENTITY
            new.write_text(uuid4().hex)
            with suppress(FileExistsError):  # another machine was first, and its id counts
                os.link(new, path)
    return path.read_text()


def _require_registry(workspace: Workspace) -> None:
    """Refuse a damaged or lost database before anything is written, or MLflow makes an empty one in its place."""
    if not database_exists(workspace.tracking_uri):
        read_state(workspace.tracking_uri, PRODUCTION_MODEL, workspace.history_copy)

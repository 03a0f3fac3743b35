"""Locks a workspace, so that it has one writer at a time: a Dagster run, the command line or ``dvc repro``.

Contract: a lock ends with its process, so no clean-up is needed. A second writer is refused within a second, and told
who the first one is. If the history is in a PostgreSQL database, the lock is a ``Lease`` there, which several machines
respect; otherwise it is a lock of the file ``state/NAME.lock``, which the kernel of this machine keeps. The file always
says who has the lock, and whether the lock is in a database: a process that names no database is then refused.
``require_lock`` stops a writer whose lease was lost, before it writes more.
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
from spine.errors import ParametersRejected, PlumblineError
from spine.storage import locked
from spine.types import Progress
from validation.promotion.history import DATABASE_VARIABLE, history_database
from validation.promotion.sync import read_state
from validation.registry.database import POSTGRESQL, database_exists

WORKSPACE, SERVICES = "workspace", "services"
"""The names of the two locks."""

IDENTITY = "workspace.id"
"""The file in ``state`` with the id of the workspace. A backup leaves it out: a copy is a workspace of its own."""

WhyLost = Callable[[Callable[[], bool]], str]
"""Why a lock is lost, or ""; its argument says whether nobody took the lock in the meantime."""

_held: dict[tuple[Path, str], Callable[[], str]] = {}
"""Root of a workspace and name of a lock that this process has -> why the lock is lost, or ""."""


class WorkspaceBusy(PlumblineError):
    """Another run is writing in the workspace."""

    exit_code = 4


@dataclass(frozen=True)
class Holder:
    """Who has a lock.

    Attributes:
        run: id of the Dagster run; "" for a command or the services.
        in_database: whether the lock is in a database.
        host: name of the holder's machine.
        pid: its process there.
        token: a text that is new each time.
    """

    run: str
    in_database: bool = False
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
        stack.enter_context(_named(workspace, WORKSPACE, run_id, why_lost))
        if not (database_exists(workspace.tracking_uri) or without_registry):
            _require_registry(workspace)
        yield


@contextmanager
def _named(workspace: Workspace, name: str, run_id: str, why_lost: WhyLost) -> Iterator[None]:
    """Write into a lock that was taken who has it, and let ``require_lock`` find it until the block ends."""
    me = Holder(run_id, _lock_database(workspace) is not None)
    # Not atomically: the kernel's lock belongs to this file, not to its name.
    with _lock_file(workspace, name).open("w", encoding="utf-8") as file:
        file.write(json.dumps(asdict(me)))
        file.flush()
        os.fsync(file.fileno())  # an empty file would not say that the lock is in a database
    _held[workspace.root, name] = partial(why_lost, lambda: holder_of(workspace, name) == me)
    try:
        yield
    finally:
        del _held[workspace.root, name]


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
    with _taken(workspace, SERVICES) as why_lost:
        if why_lost is None:
            raise WorkspaceBusy(
                "SERVICES_RUNNING",
                found="services of this workspace that are running already: "
                f"{holder_of(workspace, SERVICES) or 'not named yet'}",
                expected="one web server, daemon and tracking server per workspace",
                remedy="use the running services, or stop them first",
            )
        with _named(workspace, SERVICES, "", why_lost):
            _require_registry(workspace)
            yield


def require_lock(workspace: Workspace, name: str = WORKSPACE) -> None:
    """Stop a writer, or services, whose lock is lost. Without a lock of this process, nothing is checked.

    Raises:
        WorkspaceBusy: LOCK_LOST: the database that keeps the lock is gone, or gave it to another process.
    """
    why = _held.get((workspace.root, name), str)()
    if why:
        raise WorkspaceBusy(
            "LOCK_LOST",
            found=why,
            expected=f"the lock {name} of this workspace until the end",
            remedy="start the database and run the same command again: finished steps are kept",
        )


def while_locked(workspace: Workspace, progress: Progress | None) -> Progress | None:
    """``progress``, which first stops a writer that has lost its lock. Every step reports after each piece of work."""
    if (workspace.root, WORKSPACE) not in _held:
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
        ParametersRejected: LOCK_DATABASE_NOT_NAMED, HISTORY_DB_ADDRESS.
    """
    with _taken(workspace, name) as why_lost:
        yield why_lost is not None


def holder_of(workspace: Workspace, name: str = WORKSPACE) -> Holder | None:
    """Who has a lock of the workspace, or had it last; None if the file does not say it."""
    try:
        return Holder(**json.loads(_lock_file(workspace, name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def _taken(workspace: Workspace, name: str) -> Iterator[WhyLost | None]:
    """Take a lock; yields the function that says why it is lost, or None if another process has the lock."""
    database = _lock_database(workspace)
    if database is None:
        with locked(_lock_file(workspace, name), wait=False) as acquired:
            yield (lambda _: "") if acquired else None
        return
    lease = Lease(database, f"{identity_of(workspace)} {name}")
    try:
        yield lease.why_lost if lease.take() else None
    finally:
        lease.release()


def _lock_database(workspace: Workspace) -> str | None:
    """The address of the PostgreSQL database with the locks; None if files are the locks."""
    database = history_database(workspace.tracking_uri)
    if database.startswith(POSTGRESQL):
        return database
    holders = (holder_of(workspace, name) for name in (WORKSPACE, SERVICES))
    last = next((holder for holder in holders if holder is not None and holder.in_database), None)
    if last is not None:
        raise ParametersRejected(
            "LOCK_DATABASE_NOT_NAMED",
            found=f"a workspace whose lock is in PostgreSQL (last held by {last}), and no {DATABASE_VARIABLE}",
            expected="one lock for all machines that write in a workspace",
            remedy=f"set {DATABASE_VARIABLE} as for the services. To leave the database on purpose, stop every process "
            f"that uses the workspace and remove {workspace.state / '*.lock'}",
        )
    return None


def _lock_file(workspace: Workspace, name: str) -> Path:
    return workspace.state / f"{name}.lock"


def identity_of(workspace: Workspace) -> str:
    """The random id of the workspace, the same on every machine, wherever the folder is mounted. Made at first use."""
    path = workspace.state / IDENTITY
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent) as scratch:
            new = Path(scratch) / IDENTITY
            new.write_text(uuid4().hex)
            with suppress(FileExistsError):  # another machine was first, and its id counts
                os.link(new, path)
    return path.read_text().strip()  # a person may have written it, to replace another workspace


def _require_registry(workspace: Workspace) -> None:
    """Refuse a damaged or lost database before anything is written, or MLflow makes an empty one in its place."""
    if not database_exists(workspace.tracking_uri):
        read_state(workspace.tracking_uri, PRODUCTION_MODEL, workspace.history_copy)

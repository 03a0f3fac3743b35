"""DVC for the pipeline: tells whether a stage is up to date, records a stage, and gives the version of the data.

Contract: Dagster decides when a stage runs; DVC stores data and versions. A stage that ran under Dagster is committed
to ``dvc.lock``, so ``dvc repro`` has nothing to do afterwards. A stage that ``dvc repro`` ran is up to date for
Dagster. Telemetry and update checks are off. DVC's database of file digests stays in the workspace: by default it is in
a folder that every account can read, and the paths in it contain the names of folders and files of patients.
"""

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from orchestration.pipeline.lock import require_lock
from orchestration.pipeline.readable_files import repository_class
from orchestration.pipeline.stages import WRITTEN_IN_PLACE
from orchestration.pipeline.workspace import Workspace
from spine.storage import write_text_atomically

if TYPE_CHECKING:
    from dvc.repo import Repo


@contextmanager
def dvc_repository(workspace: Workspace) -> Iterator["Repo"]:
    """The workspace's DVC repository. It is created at first use, without git."""
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")

    logging.getLogger("dvc").setLevel(logging.ERROR)
    if not (workspace.root / ".dvc").is_dir():
        _initialise(workspace)
    own = str(workspace.root / ".dvc" / "tmp")
    _configure_here(own, workspace)
    # DVC resolves targets and its own run cache against the working directory, not against the repository.
    with (
        chdir(workspace.root),
        repository_class()(str(workspace.root), config={"core": {"site_cache_dir": own}}) as repository,
    ):
        repository.state.hashes = _DigestsOfPaths(repository.state.hashes)
        yield repository


def _initialise(workspace: Workspace) -> None:
    from dvc.repo import Repo

    workspace.root.mkdir(parents=True, exist_ok=True)
    with Repo.init(str(workspace.root), no_scm=True) as repository, repository.config.edit("repo") as config:
        config["core"] |= {"analytics": False, "check_update": False, "autostage": False}


def _configure_here(folder: str, workspace: Workspace) -> None:
    """Let a plain `dvc` in this workspace keep its database in ``folder``, also after the workspace was moved.

    Where the file system can, the cache has links in place of second copies. Not in DVC's own order, "reflink,
    hardlink, copy", with which it copies wherever there are no reflinks. A hard link makes the file in ``data``
    read-only.
    """
    # Not DVC's own writer, which fails at a path that is not ASCII; its reader takes UTF-8.
    path, text = workspace.root / ".dvc" / "config.local", f'[core]\n    site_cache_dir = """{folder}"""\n'
    if not path.exists() or not path.read_text(encoding="utf-8").startswith(text):
        write_text_atomically(path, f"{text}[cache]\n    type = {_link_type(workspace)},copy\n")


def _link_type(workspace: Workspace) -> str:
    from dvc_objects.fs.generic import test_links
    from dvc_objects.fs.local import LocalFileSystem

    here, cache, data = LocalFileSystem(), str(workspace.root / ".dvc" / "cache"), str(workspace.data / "any")
    found: list[str] = test_links(["reflink", "hardlink", "copy"], here, cache, here, data)
    return found[0]


class _DigestsOfPaths:
    """DVC's table from paths to digests of files, with a digest in place of each path.

    DVC's own table cannot store a path that is not UTF-8, and one such name would stop every run.
    """

    def __init__(self, table: Any) -> None:
        self._table = table

    def get(self, path: str) -> str | None:
        found: str | None = self._table.get(_digest(path))
        return found

    def get_many(self, paths: Iterable[str]) -> Iterator[tuple[str, str | None]]:
        listed = list(paths)
        yield from zip(listed, (found for _, found in self._table.get_many(map(_digest, listed))), strict=True)

    def set_many(self, items: Sequence[tuple[str, str]]) -> None:
        self._table.set_many([(_digest(path), entry) for path, entry in items])

    def __setitem__(self, path: str, entry: str) -> None:
        self._table[_digest(path)] = entry

    def close(self) -> None:
        self._table.close()


def _digest(path: str) -> str:
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()


def is_up_to_date(workspace: Workspace, stage: str) -> bool:
    """Whether ``dvc.lock`` matches inputs, parameters and outputs on disk. The caller holds the workspace's lock."""
    _repair_lock_file(workspace)
    with dvc_repository(workspace) as repository:
        return not repository.status(targets=[stage])


def record_stage(workspace: Workspace, stage: str) -> None:
    """Record the stage's inputs and outputs in ``dvc.lock`` and the cache. The caller holds the workspace's lock.

    Raises:
        WorkspaceBusy: LOCK_LOST.
    """
    require_lock(workspace)
    _repair_lock_file(workspace)
    with dvc_repository(workspace) as repository:
        # Without ``relink``, DVC copies into its cache.
        repository.commit(stage, force=True, relink=stage not in WRITTEN_IN_PLACE)
    write_text_atomically(_last_lock_file(workspace), (workspace.root / "dvc.lock").read_text())


def _last_lock_file(workspace: Workspace) -> Path:
    return workspace.state / "last_dvc_lock.yaml"


def _repair_lock_file(workspace: Workspace) -> None:
    """Restore a ``dvc.lock`` that was cut off. DVC does not write it atomically, and reads no damaged one.

    A killed process or a full disk leaves its beginning. If it is not valid, or lacks a stage, the last complete file
    takes its place; then only the stage that was being recorded runs again.
    """
    file, last = workspace.root / "dvc.lock", _last_lock_file(workspace)
    if not file.exists():
        return
    before = _stages_of(last) if last.exists() else set()
    found = _stages_of(file)
    if found is not None and before is not None and before <= found:
        return
    if before:
        write_text_atomically(file, last.read_text())
    elif found is None:
        file.unlink()


def _stages_of(lock_file: Path) -> set[str] | None:
    """The stages in a file of DVC's format, or None if it is damaged."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA

    try:
        content = yaml.load(lock_file.read_text(), Loader=yaml.CSafeLoader)
        COMPILED_LOCKFILE_SCHEMA(content)
    # The schema raises errors of several classes, some of them of Python, for a value that was cut off.
    except Exception:
        return None
    return set(content.get("stages", {}))


def data_version(workspace: Workspace, path: str = "data/dataset") -> str | None:
    """The content address of an output in ``dvc.lock``; None if no stage recorded it."""
    lock = workspace.root / "dvc.lock"
    if not lock.exists():
        return None
    for stage in (yaml.load(lock.read_text(), Loader=yaml.CSafeLoader) or {}).get("stages", {}).values():
        for out in stage.get("outs", ()):
            if out["path"] == path:
                return f"md5:{out['md5']}"
    return None

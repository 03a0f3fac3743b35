"""DVC: is a stage up to date, record that it ran, and which version of the data is this?

Contract: Dagster owns when and where, DVC owns bytes and versions. A stage that ran under Dagster is committed to
``dvc.lock``, so ``dvc repro`` afterwards has nothing to do; a stage that ``dvc repro`` ran is found up to date and is
not computed again. Telemetry and update checks are off.
"""

import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from typing import TYPE_CHECKING

import yaml

from orchestration.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from dvc.repo import Repo


@contextmanager
def dvc_repository(workspace: Workspace) -> Iterator["Repo"]:
    """The workspace's DVC repository, made at first use (without git unless the workspace is a git root)."""
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    import logging

    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)
    if not (workspace.root / ".dvc").is_dir():
        _initialise(workspace)
    # DVC resolves targets and its own run cache against the working directory, not against the repository.
    with chdir(workspace.root), Repo(str(workspace.root)) as repository:
        yield repository


def _initialise(workspace: Workspace) -> None:
    from dvc.repo import Repo

    workspace.root.mkdir(parents=True, exist_ok=True)
    with Repo.init(str(workspace.root), no_scm=True) as repository, repository.config.edit("repo") as config:
        config["core"] |= {"analytics": False, "check_update": False, "autostage": False}


def is_up_to_date(workspace: Workspace, stage: str) -> bool:
    """Whether the stage's recorded inputs, parameters and outputs are those on disk."""
    with dvc_repository(workspace) as repository:
        return not repository.status(targets=[stage])


def record_stage(workspace: Workspace, stage: str) -> None:
    """Record the stage's present inputs and outputs in ``dvc.lock`` and the cache."""
    with dvc_repository(workspace) as repository:
        repository.commit(stage, force=True)


def data_version(workspace: Workspace, path: str = "data/dataset") -> str | None:
    """DVC's content address of an output as recorded in ``dvc.lock``, None before it was recorded."""
    lock = workspace.root / "dvc.lock"
    if not lock.exists():
        return None
    for stage in (yaml.safe_load(lock.read_text()) or {}).get("stages", {}).values():
        for out in stage.get("outs", ()):
            if out["path"] == path:
                return f"md5:{out['md5']}"
    return None

"""DVC for the pipeline: tells whether a stage is up to date, records a stage, and gives the version of the data.

Contract: Dagster decides when a stage runs; DVC stores data and versions. A stage that ran under Dagster is committed
to ``dvc.lock``, so ``dvc repro`` has nothing to do afterwards. A stage that ``dvc repro`` ran is up to date for
Dagster. Telemetry and update checks are off.
"""

import logging
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
    """The workspace's DVC repository. It is created at first use, without git."""
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")

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
    """Whether ``dvc.lock`` matches the inputs, parameters and outputs on disk."""
    with dvc_repository(workspace) as repository:
        return not repository.status(targets=[stage])


def record_stage(workspace: Workspace, stage: str) -> None:
    """Record the stage's current inputs and outputs in ``dvc.lock`` and the cache."""
    with dvc_repository(workspace) as repository:
        repository.commit(stage, force=True)


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

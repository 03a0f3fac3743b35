"""Workspaces for the commands of the gate."""

import shutil
from pathlib import Path

import pytest

from orchestration.pipeline.workspace import Workspace
from tests.served_workspace import candidate, served_workspace, without_report


@pytest.fixture(scope="package")
def served_once(tmp_path_factory: pytest.TempPathFactory, empty_mlflow_database: Path) -> Workspace:
    with pytest.MonkeyPatch.context() as patch:
        made = served_workspace(tmp_path_factory.mktemp("served") / "ws", patch, empty_mlflow_database)
        candidate(made, "ccc", noise=0.3)
    return made


@pytest.fixture
def served(served_once: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with champion version 2, previous champion version 1, and a candidate that may be promoted."""
    without_report(monkeypatch)
    return Workspace(Path(shutil.copytree(served_once.root, tmp_path / "ws")))

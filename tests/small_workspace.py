"""A workspace with a valid dataset of 25 virtual patients, in which nothing is fitted yet, under a loose policy.

Rendering the patients takes most of its time, so the tests that need one copy what a session makes once.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from orchestration.cli.pipeline import prepare_workspace
from orchestration.pipeline.steps import compute_step
from orchestration.pipeline.workspace import Workspace
from tests.loosened_policy import loosened_rules
from validation.gates.policy import DEFAULT_POLICY

POLICY = "loose.yaml"
SETTINGS = (
    "cohort.count=25", "dataset.test_patients=8", "dataset.validation_fraction=0.2",
    "training.init_from=bundled", "training.heatmap_stride=4", "training.learning_rate=0.0001", "training.epochs=1",
    "training.minutes=null", f"gate.policy={POLICY}",
)  # fmt: skip


def small_workspace(
    root: Path, made_once: Callable[[str, Callable[[Path], object]], Path], mlflow_database: Path | None = None
) -> Workspace:
    """Copy the dataset that this session makes once to ``root``, with MLflow on a copy of a database."""
    shutil.copytree(made_once("small-dataset", _make), root, dirs_exist_ok=True, symlinks=True)
    workspace = Workspace(root)
    workspace.prepare()
    if mlflow_database is not None:
        shutil.copy(mlflow_database, workspace.state / "mlflow" / "mlflow.db")
    return workspace


def _make(folder: Path) -> None:
    write_loose_policy(folder / POLICY)
    prepare_workspace(Workspace(folder), "virtual", None, SETTINGS)
    for name in ("cohort", "studies", "landmarks", "dataset", "validation"):
        compute_step(name, Workspace(folder))


def write_loose_policy(path: Path, **changed: Any) -> None:
    """Write the default policy with limits that every model keeps, and with the given sections in their place."""
    content = yaml.safe_load(DEFAULT_POLICY.read_text())
    content["rules"] = loosened_rules(content["rules"])
    content["seeds"].pop("known")
    content["virtual_study"] = {"tolerance_deg": 1e6, "seconds": 600.0, "reason": "one epoch on two cores"}
    path.write_text(yaml.safe_dump(content | changed))

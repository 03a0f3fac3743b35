"""One small run of the whole pipeline, made once a session and shared by the tests of this folder."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from orchestration.cli.pipeline import prepare_workspace
from orchestration.dagster.run import RunOutcome, run_retrain
from orchestration.environment import quiet_environment
from orchestration.pipeline.workspace import Workspace
from tests.loosened_policy import loosened_rules
from validation.gates.policy import DEFAULT_POLICY

TINY = (
    "cohort.count=36",
    "cohort.rows=256",
    "cohort.columns=128",
    "cohort.downsample=15",
    "dataset.landmark_set=galbusera39",  # half as many heat maps as with margins
    "dataset.test_patients=8",
    "dataset.validation_fraction=0.2",
    "training.epochs=30",
    "training.batch_size=4",
    "training.heatmap_stride=4",
    "training.learning_rate=0.002",
    "training.minutes=4.0",
    "training.input_shape=[128, 64]",
)


@dataclass(frozen=True)
class FinishedRun:
    """A workspace after a run of the pipeline."""

    workspace: Workspace
    outcome: RunOutcome


def loosened_policy(path: Path) -> None:
    """Write the default policy with limits that every model keeps, on the one parameter that a tiny model measures.

    Its requirements for evidence, and for the comparison of challenger and champion, are not loosened.
    """
    content = yaml.safe_load(DEFAULT_POLICY.read_text())
    content["rules"] = loosened_rules(content["rules"], only="cobb")
    waived = {"tolerance_deg": 1e6, "least_answers": 0, "seconds": 600.0, "reason": "a tiny model measures little"}
    content["virtual_study"] = waived
    path.write_text(yaml.safe_dump(content))


@pytest.fixture(scope="session")
def quiet():
    before = dict(os.environ)
    os.environ.update(quiet_environment())
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, quiet) -> FinishedRun:
    """The first run, under a policy whose limits this tiny model keeps."""
    workspace = Workspace(tmp_path_factory.mktemp("finished"))
    loosened_policy(workspace.root / "loose.yaml")
    prepare_workspace(workspace, "virtual", None, (*TINY, "gate.policy=loose.yaml"))
    return FinishedRun(workspace, run_retrain(workspace, on_step=lambda report: None))

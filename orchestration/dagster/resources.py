"""Resources: what differs from machine to machine, or from test to production, as Dagster hands it to assets.

Contract: nothing is read or made before a run asks for it; each can be replaced in a test by ``resources_for`` or by
its key. Parameters of the pipeline stand in ``params.yaml``.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.dagster.run_progress import LogWatcher
from orchestration.environment import DEFAULT_MLFLOW_UI, MLFLOW_UI_VARIABLE, WORKSPACE_VARIABLE
from orchestration.pipeline import steps
from orchestration.pipeline.lock import workspace_lock
from orchestration.pipeline.params import Params, change_params, read_params
from orchestration.pipeline.stages import STAGES
from orchestration.pipeline.step_report import StepReport
from orchestration.pipeline.versioning import data_version
from orchestration.pipeline.workspace import Workspace
from spine.types import Progress


class WorkspacePaths(dg.ConfigurableResource["WorkspacePaths"]):
    """Where the chain keeps everything; reading needs no more than this.

    Attributes:
        root: the workspace's folder.
    """

    root: str

    @property
    def folders(self) -> Workspace:
        """The workspace."""
        return Workspace(Path(self.root))

    @property
    def params(self) -> Params:
        """Its parameters; raises ``ParametersRejected``."""
        return read_params(self.folders.params_file)


class WritableWorkspace(WorkspacePaths):
    """The workspace, held by one run at a time; raises ``WorkspaceBusy`` while another one has it."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[WorkspacePaths, None, None]:
        """Hold the chain's lock as long as the run lives."""
        with workspace_lock(self.folders):
            yield self


class DataVersions(dg.ConfigurableResource[None]):
    """DVC around the steps.

    Attributes:
        enabled: skip steps that DVC finds up to date and record those that ran; without it every step is computed.
    """

    enabled: bool = True

    def run(self, step: str, workspace: Workspace, progress: Progress) -> StepReport:
        """Run a step of the chain."""

        return (steps.run_step if self.enabled else steps.compute_step)(step, workspace, progress)

    def version(self, step: str, workspace: Workspace) -> str | None:
        """DVC's content address of the step's first output, None where it was not recorded."""

        outputs = next((stage.outs for stage in STAGES if stage.name == step), ())
        return data_version(workspace, outputs[0]) if self.enabled and outputs else None


class ModelTracking(dg.ConfigurableResource[None]):
    """MLflow.

    Attributes:
        uri: tracking and registry database or server; the workspace's own when None.
        ui: address of its pages for links; ``PLUMBLINE_MLFLOW_UI``, or the address ``make up`` uses, when None.
    """

    uri: str | None = None
    ui: str | None = None

    def applied_to(self, workspace: Workspace) -> Workspace:
        """The workspace, with its models tracked where this resource says."""
        return _TrackedElsewhere(workspace.root, self.uri) if self.uri else workspace

    def run_url(self, experiment_id: str, run_id: str) -> str:
        """The page of an MLflow run, in the layout for trained models (the default is the one for chat bots)."""
        ui = self.ui or dg.EnvVar(MLFLOW_UI_VARIABLE).get_value(DEFAULT_MLFLOW_UI)
        return f"{ui}/#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"


class TrainingDevice(dg.ConfigurableResource[None]):
    """What this machine trains on, where it differs from params.yaml; None leaves what is written there."""

    device: str | None = None
    precision: str | None = None
    workers: int | None = None

    def write_into_params(self, workspace: Workspace, typed: Mapping[str, Any] | None = None) -> None:
        """Write the values of this machine, and those typed for this run over them, into params.yaml.

        DVC and every later reader then see what was trained with, and the next run keeps it, as after ``--set``.

        Raises:
            ParametersRejected: a value that ``training`` in params.yaml does not permit.
        """
        wanted = {k: getattr(self, k) for k in ("device", "precision", "workers") if getattr(self, k) is not None}
        changes = {"training": {**wanted, **(typed or {})}}
        change_params(workspace.params_file, changes, "the run config or the resource `training_device`")


@dataclass(frozen=True)
class _TrackedElsewhere(Workspace):
    """A workspace whose models are tracked at ``uri``."""

    uri: str

    @property
    def tracking_uri(self) -> str:
        """``uri``."""
        return self.uri


def resources_for(root: str, **replaced: Any) -> dict[str, Any]:
    """Every resource of the definitions for one workspace; keyword arguments replace single ones by key."""
    return {
        "paths": WorkspacePaths(root=root),
        "workspace": WritableWorkspace(root=root),
        "versions": DataVersions(),
        "tracking": ModelTracking(),
        "training_device": TrainingDevice(),
        "watcher": LogWatcher(),
    } | replaced


def default_resources() -> dict[str, Any]:
    """The resources under the services: the workspace is the one that ``PLUMBLINE_WORKSPACE`` names."""
    return resources_for(dg.EnvVar(WORKSPACE_VARIABLE))

"""Dagster resources: workspace, DVC, MLflow and training device, which differ between machines and in tests.

Contract: nothing is read or made before a run uses it. For tests, ``resources_for`` can replace a resource by its key.
The parameters of the pipeline are not resources: they are in ``params.yaml``.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.dagster.run_progress import LogWatcher
from orchestration.environment import WORKSPACE_VARIABLE
from orchestration.pipeline import steps
from orchestration.pipeline.lock import workspace_lock
from orchestration.pipeline.params import Params, change_params, read_params
from orchestration.pipeline.stages import OUTPUTS
from orchestration.pipeline.step_report import StepReport
from orchestration.pipeline.versioning import data_version
from orchestration.pipeline.workspace import Workspace
from spine.types import Progress


class WorkspacePaths(dg.ConfigurableResource["WorkspacePaths"]):
    """The workspace's folders, for reading.

    Attributes:
        root: the workspace's folder.
    """

    root: str

    @property
    def folders(self) -> Workspace:
        """The workspace, which gives the paths of its folders."""
        return Workspace(Path(self.root))

    @property
    def params(self) -> Params:
        """The workspace's parameters; raises ``ParametersRejected``."""
        return read_params(self.folders.params_file)


class WritableWorkspace(WorkspacePaths):
    """The workspace, locked for one run; raises ``WorkspaceBusy`` while another run has the lock."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[WorkspacePaths, None, None]:
        """Lock the workspace until the run ends."""
        with workspace_lock(self.folders, context.run.run_id if context.run else ""):
            yield self


class DataVersions(dg.ConfigurableResource[None]):
    """DVC, which skips steps that are up to date and records the steps that run.

    Attributes:
        enabled: whether DVC is used. Without DVC, every step runs and no step is recorded.
    """

    enabled: bool = True

    def run(self, step: str, workspace: Workspace, progress: Progress) -> StepReport:
        """Run a step of the pipeline."""
        return (steps.run_step if self.enabled else steps.compute_step)(step, workspace, progress)

    def version(self, step: str, workspace: Workspace) -> str | None:
        """DVC's content address of the step's first output; None if the output was not recorded."""
        outputs = OUTPUTS.get(step)
        return data_version(workspace, outputs[0]) if self.enabled and outputs else None


class ModelTracking(dg.ConfigurableResource[None]):
    """MLflow: where runs and models are tracked.

    Attributes:
        uri: database or server for tracking and registry; None for ``PLUMBLINE_TRACKING_URI`` or else the workspace's
            own database.
    """

    uri: str | None = None

    def applied_to(self, workspace: Workspace) -> Workspace:
        """The workspace, with its models tracked at ``uri``."""
        return replace(workspace, tracking=self.uri) if self.uri else workspace


class TrainingDevice(dg.ConfigurableResource[None]):
    """Training parameters of this machine; None keeps the value of params.yaml."""

    device: str | None = None
    precision: str | None = None
    workers: int | None = None

    def write_into_params(self, workspace: Workspace, launchpad: Mapping[str, Any] | None = None) -> None:
        """Write this machine's values into params.yaml. Values from the launchpad override them.

        DVC then records the values that were used, and the next run uses these values too, as after ``--set``.

        Raises:
            ParametersRejected: a value violates the schema of params.yaml.
        """
        wanted = {k: getattr(self, k) for k in ("device", "precision", "workers") if getattr(self, k) is not None}
        changes = {"training": {**wanted, **(launchpad or {})}}
        change_params(workspace.params_file, changes, "the run config or the resource `training_device`")


def resources_for(root: str, **replaced: Any) -> dict[str, Any]:
    """All resources for one workspace; a keyword argument replaces the resource with that key."""
    return {
        "paths": WorkspacePaths(root=root),
        "workspace": WritableWorkspace(root=root),
        "versions": DataVersions(),
        "tracking": ModelTracking(),
        "training_device": TrainingDevice(),
        "watcher": LogWatcher(),
    } | replaced


def default_resources() -> dict[str, Any]:
    """The resources under ``make up``, for the workspace that ``PLUMBLINE_WORKSPACE`` names."""
    return resources_for(dg.EnvVar(WORKSPACE_VARIABLE))

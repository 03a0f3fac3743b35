"""Assets of the model: the candidate, its evaluation, its registration.

Contract: names and edges are the same as in ``orchestration.pipeline.stages.STAGES``.
"""

from functools import partial

import dagster as dg

from orchestration.dagster.assets.data import Watcher
from orchestration.dagster.assets.launchpad import configured_asset, given_tags, launchpad_parameters
from orchestration.dagster.assets.materialising import (
    NO_CONFIG,
    Materialised,
    materialised,
    pipeline_step,
    refusals_as_failures,
)
from orchestration.dagster.pipes import workers_under_pipes
from orchestration.dagster.resources import DataVersions, ModelTracking, TrainingDevice, WritableWorkspace
from orchestration.lifecycle.registration import register_candidate

_configured = partial(configured_asset, group_name="model", owners=["team:model"], code_version="1")
_asset = partial(dg.asset, group_name="model", owners=["team:model"], code_version="1", config_schema=NO_CONFIG)


@_configured("training", kinds={"pytorch", "dvc"}, deps=["dataset", "validation"])
def candidate(
    context: dg.AssetExecutionContext,
    workspace: WritableWorkspace,
    versions: DataVersions,
    training_device: TrainingDevice,
    watcher: Watcher,
) -> Materialised:
    """A trained network with a DSNT layer, exported with its preprocessing contract and calibration."""
    with refusals_as_failures():
        training_device.write_into_params(workspace.folders, launchpad_parameters(context, "training"))
    with workers_under_pipes(context):
        return pipeline_step("candidate", workspace, versions, watcher)


@_asset(kinds={"onnx", "dvc"}, deps=["dataset", "candidate"])
def evaluation(workspace: WritableWorkspace, versions: DataVersions, watcher: Watcher) -> Materialised:
    """The candidate's errors on the frozen test set: agreement per parameter, distance per landmark, overlays."""
    return pipeline_step("evaluation", workspace, versions, watcher)


@_asset(kinds={"mlflow"}, deps=[evaluation])
def registered_candidate(
    context: dg.AssetExecutionContext, workspace: WritableWorkspace, tracking: ModelTracking, watcher: Watcher
) -> Materialised:
    """The candidate as an MLflow run (with training journal and evidence) and as a registered model version."""
    tracked = tracking.applied_to(workspace.folders)
    tags = {"dagster.run_id": context.run.run_id, **given_tags(context)}
    work = lambda _: register_candidate(tracked, workspace.params, tags)  # noqa: E731
    return materialised("registered_candidate", watcher, work)

"""Assets of the data: from patients to a validated dataset.

Contract: names and edges are the same as in ``orchestration.pipeline.stages.STAGES``. The exception is ``batch``: DVC
tracks the inbox as one folder, but Dagster tracks each batch in the inbox.
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg

from orchestration.dagster.assets.batch_check import BATCH_IS_USABLE, batch_is_usable
from orchestration.dagster.assets.launchpad import configured_asset
from orchestration.dagster.assets.materialising import (
    NO_CONFIG,
    Materialised,
    configured_step,
    materialised,
    pipeline_step,
)
from orchestration.dagster.resources import DataVersions, WritableWorkspace
from orchestration.dagster.run_progress import StepWatcher
from orchestration.pipeline.drift import compare_with_training
from orchestration.pipeline.intake import ingest_batch
from orchestration.pipeline.step_report import StepReport
from orchestration.tracking.drift_history import log_drift
from spine.types import Progress

_configured = partial(configured_asset, group_name="data", owners=["team:data"], code_version="1")
_asset = partial(dg.asset, group_name="data", owners=["team:data"], code_version="1", config_schema=NO_CONFIG)
BATCHES = dg.DynamicPartitionsDefinition(name="batches")

Watcher = dg.ResourceParam[StepWatcher]


@_configured("cohort", kinds={"python", "dicom"})
def cohort(
    context: dg.AssetExecutionContext,
    workspace: WritableWorkspace,
    versions: DataVersions,
    watcher: Watcher,
) -> Materialised:
    """Virtual patients: radiographs in the scanner's geometry as DICOM, with their 3D reconstructions.

    This step is skipped if the studies come from a real source.
    """
    return configured_step(context, "cohort", "cohort", workspace, versions, watcher)


@_asset(kinds={"python", "dicom"}, partitions_def=BATCHES, check_specs=[BATCH_IS_USABLE])
def batch(context: dg.AssetExecutionContext, workspace: WritableWorkspace, watcher: Watcher) -> Iterator[Materialised]:
    """A folder of studies from the inbox, taken into the study store once.

    A batch with new or corrected files has a new key, so it is taken in again.
    """
    folders, key = workspace.folders, context.partition_key
    check = partial(batch_is_usable, folders, key)
    yield materialised("batch", watcher, lambda p: ingest_batch(folders, key, p), check=check)


@_configured("source", kinds={"python", "dvc"}, deps=["cohort", batch])
def studies(
    context: dg.AssetExecutionContext,
    workspace: WritableWorkspace,
    versions: DataVersions,
    watcher: Watcher,
) -> Materialised:
    """Checked, calibrated, pseudonymous studies of the source and of every finished batch.

    Studies that cannot be used are in quarantine with a reason, and incomplete studies are waiting. Received = used +
    already present + waiting + quarantined.
    """
    return configured_step(context, "studies", "source", workspace, versions, watcher)


@_asset(kinds={"python", "mlflow"}, deps=[batch, "studies"])
def drift(workspace: WritableWorkspace, watcher: Watcher) -> Materialised:
    """New studies compared with the training population: scanner, spacing, field of view, age, severity, grey values.

    New studies are those that the dataset does not contain yet. The distances are also in MLflow, over time.
    """

    def work(progress: Progress) -> StepReport:
        report = compare_with_training(workspace.folders, workspace.params, progress)
        log_drift(workspace.folders)
        return report

    return materialised("drift", watcher, work)


@_asset(kinds={"python", "dvc"}, deps=["studies"])
def landmarks(workspace: WritableWorkspace, versions: DataVersions, watcher: Watcher) -> Materialised:
    """3D landmarks projected into each view; a point outside the image is absent."""
    return pipeline_step("landmarks", workspace, versions, watcher)


@_configured("dataset", kinds={"python", "dvc"}, deps=["studies", landmarks, drift])
def dataset(
    context: dg.AssetExecutionContext,
    workspace: WritableWorkspace,
    versions: DataVersions,
    watcher: Watcher,
) -> Materialised:
    """Manifest and images, split by patient, with the frozen test set on which all models are evaluated."""
    return configured_step(context, "dataset", "dataset", workspace, versions, watcher)


@_configured("validation", kinds={"greatexpectations", "dvc"}, deps=["dataset"])
def validation(
    context: dg.AssetExecutionContext,
    workspace: WritableWorkspace,
    versions: DataVersions,
    watcher: Watcher,
) -> Materialised:
    """Checks of studies, landmarks and splits with Great Expectations. A page lists failed studies with reasons."""
    return configured_step(context, "validation", "validation", workspace, versions, watcher)

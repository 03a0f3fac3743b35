"""Assets of the data: from patients to a validated dataset.

Contract: names and edges are those of ``orchestration.pipeline.stages.STAGES``, and ``batch`` beside them, because DVC
knows the inbox as a folder and Dagster each batch in it.
"""

from functools import partial

import dagster as dg

from orchestration.dagster.assets.materialising import NO_CONFIG, Materialised, materialised, pipeline_step
from orchestration.dagster.resources import DataVersions, WorkspacePaths, WritableWorkspace
from orchestration.dagster.run_progress import StepWatcher
from orchestration.pipeline.intake import ingest_batch

GROUP = "data"
OWNERS = ["team:data"]
_asset = partial(dg.asset, group_name=GROUP, owners=OWNERS, code_version="1", config_schema=NO_CONFIG)
BATCHES = dg.DynamicPartitionsDefinition(name="batches")

Watcher = dg.ResourceParam[StepWatcher]


@_asset(kinds={"python", "dicom"})
def cohort(workspace: WritableWorkspace, versions: DataVersions, watcher: Watcher) -> Materialised:
    """Virtual patients, posed, imaged in the scanner's geometry and written as DICOM beside their reconstruction.

    Not needed (and says so) when the studies come from a real source.
    """
    return pipeline_step("cohort", workspace, versions, watcher)


@_asset(kinds={"python", "dicom"}, partitions_def=BATCHES)
def batch(context: dg.AssetExecutionContext, workspace: WritableWorkspace, watcher: Watcher) -> Materialised:
    """A folder of studies dropped into the inbox, taken into the study store once and only once.

    A corrected batch has a new key (its `COMPLETE` marker is newer) and is a batch of its own.
    """

    return materialised("batch", watcher, lambda p: ingest_batch(workspace.folders, context.partition_key, p))


@_asset(kinds={"python", "dvc"}, deps=[cohort, batch])
def studies(workspace: WritableWorkspace, versions: DataVersions, watcher: Watcher) -> Materialised:
    """Checked, calibrated, pseudonymous studies of the source and of every finished batch.

    What cannot be used lies in quarantine with a named reason; received = used + already present + quarantined.
    """
    return pipeline_step("studies", workspace, versions, watcher)


@_asset(kinds={"python", "dvc"}, deps=[studies])
def landmarks(workspace: WritableWorkspace, versions: DataVersions, watcher: Watcher) -> Materialised:
    """3D landmarks projected into each view; a point outside the image is absent."""
    return pipeline_step("landmarks", workspace, versions, watcher)


@_asset(kinds={"python", "dvc"}, deps=[studies, landmarks])
def dataset(workspace: WritableWorkspace, versions: DataVersions, watcher: Watcher) -> Materialised:
    """Manifest and images, split by patient, with the frozen test set that every later figure refers to."""
    return pipeline_step("dataset", workspace, versions, watcher)


@_asset(kinds={"greatexpectations", "dvc"}, deps=[dataset])
def validation(workspace: WritableWorkspace, versions: DataVersions, watcher: Watcher) -> Materialised:
    """What must be true of studies, landmarks and splits, as pages that name each offending study and why."""
    return pipeline_step("validation", workspace, versions, watcher)


__all__ = ["BATCHES", "WorkspacePaths", "batch", "cohort", "dataset", "landmarks", "studies", "validation"]

"""Sensors, which start runs when new data arrive.

Contract: a sensor decides from the files on disk and the runs in the instance, never from a cursor. A daemon that was
down therefore catches up, and a crash between two writes does no harm. Dagster runs each run key once, so the key of a
retry contains the number of the attempt. A tick lists folders and reads small files: the index of the dataset, but
no example and no study.
"""

import time
from collections.abc import Sequence

import dagster as dg

from orchestration.dagster.assets.data import BATCHES
from orchestration.dagster.jobs import INGEST_BATCH, RETRAIN
from orchestration.dagster.resources import WorkspacePaths
from orchestration.pipeline.corrections import waiting_corrections
from orchestration.pipeline.drift import latest_drift, populations_of
from orchestration.pipeline.intake import Batch, finished_batches, is_taken_in
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected
from spine.intake.source_files import ABORTED_AFTER_S

BATCH_TAG, ATTEMPT_TAG = "plumbline/batch", "plumbline/attempt"
ATTEMPTS = 3
PAUSE_BEFORE_RETRY_S = 300.0
"""This pause is multiplied by the number of attempts so far, because freeing a full disk takes time."""

_UNFINISHED = [dg.DagsterRunStatus[name] for name in ("QUEUED", "STARTING", "STARTED", "CANCELING")]
"""Without NOT_STARTED: the daemon queues a run at once, so a run that stays there was killed in its first seconds."""


@dg.sensor(
    name="inbox",
    job_name=INGEST_BATCH,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes in each batch in data/inbox once, when its COMPLETE marker is there. A batch is a partition.",
)
def inbox(context: dg.SensorEvaluationContext, paths: WorkspacePaths) -> dg.SensorResult | dg.SkipReason:
    """Request an ingest run for each new batch, and retry failed runs up to ``ATTEMPTS`` times.

    A batch with waiting studies is read again after ``ABORTED_AFTER_S``, when a copy that has stopped is refused.
    """
    batches = finished_batches(paths.folders)
    known = set(context.instance.get_dynamic_partitions(str(BATCHES.name)))
    new = [batch.key for batch in batches if batch.key not in known]
    requests = [request for batch in batches if (request := _request(batch, context.instance, paths)) is not None]
    if not requests:
        return dg.SkipReason(f"no batch to take in now; finished batches in the inbox: {len(batches)}")
    return dg.SensorResult(
        run_requests=requests, dynamic_partitions_requests=[BATCHES.build_add_request(new)] if new else []
    )


def _request(batch: Batch, instance: dg.DagsterInstance, paths: WorkspacePaths) -> dg.RunRequest | None:
    """The run that a batch needs now (its first run or a retry); None if it needs no run."""
    if is_taken_in(paths.folders, batch):
        return None
    runs = instance.get_run_records(dg.RunsFilter(job_name=INGEST_BATCH, tags={BATCH_TAG: batch.key}))
    attempt = len(runs) + 1
    statuses = {record.dagster_run.status for record in runs}
    waiting = statuses == {dg.DagsterRunStatus.SUCCESS}
    pause = ABORTED_AFTER_S if waiting else PAUSE_BEFORE_RETRY_S * len(runs)
    ended = max((r.end_time or r.create_timestamp.timestamp() for r in runs), default=0.0)
    retried = waiting or (statuses <= {dg.DagsterRunStatus.FAILURE} and attempt <= ATTEMPTS)
    if not retried or time.time() < ended + pause:
        return None
    return dg.RunRequest(
        run_key=batch.key if attempt == 1 else f"{batch.key}#attempt-{attempt}",
        partition_key=batch.key,
        tags={BATCH_TAG: batch.key, ATTEMPT_TAG: str(attempt)},
    )


@dg.sensor(
    name="enough_new_studies",
    job_name=RETRAIN,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests retraining when retrain.minimum_new_studies studies and corrections have arrived since "
    "the last dataset, or when new studies have drifted and retrain.on_drift is set.",
)
def enough_new_studies(context: dg.SensorEvaluationContext, paths: WorkspacePaths) -> dg.RunRequest | dg.SkipReason:
    """Request a retraining each time ``minimum_new_studies`` have arrived, if no retraining is queued or running."""
    try:
        wanted = paths.params.retrain.minimum_new_studies
    except ParametersRejected as error:
        return dg.SkipReason(str(error))
    if context.instance.get_runs_count(dg.RunsFilter(job_name=RETRAIN, statuses=_UNFINISHED)):
        return dg.SkipReason("a retraining is queued or running")
    base, new = new_studies(paths.folders)
    drifted = _drifted(paths, len(new))
    if drifted and len(new) < wanted:
        return dg.RunRequest(run_key=f"{base}+drift", tags={"plumbline/reason": drifted})
    if len(new) < wanted:
        return dg.SkipReason(
            f"{len(new)} new studies and corrections since the last dataset; a retraining starts at {wanted}"
        )
    return dg.RunRequest(
        run_key=f"{base}+{len(new) // wanted}x{wanted}",
        tags={"plumbline/reason": f"{len(new)} new studies and corrections since the last dataset"},
    )


def _drifted(paths: WorkspacePaths, waiting: int) -> str:
    """Why drift asks for a retraining now; "" if it does not. It asks once for each dataset.

    The comparison counts only while its new studies are still ``waiting``, and not after a retraining has used them.
    """
    found = latest_drift(paths.folders)
    if not paths.params.retrain.on_drift or found is None or found.outcome != "drifted":
        return ""
    if waiting < found.new_studies:
        return ""
    return f"{found.new_studies} new studies differ from the training population in {len(found.drifted)} features"


def new_studies(workspace: Workspace) -> tuple[str, Sequence[str]]:
    """The last dataset's short digest (``none`` without a dataset), and what it does not contain yet.

    These are stored studies, by id, and corrections that the next intake takes in, by the digest of their record.
    Studies that the build left out with a reason are not new, because they would be left out again.
    """
    found = populations_of(workspace)
    return found.digest[:12] or "none", [*found.new, *waiting_corrections(workspace)]

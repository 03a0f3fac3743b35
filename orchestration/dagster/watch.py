"""Sensors that look after the runs: abandoned ones, failed ones, and a retraining that no longer happens.

Contract: these sensors start no run. They decide from the runs in the instance, and ``alert`` says nothing twice.
"""

import json
import time
from datetime import UTC, datetime

import dagster as dg

from orchestration.alerts import alert
from orchestration.dagster.instance import fail_abandoned_runs
from orchestration.dagster.jobs import JOBS, RETRAIN
from orchestration.dagster.overview import next_schedules
from orchestration.dagster.resources import WorkspacePaths
from orchestration.dagster.sensors import new_studies
from orchestration.pipeline.params import Params
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected

STALE_CHECK = dg.AssetCheckKey(dg.AssetKey("candidate"), "retraining_is_recent")

_SECONDS_A_DAY = 86_400.0


@dg.sensor(
    name="abandoned_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs without a process as failed, so that they do not block the queue. Alerts if no retraining "
    "has succeeded for retrain.alert_after_days.",
)
def abandoned_runs(context: dg.SensorEvaluationContext, paths: WorkspacePaths) -> dg.SkipReason:
    """Fail abandoned runs, and say so if the retraining is stale."""
    first_seen: dict[str, float] = json.loads(context.cursor or "{}")
    dead = fail_abandoned_runs(context.instance, paths.folders, first_seen=first_seen)
    context.update_cursor(json.dumps(first_seen))
    try:
        stale = stale_retraining(context.instance, paths.folders, paths.params)
    except ParametersRejected as error:
        stale = str(error)
    if stale and alert(paths.folders, "retraining_stale", stale):
        context.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=STALE_CHECK.asset_key,
                check_name=STALE_CHECK.name,
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description=stale,
                metadata={},
            )
        )
    ended = f"{len(dead)} run(s) without a process marked as failed"
    return dg.SkipReason("; ".join(filter(None, (ended, stale))))


def stale_retraining(instance: dg.DagsterInstance, workspace: Workspace, params: Params) -> str:
    """Why a retraining is overdue; "" if it is not.

    It is overdue if none has succeeded for ``retrain.alert_after_days`` although the schedule is on, or although enough
    new studies wait. Before the first retraining nothing is overdue.
    """
    since, limit = _last_success(instance), params.retrain.alert_after_days
    if since is None or time.time() - since < limit * _SECONDS_A_DAY:
        return ""
    on = any(at is not None for _, at in next_schedules(instance))
    waiting = len(new_studies(workspace)[1])
    if not on and waiting < params.retrain.minimum_new_studies:
        return ""
    why = "the schedule is on" if on else f"{waiting} new studies wait"
    last = datetime.fromtimestamp(since, UTC).date().isoformat()
    return f"no retraining has succeeded since {last}, for more than {limit} days, although {why}"


def _last_success(instance: dg.DagsterInstance) -> float | None:
    """The end of the last successful retraining, or else the time of the first attempt; None if there was none."""
    done = instance.get_run_records(
        dg.RunsFilter(job_name=RETRAIN, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=1, order_by="id"
    )
    if done:
        return done[0].end_time or done[0].create_timestamp.timestamp()
    tried = instance.get_run_records(dg.RunsFilter(job_name=RETRAIN), limit=1, order_by="id", ascending=True)
    return tried[0].create_timestamp.timestamp() if tried else None


@dg.run_failure_sensor(
    name="failed_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    monitored_jobs=list(JOBS),
    description="Alerts when a run fails, whatever the reason is.",
)
def failed_runs(context: dg.RunFailureSensorContext, paths: WorkspacePaths) -> None:
    """Say which run failed in which step with which code; the run's page has the rest."""
    run, codes = context.dagster_run, []
    for event in context.get_step_failure_events():
        failure = event.step_failure_data.user_failure_data
        code = failure.metadata.get("code") if failure is not None else None
        codes.append(f"{event.step_key}: {code.value if code is not None else 'an error, see the run'}")
    alert(
        paths.folders,
        "run_failed",
        f"run {run.run_id[:8]} of job {run.job_name} failed ({'; '.join(codes) or 'no process'})",
    )

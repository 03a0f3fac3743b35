"""Schedules: what runs because of the time.

Contract: running by default; a week without new data costs a few seconds, because unchanged steps are not repeated.
"""

import dagster as dg

from orchestration.dagster.jobs import retrain

retrain_weekly = dg.ScheduleDefinition(
    name="retrain_weekly",
    job=retrain,
    cron_schedule="0 3 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Mondays at 03:00 UTC, whatever has come in.",
)

SCHEDULES = (retrain_weekly,)

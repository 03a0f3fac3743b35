"""Schedules, which start runs at a fixed time.

Contract: schedules are on by default. A week without new data costs a few seconds, because unchanged steps are skipped.
"""

import dagster as dg

from orchestration.dagster.jobs import retrain

retrain_weekly = dg.ScheduleDefinition(
    name="retrain_weekly",
    job=retrain,
    cron_schedule="0 3 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Runs the whole pipeline on Mondays at 03:00 UTC.",
)

SCHEDULES = (retrain_weekly,)

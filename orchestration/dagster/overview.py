"""What Dagster does in a workspace: unfinished runs, the last finished runs, and the next scheduled run."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from dagster._utils.schedules import cron_string_iterator  # no public function gives the next time of a schedule

from orchestration.dagster.schedules import SCHEDULES

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_UNFINISHED = [s for s in dg.DagsterRunStatus if s not in FINISHED and s is not dg.DagsterRunStatus.MANAGED]


@dataclass(frozen=True)
class RunLine:
    """One run: its id, job and status in Dagster's words, and its times (UTC); a time is None before it happens."""

    run_id: str
    job: str
    status: str
    started: datetime | None
    ended: datetime | None


def present_runs(instance: dg.DagsterInstance, finished: int) -> list[RunLine]:
    """All unfinished runs and the last ``finished`` others, newest first."""
    return [
        *_lines(instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED))),
        *_lines(instance.get_run_records(dg.RunsFilter(statuses=FINISHED), limit=finished)),
    ]


def _lines(records: Sequence[dg.RunRecord]) -> Iterator[RunLine]:
    for record in records:
        run = record.dagster_run
        job = "assets" if run.job_name.startswith("__") else run.job_name  # Dagster's name for chosen assets
        yield RunLine(run.run_id, job, run.status.value, _time(record.start_time), _time(record.end_time))


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def next_schedules(instance: dg.DagsterInstance) -> list[tuple[str, datetime | None]]:
    """Each schedule's name and next time; None if a person switched the schedule off."""
    off = {state.name for state in instance.all_instigator_state() if state.status.value == "STOPPED"}
    return [(schedule.name, None if schedule.name in off else _next(schedule)) for schedule in SCHEDULES]


def _next(schedule: dg.ScheduleDefinition) -> datetime:
    cron, zone = str(schedule.cron_schedule), schedule.execution_timezone
    return next(cron_string_iterator(time.time(), cron, zone)).astimezone(UTC)

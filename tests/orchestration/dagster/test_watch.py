"""Runs that died, a retraining that no longer happens and batches that bring nothing are noticed."""

import json
import time
from datetime import UTC, datetime

import dagster as dg
import pytest

from orchestration.alerts import alerts_since
from orchestration.dagster import watch
from orchestration.dagster.assets import data
from orchestration.dagster.definitions import definitions_with
from orchestration.dagster.instance import fail_abandoned_runs, open_instance
from orchestration.dagster.jobs import INGEST_BATCH, RETRAIN
from orchestration.dagster.resources import WorkspacePaths, resources_for
from orchestration.dagster.run import run_retrain
from orchestration.dagster.sensors import enough_new_studies
from orchestration.dagster.watch import STALE_CHECK, abandoned_runs, failed_runs, stale_retraining
from orchestration.pipeline.params import Params
from orchestration.pipeline.step_report import StepReport
from spine.errors import PairingRejected

DAY_S = 86_400.0


def alerts(workspace) -> list[tuple[str, str]]:
    return [(a.kind, a.text) for a in alerts_since(workspace, datetime(2020, 1, 1, tzinfo=UTC))]


def tick(sensor, workspace, instance, cursor=None):
    context = dg.build_sensor_context(instance=instance, cursor=json.dumps(cursor or {}))
    return sensor(context, paths=WorkspacePaths(root=str(workspace.root)))


def job(workspace, name=RETRAIN):
    return definitions_with(resources_for(str(workspace.root))).resolve_job_def(name)


def later(monkeypatch, seconds):
    now = time.time() + seconds
    for module in ("instance", "watch"):
        monkeypatch.setattr(f"orchestration.dagster.{module}.time.time", lambda: now)


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED"])
def test_a_run_that_never_started_is_failed_and_blocks_no_retraining(workspace, monkeypatch, status):
    monkeypatch.setattr("orchestration.dagster.sensors.new_studies", lambda _: ("none", ["s"] * 99))
    with open_instance(workspace) as instance:
        run = instance.create_run_for_job(job(workspace), status=dg.DagsterRunStatus[status])
        first_seen: dict[str, float] = {"a run that has ended": 0.0}
        assert fail_abandoned_runs(instance, workspace, first_seen=first_seen) == []
        assert list(first_seen) == [f"{run.run_id} {status}"]
        later(monkeypatch, 200)
        assert "1 run(s) without a process" in tick(abandoned_runs, workspace, instance, first_seen).skip_message
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
        assert isinstance(tick(enough_new_studies, workspace, instance), dg.RunRequest)


def test_a_starting_run_lives_although_the_clock_of_its_machine_is_an_hour_behind(workspace, monkeypatch):
    with open_instance(workspace) as instance:
        run = instance.create_run_for_job(job(workspace), status=dg.DagsterRunStatus.STARTED)
        later(monkeypatch, 3600)  # the sensor's machine shows an hour more
        assert "0 run(s) without a process" in tick(abandoned_runs, workspace, instance).skip_message
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED


def test_a_run_killed_in_its_first_seconds_is_no_running_retraining(workspace, instance, monkeypatch):
    monkeypatch.setattr("orchestration.dagster.sensors.new_studies", lambda _: ("none", ["s"] * 99))
    instance.create_run_for_job(job(workspace), status=dg.DagsterRunStatus.NOT_STARTED)
    assert isinstance(tick(enough_new_studies, workspace, instance), dg.RunRequest)
    instance.create_run_for_job(job(workspace), status=dg.DagsterRunStatus.STARTING)
    assert isinstance(tick(enough_new_studies, workspace, instance), dg.SkipReason)


def test_a_stale_retraining_is_said_once_and_fails_its_check(workspace, monkeypatch):
    with open_instance(workspace) as instance:
        assert not stale_retraining(instance, workspace, Params()), "nothing ran yet"
        instance.create_run_for_job(job(workspace), status=dg.DagsterRunStatus.SUCCESS)
        tick(abandoned_runs, workspace, instance)
        assert alerts(workspace) == []
        later(monkeypatch, 16 * DAY_S)
        for _ in range(2):
            assert "although the schedule is on" in tick(abandoned_runs, workspace, instance).skip_message
        last = instance.event_log_storage.get_latest_asset_check_execution_by_key([STALE_CHECK])[STALE_CHECK]
    ((kind, text),) = alerts(workspace)
    assert kind == "retraining_stale" and "more than 15 days" in text
    assert last.status.value == "FAILED"


def test_without_schedule_only_waiting_studies_make_it_stale(workspace, instance, monkeypatch):
    instance.create_run_for_job(job(workspace), status=dg.DagsterRunStatus.SUCCESS)
    later(monkeypatch, 16 * DAY_S)
    monkeypatch.setattr(watch, "next_schedules", lambda _: [("retrain_weekly", None)])
    assert not stale_retraining(instance, workspace, Params())
    monkeypatch.setattr(watch, "new_studies", lambda _: ("none", ["s"] * 20))
    assert "20 new studies wait" in stale_retraining(instance, workspace, Params())


def test_a_failed_run_is_said_with_its_code_and_without_its_text(workspace, instance, monkeypatch):
    def refuse(*_):
        raise PairingRejected("BATCH_GONE", found="GEHEIM^ANNA", expected="x", remedy="y")

    monkeypatch.setattr(data, "ingest_batch", refuse)
    instance.add_dynamic_partitions("batches", ["batch-1"])
    result = job(workspace, INGEST_BATCH).execute_in_process(
        instance=instance, partition_key="batch-1", raise_on_error=False
    )
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_event=next(e for e in result.all_events if e.is_run_failure),
        dagster_instance=instance,
        dagster_run=result.dagster_run,
    ).for_run_failure()
    failed_runs(context, paths=WorkspacePaths(root=str(workspace.root)))
    ((kind, text),) = alerts(workspace)
    assert kind == "run_failed" and "batch: BATCH_GONE" in text and "GEHEIM" not in text


@pytest.mark.parametrize(
    ("used", "present", "quarantined", "usable"), [(0, 0, 2, False), (0, 0, 0, False), (1, 0, 1, True), (0, 2, 0, True)]
)
def test_a_batch_that_brings_nothing_fails_its_check(
    workspace, instance, monkeypatch, used, present, quarantined, usable
):
    figures = {"received": used + present + quarantined, "used": used, "already present": present}
    report = StepReport("studies", figures | {"quarantined": quarantined})
    monkeypatch.setattr(data, "ingest_batch", lambda *_: report)
    instance.add_dynamic_partitions("batches", ["batch-1"])
    result = job(workspace, INGEST_BATCH).execute_in_process(instance=instance, partition_key="batch-1")
    (check,) = [c for c in result.get_asset_check_evaluations() if c.check_name == "batch_is_usable"]
    assert (check.check_name, check.passed) == ("batch_is_usable", usable)
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert [kind for kind, _ in alerts(workspace)] == ([] if usable else ["batch_unusable"])


def test_a_refusal_of_the_gate_is_said(workspace, stubs):
    stubs.decision = "HOLD"
    assert run_retrain(workspace, lambda report: None).refused
    ((kind, text),) = alerts(workspace)
    assert kind == "gate_refused" and text.startswith("VERDICT_HOLD: verdict ")

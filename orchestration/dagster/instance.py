"""Configures and opens the Dagster instance of a workspace, and marks runs whose process died as failed.

Contract: telemetry is off before an instance opens. A run whose process died is marked failed, so that the run
does not block the queue. On a single machine, Dagster's own run monitoring does not notice the death.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import yaml

from orchestration.pipeline.workspace import Workspace
from spine.storage import locked, write_text_atomically

WRITER_TAG = "plumbline/writes"
"""The tag of every job that writes in the workspace. The queue runs one job with this tag at a time."""

IN_PROCESS_CONFIG = "in_process.yaml"
CONCURRENCY: dict[str, Any] = {
    "runs": {"max_concurrent_runs": 2, "tag_concurrency_limits": [{"key": WRITER_TAG, "limit": 1}]}
}
RUN_MONITORING: dict[str, Any] = {
    "enabled": True,
    "start_timeout_seconds": 180,
    "free_slots_after_run_end_seconds": 30,
    "poll_interval_seconds": 20,
}
# Retries are for crashed processes, not for failed steps: a refusal of the gate must not start another training.
RUN_RETRIES: dict[str, Any] = {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}

ABANDONED_AFTER_S = 60.0


def configure_instance(workspace: Workspace) -> None:
    """Write ``dagster.yaml`` (services) and ``in_process.yaml`` (the command line) into the instance's folder.

    The files differ in where the output of the steps goes. Under the services, Dagster captures this output for the web
    page. On the command line, Dagster does not capture the output, because capturing would break the progress bars.
    """
    workspace.dagster_home.mkdir(parents=True, exist_ok=True)
    common = {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},  # the dialogue that asks new users for their e-mail address
        "concurrency": CONCURRENCY,
        "run_monitoring": RUN_MONITORING,
        "run_retries": RUN_RETRIES,
    }
    silent = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    header = "# Written by orchestration/dagster/instance.py at every start: edit that module.\n"
    for name, config in (("dagster.yaml", common), (IN_PROCESS_CONFIG, {**common, "compute_logs": silent})):
        write_text_atomically(workspace.dagster_home / name, header + yaml.safe_dump(config, sort_keys=False))


@contextmanager
def open_instance(workspace: Workspace, *, in_process: bool = False) -> Iterator[dg.DagsterInstance]:
    """Open the workspace's instance. With ``in_process``, standard output and error are not captured."""
    configure_instance(workspace)
    config = IN_PROCESS_CONFIG if in_process else "dagster.yaml"
    with dg.DagsterInstance.from_config(str(workspace.dagster_home), config) as instance:
        yield instance


def fail_abandoned_runs(
    instance: dg.DagsterInstance, workspace: Workspace, older_than_s: float = ABANDONED_AFTER_S
) -> list[str]:
    """Mark runs whose process is gone as failed, and return the ids of these runs.

    A run locks the workspace within seconds of its start. If the lock is free, no run older than
    ``older_than_s`` is alive.
    """
    with locked(workspace.state / "workspace.lock", wait=False) as nobody_writes:
        if not nobody_writes:
            return []
        started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
        dead = [
            record.dagster_run
            for record in instance.get_run_records(started)
            if time.time() - (record.start_time or 0.0) >= older_than_s
        ]
        for run in dead:
            instance.report_run_failed(
                run, "The process of this run ended without a message. It was killed or ran out of memory."
            )
    return [run.run_id for run in dead]

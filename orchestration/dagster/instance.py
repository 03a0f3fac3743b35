"""Configures and opens the Dagster instance of a workspace, and marks runs whose process died as failed.

Contract: telemetry is off before an instance opens. The services and the command line open the same instance: the one
of the workspace, whose runs are where ``run_database`` says. A run whose process died is marked failed, so that the run
does not block the queue. Dagster's own run monitoring notices a death on a Ray cluster, but not below a code server.

``python -m orchestration.dagster.instance WORKSPACE`` writes the instance's files and opens it once, before Dagster's
own programs read them with ``DAGSTER_HOME=WORKSPACE/state/dagster``.
"""

import os
import sys
import time
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from orchestration.dagster.ray_runs import ray_run_launcher_config
from orchestration.dagster.run_database import database_errors, require_own_runs, storage_config
from orchestration.environment import DAGSTER_DB_VARIABLE
from orchestration.pipeline.lock import free, holder_of, identity_of
from orchestration.pipeline.workspace import Workspace
from spine.errors import PlumblineError
from spine.storage import write_text_atomically

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

ABANDONED_AFTER_S = {
    dg.DagsterRunStatus.NOT_STARTED: 60.0,
    dg.DagsterRunStatus.STARTING: 180.0,
    dg.DagsterRunStatus.STARTED: 60.0,
    dg.DagsterRunStatus.CANCELING: 60.0,
}
"""The age at which a run of this status must hold the lock. A process that is starting imports the libraries first."""

ABANDONED = "This run has no process: it was killed, ran out of memory or never started."
"""The message of a run that ``fail_abandoned_runs`` marks as failed."""


def configure_instance(workspace: Workspace) -> None:
    """Write ``dagster.yaml`` (services) and ``in_process.yaml`` (the command line) into the instance's folder.

    The files differ in where the output of the steps goes. Under the services, Dagster captures this output for the web
    page. On the command line, Dagster does not capture the output, because capturing would break the progress bars.

    Raises:
        ParametersRejected: the database of the runs is named wrongly, or no longer named (``storage_config``).
        ClusterRefused: CLUSTER_ADDRESS_INVALID.
    """
    workspace.dagster_home.mkdir(parents=True, exist_ok=True)
    common = {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},  # the dialogue that asks new users for their e-mail address
        "concurrency": CONCURRENCY,
        "run_monitoring": RUN_MONITORING,
        "run_retries": RUN_RETRIES,
        **storage_config(workspace.dagster_home / "dagster.yaml"),
        **ray_run_launcher_config(),
    }
    silent = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    header = "# Written by orchestration/dagster/instance.py at every start: edit that module.\n"
    for name, config in (("dagster.yaml", common), (IN_PROCESS_CONFIG, {**common, "compute_logs": silent})):
        write_text_atomically(workspace.dagster_home / name, header + yaml.safe_dump(config, sort_keys=False))


@contextmanager
def open_instance(workspace: Workspace, *, in_process: bool = False) -> Iterator[dg.DagsterInstance]:
    """Open the workspace's instance. With ``in_process``, standard output and error are not captured.

    Raises:
        ParametersRejected: as ``configure_instance``; RUN_DATABASE_PACKAGES, RUN_DATABASE_OF_ANOTHER.
        RunDatabaseUnavailable: RUN_DATABASE_UNAVAILABLE, also if the database goes away inside the block.
    """
    written = workspace.dagster_home / "dagster.yaml"
    former = written.read_text() if written.exists() else None
    configure_instance(workspace)
    try:
        with database_errors():
            config = IN_PROCESS_CONFIG if in_process else written.name
            opened = dg.DagsterInstance.from_config(str(workspace.dagster_home), config)
            if os.environ.get(DAGSTER_DB_VARIABLE):
                require_own_runs(opened, identity_of(workspace))
    except PlumblineError:
        if former is None:  # the runs of this workspace are not in a database that refused it
            written.unlink()
        else:
            write_text_atomically(written, former)
        raise
    with database_errors(), opened as instance:
        yield instance


def fail_abandoned_runs(
    instance: dg.DagsterInstance,
    workspace: Workspace,
    older_than_s: float | None = None,
    *,
    first_seen: MutableMapping[str, float] | None = None,
) -> list[str]:
    """Mark runs whose process is gone, or that never got one, as failed, and return the ids of these runs.

    A run locks the workspace within seconds of its start, and writes its id into the lock. A run that is older than
    ``ABANDONED_AFTER_S`` of its status and does not hold the lock is therefore dead. A queued run is not: it has no
    process yet, and the daemon starts it.

    Args:
        older_than_s: the age to use instead, for every status.
        first_seen: run and status -> when this caller saw it first; it is brought up to date. The age counts from
            there. Without it, the age counts from a time of the run's own machine, whose clock may be another.
    """
    with free(workspace) as nobody_writes:
        holder = None if nobody_writes else holder_of(workspace)
        records = instance.get_run_records(dg.RunsFilter(statuses=list(ABANDONED_AFTER_S)))
        since = _since(records, first_seen)
        others = [r.dagster_run for r in records if holder is None or r.dagster_run.run_id != holder.run]
        dead = [run for run in others if _is_old(run, since[_key(run)], older_than_s)]
    for run in dead:
        instance.report_run_failed(run, ABANDONED)
    return [run.run_id for run in dead]


def _since(
    records: Sequence[dg.RunRecord], first_seen: MutableMapping[str, float] | None
) -> MutableMapping[str, float]:
    if first_seen is None:
        return {_key(r.dagster_run): max(r.start_time or 0.0, r.update_timestamp.timestamp()) for r in records}
    present = {_key(r.dagster_run) for r in records}
    for gone in first_seen.keys() - present:
        del first_seen[gone]
    first_seen.update(dict.fromkeys(present - first_seen.keys(), time.time()))
    return first_seen


def _key(run: dg.DagsterRun) -> str:
    return f"{run.run_id} {run.status.value}"


def _is_old(run: dg.DagsterRun, since: float, older_than_s: float | None) -> bool:
    return time.time() - since >= (ABANDONED_AFTER_S[run.status] if older_than_s is None else older_than_s)


def main(folder: str) -> str | None:
    """Configure and check the instance of the workspace in ``folder``. Returns an error in words, or None."""
    try:
        with open_instance(Workspace(Path(folder))):
            return None
    except PlumblineError as error:
        return f"plumbline: {error}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

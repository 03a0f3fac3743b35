"""Finished runs of the workspace's Dagster instance that are old, with their events, images and output.

Contract: a run is kept if it made the present version of an asset, if a model in use came from it, or if it took in a
batch that is still in the inbox: without it, the sensor would take the batch in again.
"""

import shutil
import sqlite3
from collections.abc import Collection
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path

import dagster as dg

from orchestration.dagster.overview import FINISHED
from orchestration.dagster.sensors import BATCH_TAG
from orchestration.pipeline.intake import finished_batches
from orchestration.pipeline.leftover import Leftover, bytes_below
from orchestration.pipeline.workspace import Workspace

KIND = "Dagster runs"


def old_runs(
    instance: dg.DagsterInstance, workspace: Workspace, before: datetime, needed: Collection[str]
) -> list[Leftover]:
    """The finished runs that ended before ``before``, without those that must be kept.

    Args:
        needed: ids of the runs of the models in use.
    """
    kept = {*needed, *_runs_of_assets(instance)}
    batches = {batch.key for batch in finished_batches(workspace)}
    found = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=FINISHED)):
        run = record.dagster_run
        ended = record.end_time or record.create_timestamp.timestamp()
        if ended < before.timestamp() and run.run_id not in kept and run.tags.get(BATCH_TAG) not in batches:
            remove = partial(_remove, instance, workspace, run.run_id)
            found.append(Leftover(KIND, run.run_id, _size(workspace, run.run_id), remove))
    return found


def compact_databases(workspace: Workspace) -> None:
    """Give the space of removed rows in SQLite back to the disk. No other program may use the instance."""
    for database in workspace.dagster_home.rglob("*.db"):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("VACUUM")


def _runs_of_assets(instance: dg.DagsterInstance) -> set[str]:
    events = [instance.get_latest_materialization_event(key) for key in instance.all_asset_keys()]
    return {event.run_id for event in events if event is not None}


def _files(workspace: Workspace, run_id: str) -> list[Path]:
    """The event log of the run, and the folder with the output of its steps."""
    home = workspace.dagster_home
    return [*(home / "history" / "runs").glob(f"{run_id}.db*"), home / "storage" / run_id]


def _size(workspace: Workspace, run_id: str) -> int:
    """The size of the run's files, and of its events in the index of all runs, which has the images once more.

    Rows in PostgreSQL do not count: they are not on the disk of the workspace.
    """
    index = workspace.dagster_home / "history" / "runs" / "index.db"
    if not index.exists():
        return sum(bytes_below(path) for path in _files(workspace, run_id))
    with closing(sqlite3.connect(f"{index.as_uri()}?mode=rw", uri=True)) as connection:
        query = "SELECT COALESCE(SUM(LENGTH(event)), 0) FROM event_logs WHERE run_id = ?"
        (mirrored,) = connection.execute(query, (run_id,)).fetchone()
    return int(mirrored) + sum(bytes_below(path) for path in _files(workspace, run_id))


def _remove(instance: dg.DagsterInstance, workspace: Workspace, run_id: str) -> None:
    instance.delete_run(run_id)
    for path in _files(workspace, run_id):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

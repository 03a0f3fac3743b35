"""Removes what no model and no record of a workspace needs.

Contract: what a champion, a previous champion, the last approved model, an evaluation record, the current data or the
history needs stays. Nothing is removed while a run writes or while the services run. A dry run changes nothing.
"""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from orchestration.dagster.instance import open_instance
from orchestration.dagster.old_runs import compact_databases, old_runs
from orchestration.lifecycle.data_in_use import data_versions_in_use, runs_in_use
from orchestration.lifecycle.failed_fits import failed_fits
from orchestration.pipeline.cache import unused_files
from orchestration.pipeline.leftover import Leftover
from orchestration.pipeline.lock import services_lock, workspace_lock
from orchestration.pipeline.workspace import Workspace

CACHE = "files in DVC's cache"


def clean(workspace: Workspace, older_than_days: float, *, dry_run: bool) -> list[Leftover]:
    """Remove leftovers, or with ``dry_run`` only find them. The age counts for runs and fits, not for cached files.

    Raises:
        WorkspaceBusy: RUN_IN_PROGRESS, SERVICES_RUNNING; not in a dry run.
        GateRefused: CHAMPION_LOST, REGISTRY_UNAVAILABLE: it is not known what the champion needs. Nothing is removed.
    """
    before = datetime.now(UTC) - timedelta(days=older_than_days)
    with ExitStack() as stack:
        if not dry_run:
            stack.enter_context(services_lock(workspace))
            stack.enter_context(workspace_lock(workspace))
        instance = stack.enter_context(open_instance(workspace, in_process=True))
        needed = {facts.dagster_run for facts in runs_in_use(workspace) if facts.dagster_run}
        cached = unused_files(workspace, data_versions_in_use(workspace))
        found = [Leftover(CACHE, path.name, path.stat().st_size, path.unlink) for path in cached]
        found += old_runs(instance, workspace, before, needed)
        found += failed_fits(workspace, before)
        if not dry_run:
            for leftover in found:
                leftover.remove()
    if not dry_run:
        compact_databases(workspace)
    return found

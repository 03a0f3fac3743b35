"""Process groups under Dagster Pipes: an asset starts a group, and the run shows the group's log and progress.

Contract: only the leader (rank 0) opens the pipe. Without a pipe (DVC, the command line) the messages go only to the
file of messages.

    python -m torch.distributed.run ... -m orchestration.dagster.pipes REQUEST.json
"""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, open_dagster_pipes

from orchestration.cluster.connection import cluster_address
from orchestration.dagster.run_log_reporter import RunLogReporter
from orchestration.environment import worker_environment
from orchestration.pipeline.multi_gpu import launching_with, torchrun
from training.fitting.ddp_worker import run

WORKER_MODULE = "orchestration.dagster.pipes"
_STOPPED_WITHIN_S = 60.0
"""The time that an interrupted group has. torchrun itself kills its processes after 30 s; Dagster's default is 20 s."""


@contextmanager
def workers_under_pipes(context: Any) -> Iterator[None]:
    """Inside this block, a Dagster Pipes client starts the process groups, for an asset's execution ``context``.

    Where a cluster is named, every fit is a job of the cluster (``ray_fits``).
    """
    import dagster as dg
    from dagster._core.errors import DagsterPipesExecutionError  # not exported by `dagster`, nor is its base class

    if cluster_address() is not None:
        from orchestration.dagster.ray_fits import launch_on_cluster

        with launching_with(partial(launch_on_cluster, context), elsewhere=True):
            yield
        return

    def launch(request: Path, processes: int) -> int:
        command = torchrun(request, processes, WORKER_MODULE)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Dagster uses its own deprecated members
                client = dg.PipesSubprocessClient(termination_timeout_seconds=_STOPPED_WITHIN_S)
                client.run(command=command, context=context, env=worker_environment())
        except DagsterPipesExecutionError:
            return 1
        return 0

    with launching_with(launch):
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one process of the group on ``REQUEST.json``; returns its exit code."""
    request = Path((sys.argv[1:] if arguments is None else list(arguments))[0])
    is_leader = int(os.environ.get("RANK", "0")) == 0
    if not is_leader or DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ:
        return run(request)
    with open_dagster_pipes() as pipes:
        return run(request, RunLogReporter(pipes))


if __name__ == "__main__":
    sys.exit(main())

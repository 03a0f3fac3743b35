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
from pathlib import Path
from typing import Any

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, PipesContext, open_dagster_pipes

from orchestration.pipeline.multi_gpu import launching_with, worker_environment
from training.fitting.ddp_worker import run

WORKER_MODULE = "orchestration.dagster.pipes"
_TENTHS = 10


@contextmanager
def workers_under_pipes(context: Any) -> Iterator[None]:
    """Inside this block, a Dagster Pipes client starts the process groups, for an asset's execution ``context``."""
    import dagster as dg
    from dagster._core.errors import DagsterPipesExecutionError  # not exported by `dagster`, nor is its base class

    def launch(command: Sequence[str]) -> int:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Dagster uses its own deprecated members
                dg.PipesSubprocessClient().run(command=list(command), context=context, env=worker_environment())
        except DagsterPipesExecutionError:
            return 1
        return 0

    with launching_with(launch, WORKER_MODULE):
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one process of the group on ``REQUEST.json``; returns its exit code."""
    request = Path((sys.argv[1:] if arguments is None else list(arguments))[0])
    is_leader = int(os.environ.get("RANK", "0")) == 0
    if not is_leader or DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ:
        return run(request)
    with open_dagster_pipes() as pipes:
        return run(request, _RunLogReporter(pipes))


class _RunLogReporter:
    """Writes the leader's messages to the run's log, with at most ten lines of progress."""

    def __init__(self, pipes: PipesContext) -> None:
        self._pipes = pipes
        self._reported = -1

    def __call__(self, message: dict[str, Any]) -> None:
        if "done" not in message:
            self._pipes.log.info(", ".join(f"{name} {value}" for name, value in message.items()))
            return
        tenth = _TENTHS * message["done"] // max(message["total"], 1)
        if tenth > self._reported:
            self._reported = tenth
            self._pipes.log.info(f"fitted {tenth * 100 // _TENTHS} %")


if __name__ == "__main__":
    sys.exit(main())

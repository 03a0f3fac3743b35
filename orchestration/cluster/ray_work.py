"""``spine.work.Work`` on the nodes of a Ray cluster.

Contract: as ``spine.work`` says, in particular the results in order and a bounded number of batches under way. A batch
whose worker or node died is given to another worker, at most five times. The results are those of ``LocalWork``, byte
for byte. The machine that gives the work decides everything that needs one writer.

    WORKER_DIED          a batch was lost with its worker too often
    NODE_CANNOT_START    a node cannot load the task
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.cluster.connection import connect
from orchestration.cluster.node_check import NodeCheck, prepare_check, require_same
from spine.errors import ClusterRefused
from spine.work import (
    BATCHES_PER_WORKER,
    Item,
    Outcome,
    Resources,
    Result,
    batches_of,
    outcome_of,
    results_in_order,
    worker_died,
)

_ATTEMPTS_AFTER_A_DEATH = 5
_END_WITHIN_S = 60.0


@dataclass(frozen=True)
class RayWork:
    """Work on the cluster at ``address`` (HOST:PORT); ``folder`` is a folder that every node must see."""

    address: str
    folder: Path

    def run(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        batch: int = 1,
        resources: Resources = Resources(),
    ) -> Generator[Result, None, None]:
        """The results in order; see ``Work.run``.

        Raises:
            ClusterRefused: the cluster or one of its nodes cannot be used.
        """
        connect(self.address)
        import ray

        check, task = prepare_check(self.folder), ray.put(function)
        remote = ray.remote(_checked_outcome).options(**_options(resources))
        running: deque[Any] = deque()

        def submit(items: tuple[Item, ...]) -> Any:
            running.append(remote.remote(check, str(Path.cwd()), task, items))
            return running[-1]

        def outcome(handle: Any) -> Outcome[Result]:
            found = _received(handle)
            running.popleft()
            return found

        try:
            yield from results_in_order(batches_of(items, batch), submit, outcome, _batches_ahead(resources))
        finally:
            _cancel(list(running))


def _cancel(handles: list[Any]) -> None:
    """Cancel batches and wait for those that had begun, because they may still write."""
    import ray

    for handle in handles:
        ray.cancel(handle)
    if handles:
        ray.wait(handles, num_returns=len(handles), timeout=_END_WITHIN_S, fetch_local=False)


def _options(resources: Resources) -> dict[str, Any]:
    memory = {"memory": resources.memory_bytes} if resources.memory_bytes else {}
    return {
        "num_cpus": resources.cpus,
        "num_gpus": resources.gpus,
        "max_retries": _ATTEMPTS_AFTER_A_DEATH,
        "scheduling_strategy": "SPREAD",
        **memory,
    }


def _batches_ahead(resources: Resources) -> int:
    import ray

    cores = ray.cluster_resources().get("CPU", 1.0)
    return max(1, int(cores / max(resources.cpus, 1))) * BATCHES_PER_WORKER


def _checked_outcome(
    check: NodeCheck, folder: str, function: Callable[[Item], Result], items: Sequence[Item]
) -> Outcome[Result]:
    """The outcome of a batch on this node, with the working directory of the machine that gave the work."""
    try:
        require_same(check)
    except ClusterRefused as refusal:
        return Outcome((), refusal)
    with suppress(OSError):  # a folder that only the other machine has; relative paths then fail by themselves
        os.chdir(folder)
    return outcome_of(function, items)


def _received(handle: Any) -> Outcome[Any]:
    import ray
    from ray import exceptions as faults

    try:
        found: Outcome[Any] = ray.get(handle)
    except (faults.WorkerCrashedError, faults.NodeDiedError, faults.OutOfMemoryError, faults.ObjectLostError):
        raise worker_died() from None
    except faults.RayTaskError as error:  # a task returns its exceptions, so the task itself could not be loaded
        raise ClusterRefused(
            "NODE_CANNOT_START",
            found=f"a node on which the task fails to load: {error.cause or error}"[:300],
            expected="Plumbline, with the same packages, on every node",
            remedy="install the version of this machine on every node, and start their Ray again",
        ) from None
    return found

"""``spine.work.Work`` on the nodes of a Ray cluster.

Contract: as ``spine.work`` says, in particular the results in order and a bounded number of batches under way. A batch
whose worker or node died is given to another worker, at most five times. The results are those of ``LocalWork``, byte
for byte. The machine that gives the work decides everything that needs one writer.

    WORKER_DIED          a batch was lost with its worker too often
    CLUSTER_TOO_SMALL    no node could hold one task, also if it did nothing else
    NODE_CANNOT_START    a node cannot load the task
"""

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestration.cluster.connection import connect, refuse_connection, require_answer
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
_LOOK_EVERY_S = 10.0
_HEAD_GONE_S = 20.0
"""The head counts as dead if no look gets an answer for so long. Ray itself ends the process after 60 s, without an
exception."""
_JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in the processes of a job, in particular of a whole run."""

RUN_CORES = 1
"""The cores that a whole run occupies on its node, for the work that has one writer. Its tasks have their own."""


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

        require_room(resources, ray.nodes(), _taken())
        check, task = prepare_check(self.folder), ray.put(function)
        remote = ray.remote(_checked_outcome).options(**_options(resources))
        running: deque[Any] = deque()
        watch = _Watch(self.address, resources)

        def submit(items: tuple[Item, ...]) -> Any:
            running.append(remote.remote(check, str(Path.cwd()), task, items))
            return running[-1]

        def outcome(handle: Any) -> Outcome[Result]:
            found = _received(handle, watch)
            running.popleft()
            return found

        try:
            yield from results_in_order(batches_of(items, batch), submit, outcome, _batches_ahead(resources))
        finally:
            if not watch.head_gone:
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


def require_room(resources: Resources, nodes: Sequence[Mapping[str, Any]], taken: Mapping[str, float]) -> None:
    """Refuse tasks that Ray would keep waiting for ever.

    Args:
        nodes: as ``ray.nodes()`` lists them.
        taken: id of a node -> cores on it that stay occupied while the tasks run.

    Raises:
        ClusterRefused: CLUSTER_TOO_SMALL.
    """
    needed = {"CPU": resources.cpus, "GPU": resources.gpus, "memory": resources.memory_bytes or 0}
    alive = [node for node in nodes if node["Alive"]]
    offers = [node["Resources"] | {"CPU": _cores(node) - taken.get(node["NodeID"], 0.0)} for node in alive]
    if not any(all(offer.get(kind, 0.0) >= amount for kind, amount in needed.items()) for offer in offers):
        raise ClusterRefused(
            "CLUSTER_TOO_SMALL",
            found="; ".join(dict.fromkeys(map(_in_words, offers))) or "no node that is alive",
            expected=f"a node with {_in_words(needed)} for one task",
            remedy="add such a node, or unset PLUMBLINE_RAY_ADDRESS to work on this machine alone",
        )


def _cores(node: Mapping[str, Any]) -> float:
    return float(node["Resources"].get("CPU", 0.0))


def _in_words(offer: Mapping[str, float]) -> str:
    """For example: 4 cores, 0 GPUs, 8.0 GiB."""
    memory = offer.get("memory", 0.0) / 2**30
    return f"{offer.get('CPU', 0.0):g} cores, {offer.get('GPU', 0.0):g} GPUs, {memory:.1f} GiB of memory"


def _taken() -> dict[str, float]:
    """The cores that the run of this process occupies on its node, if Ray started the run."""
    import ray

    return {ray.get_runtime_context().get_node_id(): RUN_CORES} if os.environ.get(_JOB_VARIABLE) else {}


@dataclass
class _Watch:
    """Looks every few seconds whether the cluster is still there, while results are received.

    Attributes:
        head_gone: whether the head has died, so that nothing can be asked of the cluster.
    """

    address: str
    resources: Resources
    head_gone: bool = False
    _looked: float = field(default_factory=time.monotonic)
    _silent_since: float | None = None

    def look(self) -> None:
        """Refuse a cluster whose head has died, or whose last node that could hold the tasks has left."""
        import ray

        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY_S:
            return
        self._looked = now
        try:
            require_answer(self.address)
        except ClusterRefused:
            self._silent_since = self._silent_since or now
            self.head_gone = time.monotonic() - self._silent_since >= _HEAD_GONE_S
            if self.head_gone:
                raise
            return
        self._silent_since = None
        require_room(self.resources, ray.nodes(), _taken())


def _received(handle: Any, watch: _Watch) -> Outcome[Any]:
    import ray
    from ray import exceptions as faults

    watch.look()
    while not ray.wait([handle], timeout=_LOOK_EVERY_S, fetch_local=False)[0]:
        watch.look()
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
    except faults.RayError as error:
        refuse_connection(watch.address, f"{type(error).__name__}: {error}")
    return found

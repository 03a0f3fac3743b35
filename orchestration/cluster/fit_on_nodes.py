"""A process group for a fit on the nodes of a Ray cluster: one torchrun on each node, which meet over the network.

Contract: all nodes of a group have the same number of processes, and the group has as few nodes as the cluster allows.
If a node is lost, the group starts again, at most twice, on nodes that are left or that come within ten minutes, and
the fit continues from its last checkpoint. A torchrun gets SIGTERM when the Ray worker that started it ends, so that
nothing is left.

    CLUSTER_TOO_SMALL    the cluster has too few GPUs (or cores) in nodes of equal use
    CLUSTER_BUSY         the GPUs did not become free in time
"""

import ctypes
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from orchestration.environment import worker_environment
from spine.errors import ClusterRefused

Command = Callable[[int, Sequence[str]], list[str]]
"""The torchrun command for a number of processes on this node, and torchrun's options on the other nodes."""

_ATTEMPTS = 3
_BACK_WITHIN_S = 600.0
_FREE_WITHIN_S = 1800.0
_LOSS_SEEN_WITHIN_S = 60.0
_LOOK_EVERY_S = 10.0
_PR_SET_PDEATHSIG = 1


class NodeLost(Exception):
    """A node that was to take part has left the cluster."""


@dataclass(frozen=True)
class Placement:
    """So many ``nodes`` with so many ``processes`` each, and one unit of ``resource`` (GPU or CPU) for each process."""

    nodes: int
    processes: int
    resource: str


def placement_of(processes: int, resource: str, free: Sequence[float]) -> Placement:
    """The placement with the fewest nodes, where ``free`` is what each node has of ``resource``.

    Raises:
        ClusterRefused: ``CLUSTER_TOO_SMALL``.
    """
    for nodes in range(1, processes + 1):
        each, rest = divmod(processes, nodes)
        if not rest and sum(found >= each for found in free) >= nodes:
            return Placement(nodes, each, resource)
    raise ClusterRefused(
        "CLUSTER_TOO_SMALL",
        found=f"nodes with {', '.join(f'{found:g}' for found in free) or 'no'} {resource}",
        expected=f"{processes} {resource} on nodes with equal shares",
        remedy="set training.device and training.devices to what the cluster has, or add nodes",
    )


def run_on_nodes(command: Command, processes: int, resource: str) -> int:
    """Run a process group to its end and return its exit code. This process must be connected to the cluster.

    Args:
        resource: GPU or CPU, of which each process occupies one.

    Raises:
        ClusterRefused: a code of this module.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        placement = _placement_here(processes, resource, wait_s=_BACK_WITHIN_S if attempt > 1 else 0.0)
        code = _run_once(command, placement)
        if code is not None:
            return code
    return 1


def _placement_here(processes: int, resource: str, wait_s: float) -> Placement:
    """The placement on this cluster; waits so long for nodes that are missing."""
    limit = time.monotonic() + wait_s
    while True:
        try:
            return placement_of(processes, resource, _offers(resource))
        except ClusterRefused:
            if time.monotonic() >= limit:
                raise
            time.sleep(2.0)


def _offers(resource: str) -> list[float]:
    """What each node that is alive has of a resource."""
    import ray

    return [node["Resources"].get(resource, 0.0) for node in ray.nodes() if node["Alive"]]


def _run_once(command: Command, placement: Placement) -> int | None:
    """The exit code of one attempt; None if a node was lost."""
    try:
        with _reserved(placement) as strategies:
            return _run_in(command, placement, strategies)
    except NodeLost:
        return None


def _run_in(command: Command, placement: Placement, strategies: Sequence[Any]) -> int | None:
    import ray

    on_gpus = placement.resource == "GPU"
    remote = ray.remote(num_cpus=0 if on_gpus else placement.processes, max_retries=0)
    gpus = placement.processes if on_gpus else 0
    tasks = [{"scheduling_strategy": strategy, "num_gpus": gpus} for strategy in strategies]
    try:
        meeting = ray.get(remote(_meeting_point).options(**tasks[0]).remote())
    except ray.exceptions.RayError:
        return None
    run = remote(_run_here)
    lines = [command(placement.processes, _machines(placement.nodes, rank, *meeting)) for rank in range(len(tasks))]
    return _exit_code([run.options(**at).remote(line) for at, line in zip(tasks, lines, strict=True)])


def _machines(nodes: int, rank: int, host: str, port: int) -> list[str]:
    """torchrun's options for the node with this rank; the first node is the one that is met at ``host``."""
    # With torchrun's c10d rendezvous every node guesses from its names whether it is the host, and may be wrong.
    found = ["--nnodes", str(nodes), "--node-rank", str(rank), "--rdzv-backend", "static"]
    return [*found, "--master-addr", host, "--master-port", str(port), "--max-restarts", "0"]


@contextmanager
def _reserved(placement: Placement) -> Any:
    """The scheduling strategies of the nodes of a placement, which are kept free of other work inside this block."""
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    bundles = [{placement.resource: float(placement.processes)}] * placement.nodes
    group = placement_group(bundles, strategy="STRICT_SPREAD")
    try:
        wait_until_free(placement, group.ready())
        yield [PlacementGroupSchedulingStrategy(group, number) for number in range(placement.nodes)]
    finally:
        remove_placement_group(group)


def wait_until_free(placement: Placement, ready: Any) -> None:
    """Wait until the nodes of a placement are free.

    Raises:
        ClusterRefused: CLUSTER_BUSY.
        NodeLost: the cluster no longer has these nodes. It may have listed a dead one when the placement was chosen.
    """
    import ray

    limit = time.monotonic() + _FREE_WITHIN_S
    while not ray.wait([ready], timeout=_LOOK_EVERY_S)[0]:
        if sum(offer >= placement.processes for offer in _offers(placement.resource)) < placement.nodes:
            raise NodeLost
        if time.monotonic() >= limit:
            raise ClusterRefused(
                "CLUSTER_BUSY",
                found=f"no {placement.nodes} node(s) with {placement.processes} free {placement.resource} in 30 min",
                expected="nodes that become free",
                remedy="end other work on the cluster, or add nodes, and run again",
            )


def _exit_code(tasks: list[Any]) -> int | None:
    """The first exit code that is not 0, or 0; None if a node was lost. The tasks that are left are ended."""
    import ray

    codes: list[int] = []
    lost, waiting = False, list(tasks)
    while waiting:
        patience = _LOSS_SEEN_WITHIN_S if lost or any(codes) else None  # a survivor often fails before the loss is seen
        done, waiting = ray.wait(waiting, timeout=patience)
        if not done:
            break
        try:
            codes += ray.get(done)
        except ray.exceptions.RayError:
            lost = True
    for task in waiting:
        ray.cancel(task, force=True)
    return None if lost else next((code for code in codes if code), 0)


def _meeting_point() -> tuple[str, int]:
    """An address of this node, and a port that is free on it."""
    from ray.util import get_node_ip_address

    with socket.socket() as probe:
        probe.bind(("", 0))
        return get_node_ip_address(), probe.getsockname()[1]


def _run_here(command: list[str]) -> int:
    """Run a command on this node; it gets SIGTERM when this worker ends, however that happens."""
    process = subprocess.Popen(command, env=worker_environment(), preexec_fn=_end_with_parent)
    return process.wait()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

"""Tasks that no node of a Ray cluster could hold are refused, because Ray would keep them waiting, also if the cluster
shrinks while they wait. A head that has died is refused, because Ray would end the process without an exception."""

import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from orchestration.cluster import ray_work
from orchestration.cluster.connection import refuse_connection
from orchestration.cluster.ray_work import RayWork, require_room
from spine.errors import ClusterRefused
from spine.work import Outcome, Resources


def node(name: str, *, alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"NodeID": name, "Alive": alive, "Resources": resources}


NODES = [
    node("a", CPU=2.0, memory=8 * 2**30),
    node("b", CPU=8.0, GPU=1.0, memory=2 * 2**30),
    node("c", CPU=64.0, alive=False),
]


@pytest.mark.parametrize(
    "resources",
    [Resources(), Resources(cpus=8), Resources(gpus=1), Resources(cpus=2, memory_bytes=6 * 2**30)],
)
def test_a_task_that_one_node_could_hold_may_wait(resources):
    require_room(resources, NODES, {})


@pytest.mark.parametrize(
    "resources",
    [Resources(cpus=9), Resources(gpus=2), Resources(cpus=4, memory_bytes=6 * 2**30)],
)
def test_a_task_that_no_node_that_is_alive_could_hold_is_refused(resources):
    with pytest.raises(ClusterRefused, match=r"CLUSTER_TOO_SMALL.*2 cores, 0 GPUs, 8.0 GiB.*8 cores, 1 GPUs"):
        require_room(resources, NODES, {})


def test_a_run_takes_a_core_from_its_own_tasks():
    alone = [node("a", CPU=1.0)]
    require_room(Resources(), alone, {"other": 1.0})
    with pytest.raises(ClusterRefused, match=r"CLUSTER_TOO_SMALL.*0 cores"):
        require_room(Resources(), alone, {"a": 1.0})


def test_a_cluster_whose_nodes_have_all_died_is_refused():
    with pytest.raises(ClusterRefused, match="no node that is alive"):
        require_room(Resources(), NODES[2:], {})


class Cluster:
    """In place of Ray: a cluster whose tasks stay waiting. At the third look at them, ``change`` is called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks, self.submitted, self.cancelled = 0, 0, 0
        self.nodes: list[dict[str, Any]] = NODES
        self.answers, self.ends_after = True, math.inf
        self.change: Callable[[], object] = lambda: None
        for name, function in {"put": lambda _: None, "wait": self.wait, "nodes": lambda: self.nodes}.items():
            monkeypatch.setattr(f"ray.{name}", function)
        monkeypatch.setattr("ray.remote", lambda _: self)
        monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 2.0})
        for name, function in {"connect": lambda _: None, "require_answer": self.require_answer}.items():
            monkeypatch.setattr(ray_work, name, function)
        monkeypatch.setattr(ray_work, "_cancel", self.cancel)
        monkeypatch.setattr(ray_work, "_LOOK_EVERY_S", 0.0)
        monkeypatch.delenv(ray_work._JOB_VARIABLE, raising=False)

    def options(self, **_: Any) -> "Cluster":
        return self

    def remote(self, *_: Any) -> int:
        self.submitted += 1
        return self.submitted

    def wait(self, handles: list[int], **_: Any) -> tuple[list[int], list[int]]:
        self.looks += 1
        if self.looks == 3:
            self.change()
        return (handles, []) if self.looks > self.ends_after else ([], handles)

    def require_answer(self, address: str) -> None:
        if not self.answers:
            refuse_connection(address, "refused")

    def cancel(self, handles: list[int]) -> None:
        self.cancelled += len(handles)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    return Cluster(monkeypatch)


def test_nothing_is_given_to_a_cluster_without_room(cluster, tmp_path):
    with pytest.raises(ClusterRefused, match="CLUSTER_TOO_SMALL"):
        next(RayWork("head:1", tmp_path).run(abs, range(9), resources=Resources(cpus=9)))
    assert cluster.submitted == 0


def test_a_cluster_that_shrinks_below_a_task_is_noticed_while_the_task_waits(cluster, tmp_path):
    cluster.change = lambda: setattr(cluster, "nodes", NODES[:1])
    with pytest.raises(ClusterRefused, match="CLUSTER_TOO_SMALL"):
        next(RayWork("head:1", tmp_path).run(abs, range(9), resources=Resources(cpus=8)))
    assert cluster.looks == 3 and cluster.cancelled == cluster.submitted > 0


def test_a_head_that_has_died_is_refused_without_asking_it_for_anything_more(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_work, "_HEAD_GONE_S", 0.0)
    cluster.change = lambda: setattr(cluster, "answers", False)
    with pytest.raises(ClusterRefused, match=r"CLUSTER_NOT_REACHED.*head:1"):
        next(RayWork("head:1", tmp_path).run(abs, range(9)))
    assert cluster.looks == 3 and cluster.cancelled == 0


def test_a_head_that_misses_some_looks_is_not_dead_and_is_not_asked_for_its_nodes(cluster, tmp_path, monkeypatch):
    def leave() -> None:
        cluster.answers, cluster.nodes, cluster.ends_after = False, [], 6

    cluster.change = leave
    monkeypatch.setattr("ray.get", lambda _: Outcome((7,)))
    assert next(RayWork("head:1", tmp_path).run(abs, range(9))) == 7


def test_the_first_look_of_a_caller_who_was_busy_for_long_does_not_call_the_head_dead(cluster, monkeypatch):
    now = [time.monotonic()]
    monkeypatch.setattr(ray_work.time, "monotonic", lambda: now[0])
    cluster.answers, watch = False, ray_work._Watch("head:1", Resources())
    now[0] += 600.0
    watch.look()
    now[0] += ray_work._HEAD_GONE_S
    with pytest.raises(ClusterRefused, match="CLUSTER_NOT_REACHED"):
        watch.look()
    assert watch.head_gone

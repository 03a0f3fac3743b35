"""Tasks that no node of a Ray cluster could hold are refused, because Ray would keep them waiting."""

from typing import Any

import pytest

from orchestration.cluster.ray_work import require_room
from spine.errors import ClusterRefused
from spine.work import Resources


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

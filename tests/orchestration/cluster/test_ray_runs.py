"""A run whose node dies ends as failed, and the next run in the queue starts."""

import pytest

from orchestration.dagster.instance import RUN_MONITORING
from orchestration.dagster.ray_runs import ray_run_launcher_config
from orchestration.environment import RAY_ADDRESS_VARIABLE
from tests.orchestration.cluster.killed_run import kill_the_node_of_a_run
from tests.ray_nodes import TwoNodes


def test_without_a_cluster_runs_stay_on_this_machine(monkeypatch):
    monkeypatch.delenv(RAY_ADDRESS_VARIABLE, raising=False)
    assert ray_run_launcher_config() == {}


@pytest.mark.slow
def test_a_run_whose_node_dies_ends_and_the_queue_goes_on(nodes: TwoNodes, tmp_path):
    found = kill_the_node_of_a_run(nodes, tmp_path / "w", RUN_MONITORING | {"poll_interval_seconds": 5})
    nodes.start_second()
    assert found.status == "FAILURE"

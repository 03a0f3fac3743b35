"""Whole runs as jobs of a Ray cluster: the part of ``dagster.yaml`` that says so.

Contract: with this launcher, Dagster's run monitoring asks the cluster whether the job of a run still lives. A run
whose node died is marked as failed, and the queue goes on. The nodes need the same variables as the code server
(database, tracking server, tokens); only the workspace is passed on with the run, because the variables of a job can be
read in Ray's dashboard.
"""

from typing import Any

from orchestration.cluster.connection import cluster_address
from orchestration.cluster.ray_work import RUN_CORES
from orchestration.environment import WORKSPACE_VARIABLE


def ray_run_launcher_config() -> dict[str, Any]:
    """The section ``run_launcher`` of ``dagster.yaml`` where a cluster is named, and nothing elsewhere.

    Raises:
        ClusterRefused: ``CLUSTER_ADDRESS_INVALID``.
    """
    address = cluster_address()
    if address is None:
        return {}
    # Without a number of cores, Ray would start every run on the head.
    ray = {"address": address, "num_cpus": RUN_CORES, "env_vars": [WORKSPACE_VARIABLE]}
    return {"run_launcher": {"module": "dagster_ray", "class": "RayRunLauncher", "config": {"ray": ray}}}

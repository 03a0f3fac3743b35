"""Where the steps of a workspace do their work, and with how many workers.

Contract: the outputs of every step are byte for byte the same for any number of workers.

    WORKERS_INVALID    PLUMBLINE_WORKERS is not a positive integer
"""

import math
import os
from pathlib import Path

from orchestration.cluster.connection import cluster_address
from orchestration.cluster.ray_work import RayWork
from orchestration.environment import WORKERS_VARIABLE
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected
from spine.work import LocalWork, Work

_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")
"""``QUOTA PERIOD`` in microseconds of a container's limit, or ``max PERIOD`` without a limit (cgroup 2)."""


def work_of(workspace: Workspace) -> Work:
    """Where the steps of a workspace do their work: the cluster that is named, or else the cores of this machine."""
    address = cluster_address()
    if address is not None:
        return RayWork(address, workspace.state)
    return LocalWork(number_of_workers())


def number_of_workers() -> int:
    """The number of cores that this process may use, or fewer if ``PLUMBLINE_WORKERS`` is smaller.

    Raises:
        ParametersRejected: ``WORKERS_INVALID``.
    """
    cores = usable_cores()
    wanted = os.environ.get(WORKERS_VARIABLE, "")
    if not wanted:
        return cores
    if not wanted.isdecimal() or int(wanted) < 1:
        found = f"{WORKERS_VARIABLE}={wanted!r}"
        remedy = "correct the variable, or remove it to use every core"
        raise ParametersRejected("WORKERS_INVALID", found, "an integer of 1 or more", remedy)
    return min(cores, int(wanted))


def usable_cores() -> int:
    """The cores that this process may use, by its affinity and the limit of its container, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    try:
        quota, period = _CGROUP_LIMIT.read_text().split()
        limit = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no container, no limit, or another operating system
        limit = allowed
    return max(1, min(allowed, limit))

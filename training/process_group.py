"""The process group, which consists of processes that fit one network together. torchrun starts one process per GPU.

Contract: a single process does not use torch.distributed. In a group, all processes make the same decision at the same
step. They use the clock of the leader.
"""

import os
from dataclasses import dataclass

import torch

from spine.errors import ParametersRejected


@dataclass(frozen=True)
class ProcessGroup:
    """The ``rank`` of this process in a group of this ``size`` on so many ``machines``; rank 0 is the leader."""

    rank: int = 0
    size: int = 1
    machines: int = 1

    @property
    def is_leader(self) -> bool:
        """Whether this process validates and writes files."""
        return self.rank == 0

    def agree(self, seconds: float, stop: bool, device: torch.device) -> tuple[float, bool]:
        """The leader's ``seconds``, and whether any ``stop`` is true. All processes must call this at one step."""
        if self.size == 1:
            return seconds, stop
        shared = torch.tensor([seconds if self.is_leader else 0.0, float(stop)], dtype=torch.float64, device=device)
        torch.distributed.all_reduce(shared)
        agreed, stops = shared.tolist()
        return agreed, stops > 0

    def wait(self) -> None:
        """Wait until every process has reached this call."""
        if self.size > 1 and torch.distributed.is_initialized():
            torch.distributed.barrier()


SINGLE_PROCESS = ProcessGroup()


def process_group_of(devices: int) -> ProcessGroup:
    """The process group of this process, which is read from the environment that torchrun sets.

    Raises:
        ParametersRejected: the number of processes differs from ``devices``.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size != devices:
        raise ParametersRejected(
            "PROCESS_GROUP_DIFFERS",
            found=f"{size} process{'es' if size > 1 else ''} for {devices} device{'s' if devices > 1 else ''}",
            expected="one process for each device",
            remedy=f"start torchrun --standalone --nproc-per-node {devices} -m training ... --devices {devices}",
        )
    here = int(os.environ.get("LOCAL_WORLD_SIZE", size))  # torchrun gives every machine the same number
    return ProcessGroup(int(os.environ.get("RANK", "0")), size, size // here)

"""Small constant tensors, cached for each device.

Contract: nothing writes to these tensors. They are cached because a host that copies a constant waits for the GPU. This
wait is not allowed while a CUDA graph is captured.
"""

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=1024)
def float_tensor(device: torch.device, *values: float | tuple[float, ...]) -> Tensor:
    """A float32 tensor of these numbers, or of these rows."""
    return torch.tensor(values, dtype=torch.float32, device=device)


@lru_cache(maxsize=256)
def index_tensor(device: torch.device, *values: int) -> Tensor:
    """An int64 tensor of these indices."""
    return torch.tensor(values, dtype=torch.int64, device=device)

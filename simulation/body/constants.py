"""Small constant tensors, cached for each device.

Contract: nothing writes to these tensors. They are cached because the host waits for the GPU when it copies a constant,
and a captured CUDA graph must not wait.
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

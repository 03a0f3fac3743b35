"""Small constant tensors, cached for each device.

Contract: nothing writes to these tensors. They are cached because the host waits for the GPU when it copies a constant,
and a captured CUDA graph must not wait.
"""

from functools import lru_cache

import torch
from torch import Tensor


def float_tensor(device: torch.device, *values: float | tuple[float, ...]) -> Tensor:
    """A float32 tensor of these numbers, or of these rows."""
    return _made(values, str(device))


def index_tensor(device: torch.device, *values: int) -> Tensor:
    """An int64 tensor of these indices."""
    return _indices(values, str(device))


@lru_cache(maxsize=1024)
def _made(values: tuple[float | tuple[float, ...], ...], device: str) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)


@lru_cache(maxsize=256)
def _indices(values: tuple[int, ...], device: str) -> Tensor:
    return torch.tensor(values, dtype=torch.int64, device=device)

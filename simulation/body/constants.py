"""Small constant tensors, made once for each device.

Contract: a tensor from here is never written to. Copying a constant to a GPU for every batch would make the host wait
for the device each time, and a captured graph may not wait at all.
"""

from functools import lru_cache

import torch
from torch import Tensor


def numbers_on(device: torch.device, *values: float | tuple[float, ...]) -> Tensor:
    """A float32 tensor of these numbers, or of these rows."""
    return _made(values, str(device))


def indices_on(device: torch.device, *values: int) -> Tensor:
    """An int64 tensor of these indices."""
    return _indices(values, str(device))


@lru_cache(maxsize=1024)
def _made(values: tuple[float | tuple[float, ...], ...], device: str) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)


@lru_cache(maxsize=256)
def _indices(values: tuple[int, ...], device: str) -> Tensor:
    return torch.tensor(values, dtype=torch.int64, device=device)

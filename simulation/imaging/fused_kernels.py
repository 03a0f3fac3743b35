"""Compiled kernels, which compute arithmetic over whole images in one pass on a GPU.

Contract: the arguments of a fused function are tensors and plain constants, and it returns tensors. Compilation changes
the results by rounding only. On a CPU nothing is compiled, so that a seed gives the same image on every machine.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from torch import Tensor

Result = TypeVar("Result")

_SHAPES = 48


def fused(function: Callable[..., Result]) -> Callable[..., Result]:
    """``function``, compiled for GPU tensors at the first call with a new shape. On a CPU it is not compiled."""
    compiled: list[Callable[..., Result]] = []

    @wraps(function)
    def call(*tensors: Any) -> Result:
        if not any(isinstance(t, Tensor) and t.is_cuda for t in tensors):
            return function(*tensors)
        if not compiled:
            import torch._dynamo.config  # its import takes a second; only a GPU needs it

            # There is one kernel for each shape of image and batch. The default limit is eight kernels.
            torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _SHAPES)
            compiled.append(torch.compile(function, dynamic=False))
        return compiled[0](*tensors)

    return call

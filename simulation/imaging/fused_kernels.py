"""Compiled kernels: on a GPU, arithmetic over whole images runs in one pass.

Contract: a fused function takes tensors and plain constants and returns tensors. Compilation changes its results by
rounding only. On a CPU nothing is compiled, so that a seed gives the same image on every machine.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from torch import Tensor

Result = TypeVar("Result")

_SHAPES = 48


def fused(function: Callable[..., Result]) -> Callable[..., Result]:
    """``function``, compiled for GPU tensors at the first call with a new shape. On a CPU it runs as it is."""
    compiled: list[Callable[..., Result]] = []

    @wraps(function)
    def call(*tensors: Any) -> Result:
        if not any(isinstance(t, Tensor) and t.is_cuda for t in tensors):
            return function(*tensors)
        if not compiled:
            import torch._dynamo.config  # takes a second to import, and only a GPU needs it

            # One kernel for each shape of image and batch; the default limit is eight.
            torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _SHAPES)
            compiled.append(torch.compile(function, dynamic=False))
        return compiled[0](*tensors)

    return call

"""Records the operations of a function as one CUDA graph, and replays them.

Rendering a batch takes some four thousand small operations. A GPU runs them faster than the host can launch them, and
many of them do not depend on each other. The host launches a graph at once, and branches of the graph run side by side.

Contract: the recorded function computes tensors from tensors, and the host reads none of them. Everything else that it
depends on is part of the key. All graphs share their memory, so a result must be used before the next replay.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Tensors = Mapping[str, Tensor]
Result = TypeVar("Result")

_WARM_UPS = 3
_MOST_GRAPHS = 8
_BRANCHES = 8


@dataclass(frozen=True)
class _Graph:
    """A recorded graph: a replay reads ``inputs`` and writes ``outputs``."""

    inputs: Tensors
    replay: Callable[[], None]
    outputs: Tensors


_graphs: dict[Hashable, _Graph] = {}
_memory: list[Any] = []
_branches: list[torch.cuda.Stream] = []


def replayed(function: Callable[[Tensors], Tensors], inputs: Tensors, key: Hashable) -> Tensors:
    """``function(inputs)`` on a GPU. The function is recorded at its first call with a new key.

    Args:
        function: reads no tensor on the host; returns the same names for every batch.
        inputs: name -> tensor on a GPU, of the same shape for every batch with this key.
        key: everything besides the tensors that the result depends on.
    """
    device = next(iter(inputs.values())).device
    key = (key, str(device))
    if key not in _graphs:
        if len(_graphs) >= _MOST_GRAPHS:
            _graphs.pop(next(iter(_graphs)))
        _graphs[key] = _recorded(function, inputs)
    graph = _graphs[key]
    for name, tensor in graph.inputs.items():
        tensor.copy_(inputs[name])
    graph.replay()
    return graph.outputs


def _recorded(function: Callable[[Tensors], Tensors], inputs: Tensors) -> _Graph:
    own = {name: tensor.clone() for name, tensor in inputs.items()}
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(_WARM_UPS):  # compile kernels, and fill the caches of constants: a capture cannot copy constants
            function(own)
    torch.cuda.current_stream().wait_stream(beside)
    if not _memory:
        _memory.append(torch.cuda.graph_pool_handle())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=_memory[0]):
        outputs = function(own)
    return _Graph(own, graph.replay, outputs)


def to_device(array: NDArray[Any], device: torch.device | str) -> Tensor:
    """A tensor on a device. A copy to a GPU begins from pinned memory, so the host does not wait for the GPU."""
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def all_to_device(arrays: Mapping[str, NDArray[np.float32]], device: torch.device | str) -> dict[str, Tensor]:
    """Name -> tensor on a device. All float32 arrays go to a GPU in one copy, because each copy costs the host time."""
    if torch.device(device).type != "cuda":
        return {name: to_device(array, device) for name, array in arrays.items()}
    together = to_device(np.concatenate([array.ravel() for array in arrays.values()]), device)
    parts = together.split([array.size for array in arrays.values()])
    return {name: part.view(arrays[name].shape) for name, part in zip(arrays, parts, strict=True)}


def in_parallel(*calls: Callable[[], Result]) -> list[Result]:
    """The result of every call, in order. While a graph is recorded, the calls become branches that run side by side.

    A call must not use the result of another call.
    """
    if not (torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()) or len(calls) < 2:
        return [call() for call in calls]
    outside = torch.cuda.current_stream()
    while len(_branches) < _BRANCHES:
        _branches.append(torch.cuda.Stream())
    free = [branch for branch in _branches if branch != outside]
    # A branch begins after everything before it, also after work that still reads memory which the branch will reuse.
    used = free[: len(calls)]
    for branch in used:
        branch.wait_stream(outside)
    results = []
    for number, call in enumerate(calls):
        with torch.cuda.stream(used[number % len(used)]):
            results.append(call())
    for branch in used:
        outside.wait_stream(branch)
    return results

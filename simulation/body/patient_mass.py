"""The mass points of N patients for bone, vessels of the lungs and metal.

Contract: the points are the same on every device up to rounding. A skeleton requires two thousand small operations. A
GPU runs these operations faster than the host can launch them. On a GPU they are therefore captured once for each batch
size, as a CUDA graph, and replayed. Every replay writes into the same memory, so the points of a batch must be used
before the next batch is built.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from simulation.body.batch import PatientBatch
from simulation.body.mass_points import MassPoints, sample_bones
from simulation.body.materials import TRABECULAR_SHARE
from simulation.body.metal import build_metal
from simulation.body.skeleton import build_bones, build_vessels, reference_cells

_USUAL_PIXEL_MM = 1.435
FINEST = 2.0
"""Limit of the refinement for small pixels. Beyond this limit, the detector's blur hides the grain of the points."""

_WARM_UPS = 3
_MOST_GRAPHS = 4


@dataclass(frozen=True)
class PatientMass:
    """The mass points of N patients; ``metal`` is None if no patient has metal."""

    bones: MassPoints
    vessels: MassPoints
    metal: MassPoints | None


def sample_patient_mass(batch: PatientBatch, pixel_mm: float) -> PatientMass:
    """Sample the mass points of a batch, at a spacing that suits pixels of ``pixel_mm``."""
    # The refinement is rounded to steps, so that slightly different pixel sizes share one captured graph.
    finer = min(max(1.0, round(_USUAL_PIXEL_MM / pixel_mm / 0.25) * 0.25), FINEST)
    if batch.device.type == "cuda":
        return _replayed(batch, finer)
    has_metal = bool((batch.bars[..., 7] != 0).any() or (batch.rod_weight != 0).any())
    return _sampled(batch, finer, has_metal)


def _sampled(batch: PatientBatch, finer: float, has_metal: bool = True) -> PatientMass:
    cells = reference_cells()
    metal = build_metal(batch.bars, batch.rods, batch.rod_weight) if has_metal else None
    return PatientMass(
        sample_bones(build_bones(batch), cells["bones"], finer, TRABECULAR_SHARE),
        sample_bones(build_vessels(batch), cells["vessels"], finer),
        None if metal is None else sample_bones(metal, cells["metal"], finer),
    )


@dataclass(frozen=True)
class _Graph:
    """A captured CUDA graph. To use it, copy a batch into ``static_input``, call ``replay``, then read ``mass``."""

    static_input: PatientBatch
    replay: Callable[[], None]
    mass: PatientMass


_graphs: dict[tuple[int, float, str], _Graph] = {}


def _replayed(batch: PatientBatch, finer: float) -> PatientMass:
    key = (len(batch), finer, str(batch.device))
    if key not in _graphs:
        if len(_graphs) >= _MOST_GRAPHS:
            _graphs.pop(next(iter(_graphs)))
        _graphs[key] = _captured(batch, finer)
    graph = _graphs[key]
    for name, tensor in _tensors(graph.static_input):
        tensor.copy_(getattr(batch, name))
    graph.replay()
    return graph.mass


def _captured(batch: PatientBatch, finer: float) -> _Graph:
    static_input = PatientBatch(**{name: tensor.clone() for name, tensor in _tensors(batch)})
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(_WARM_UPS):  # fill the caches of constants: a capture cannot copy constants to the GPU
            _sampled(static_input, finer)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        mass = _sampled(static_input, finer)
    return _Graph(static_input, graph.replay, mass)


def _tensors(batch: PatientBatch) -> list[tuple[str, Tensor]]:
    return [(field.name, getattr(batch, field.name)) for field in fields(PatientBatch)]

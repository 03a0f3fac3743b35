"""Mass points of N patients: bone, vessels of the lungs, metal; on a GPU replayed as one captured graph.

Contract: the same points on every device up to rounding. Building a skeleton is two thousand small operations; on a
GPU the host could not start them as fast as they run, so they are captured once for a batch size and replayed. A
replay writes into the same memory: its points are used before the next batch is built.
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
"""Spacing of mass points follows the pixel, but no further than this: beyond, the blur covers their grain."""

_WARM_UPS = 3
_MOST_GRAPHS = 4


@dataclass(frozen=True)
class Matter:
    """The mass points of N patients; metal is None where nobody has some."""

    bones: MassPoints
    vessels: MassPoints
    metal: MassPoints | None


def sample_matter(batch: PatientBatch, pixel_mm: float) -> Matter:
    """Mass points of a batch, as fine as the pixel needs."""
    # In steps, so that slightly different pixels share one captured graph.
    finer = min(max(1.0, round(_USUAL_PIXEL_MM / pixel_mm / 0.25) * 0.25), FINEST)
    if batch.device.type == "cuda":
        return _replayed(batch, finer)
    has_metal = bool((batch.bars[..., 7] != 0).any() or (batch.rod_weight != 0).any())
    return _sampled(batch, finer, has_metal)


def _sampled(batch: PatientBatch, finer: float, has_metal: bool = True) -> Matter:
    cells = reference_cells()
    metal = build_metal(batch.bars, batch.rods, batch.rod_weight) if has_metal else None
    return Matter(
        sample_bones(build_bones(batch), cells["bones"], finer, TRABECULAR_SHARE),
        sample_bones(build_vessels(batch), cells["vessels"], finer),
        None if metal is None else sample_bones(metal, cells["metal"], finer),
    )


@dataclass(frozen=True)
class _Graph:
    """A captured build: copy a batch into ``held``, replay, read ``matter``."""

    held: PatientBatch
    replay: Callable[[], None]
    matter: Matter


_graphs: dict[tuple[int, float, str], _Graph] = {}


def _replayed(batch: PatientBatch, finer: float) -> Matter:
    key = (len(batch), finer, str(batch.device))
    if key not in _graphs:
        if len(_graphs) >= _MOST_GRAPHS:
            _graphs.pop(next(iter(_graphs)))
        _graphs[key] = _captured(batch, finer)
    graph = _graphs[key]
    for name, held in _tensors(graph.held):
        held.copy_(getattr(batch, name))
    graph.replay()
    return graph.matter


def _captured(batch: PatientBatch, finer: float) -> _Graph:
    held = PatientBatch(**{name: tensor.clone() for name, tensor in _tensors(batch)})
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(_WARM_UPS):  # fills the caches of constants, which may not be made while capturing
            _sampled(held, finer)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        matter = _sampled(held, finer)
    return _Graph(held, graph.replay, matter)


def _tensors(batch: PatientBatch) -> list[tuple[str, Tensor]]:
    return [(field.name, getattr(batch, field.name)) for field in fields(PatientBatch)]

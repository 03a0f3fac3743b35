"""Random numbers of an image: one stream per patient and purpose, on any device.

Contract: what a patient gets depends on that patient's seed and the purpose alone, never on the batch. On the CPU the
numbers are the same on every machine; a GPU has its own generator, so its noise differs from the CPU's. Seeds alone
need no torch: it is imported where noise is drawn.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def normal(
    seeds: Sequence[int], purpose: int, shapes: Sequence[tuple[int, ...]], device: "torch.device"
) -> "tuple[Tensor, ...]":
    """(N, *shape) standard normal numbers for each of ``shapes``; one call of the generator a patient."""
    import torch

    sizes = [math.prod(shape) for shape in shapes]
    found = torch.empty(len(seeds), sum(sizes), device=device)
    generator = torch.Generator(device)
    for row, seed in zip(found, seeds, strict=True):
        generator.manual_seed(stream_seed(seed, purpose))
        row.normal_(generator=generator)
    parts = found.split(sizes, dim=1)
    return tuple(part.reshape(len(seeds), *shape) for part, shape in zip(parts, shapes, strict=True))


def patient_seed(seed: int, index: int) -> int:
    """Seed of patient ``index`` of a cohort or stream (63 bits): the same patients on disk and on the fly."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0] >> 1)


def stream_seed(seed: int, purpose: int) -> int:
    """A 63-bit seed for one purpose."""
    mixed = (seed * 0x9E3779B97F4A7C15 + (purpose + 1) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    mixed ^= mixed >> 31
    return ((mixed * 0x94D049BB133111EB) & (2**64 - 1)) >> 1


def numbers(seed: int, purpose: int) -> np.random.Generator:
    """A numpy generator for choices that are made on the host."""
    return np.random.default_rng([seed, purpose])

"""Random numbers of images: a normal distribution for each patient, and smooth fields for uneven soft tissue and lung.

Contract: a patient's numbers depend on the patient's seed and the purpose only. On a CPU, they are the same on every
machine. On a GPU they come from a hash of seed and position, in one operation, so its noise differs. Smooth fields have
a mean near 0 and an SD near 1. Their length scales are in millimetres, so a patient has the same texture at any pixel
size.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from simulation.imaging.fused_kernels import fused
from simulation.imaging.rays import Rays
from simulation.randomness import stream_seed
from spine.types import Float, Int

Seeds = Sequence[int] | Int[Tensor, " N"]
"""The 63-bit seed of each patient. While a CUDA graph is recorded, the seeds are a tensor on the GPU."""

CELLS = 48
"""Number of cells of a noise field along each axis. Beyond these cells, the field is mirrored."""


def standard_normal(
    seeds: Seeds, purpose: int, shapes: Sequence[tuple[int, ...]], device: torch.device
) -> tuple[Float[Tensor, "N ..."], ...]:
    """(N, *shape) standard normal numbers for each of ``shapes``."""
    sizes = [math.prod(shape) for shape in shapes]
    if device.type == "cuda":
        values = hashed_normal(torch.as_tensor(seeds, device=device), purpose, sum(sizes))
    else:
        values = torch.empty(len(seeds), sum(sizes))
        generator = torch.Generator()
        for row, seed in zip(values, seeds, strict=True):
            generator.manual_seed(stream_seed(int(seed), purpose))
            row.normal_(generator=generator)
    parts = values.split(sizes, dim=1)
    return tuple(part.reshape(len(seeds), *shape) for part, shape in zip(parts, shapes, strict=True))


def hashed_normal(seeds: Int[Tensor, " N"], purpose: int, count: int) -> Float[Tensor, "N {count}"]:
    """Standard normal numbers from SplitMix64 (https://prng.di.unimi.it/splitmix64.c) by the Box-Muller method.

    The hash gives 64 bits for each number. Its lower 24 bits choose the radius, the 24 bits above choose the angle.
    """
    stream = seeds * _signed(0x9E3779B97F4A7C15) + _signed((purpose + 1) * 0xBF58476D1CE4E5B9)
    at = torch.arange(1, count + 1, dtype=torch.int64, device=seeds.device) * _signed(0x9E3779B97F4A7C15)
    return _normal(mixed(stream), at)


@fused
def _normal(streams: Tensor, at: Tensor) -> Tensor:
    """(N, count) numbers at the ``count`` places of N streams."""
    bits = mixed(streams[:, None] + at)
    radius = torch.sqrt(-2 * torch.log(((bits & 0xFFFFFF).to(torch.float32) + 1) / 2**24))
    return radius * torch.cos(((bits >> 24) & 0xFFFFFF).to(torch.float32) * (2 * math.pi / 2**24))


def mixed(bits: Int[Tensor, "*any"]) -> Int[Tensor, "*any"]:
    """The output function of SplitMix64 on int64 tensors, whose products overflow as those of uint64 do."""
    bits = (bits ^ ((bits >> 30) & (2**34 - 1))) * _signed(0xBF58476D1CE4E5B9)
    bits = (bits ^ ((bits >> 27) & (2**37 - 1))) * _signed(0x94D049BB133111EB)
    return bits ^ ((bits >> 31) & (2**33 - 1))


def _signed(number: int) -> int:
    """The int64 with the same 64 bits as this unsigned number."""
    number &= 2**64 - 1
    return number - 2**64 if number >= 2**63 else number


def smooth_noise(fields: Float[Tensor, "N K C C"], rays: Rays, cells_mm: Sequence[float]) -> Float[Tensor, "N H W"]:
    """A smooth field from normal numbers. It is the sum of K fields, each with C = CELLS cells along both axes.

    Field k varies over about ``cells_mm[k]``. Coarser fields have larger weights.
    """
    u, z = rays.column_u_mm, rays.row_z_mm
    total = torch.zeros(len(rays), *rays.shape, device=rays.device)
    power = 0.0
    for field, cell in zip(fields.unbind(1), cells_mm, strict=True):
        amplitude = cell**0.5
        across, down = u / cell * (2 / CELLS), z / cell * (2 / CELLS)
        grid = torch.stack(torch.broadcast_tensors(across[:, None, :], down[:, :, None]), dim=-1)
        octave = functional.grid_sample(
            field[:, None], grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )[:, 0]
        total += amplitude * octave
        power += amplitude**2 * 4 / 9  # bilinear interpolation keeps (2/3)^2 of the variance
    return total / math.sqrt(power)

"""Random numbers of images: a normal distribution for each patient, and smooth fields for uneven soft tissue and lung.

Contract: a patient's numbers depend on the patient's seed and the purpose only. On a CPU, they are the same on every
machine. A GPU has a different generator, so its noise differs. Smooth fields have a mean near 0 and an SD near 1. Their
length scales are in millimetres, so a patient has the same texture at any pixel size.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from simulation.imaging.rays import Rays
from simulation.randomness import stream_seed
from spine.types import Float

CELLS = 48
"""Number of cells of a noise field along each axis. Beyond these cells, the field is mirrored."""


def standard_normal(
    seeds: Sequence[int], purpose: int, shapes: Sequence[tuple[int, ...]], device: torch.device
) -> tuple[Float[Tensor, "N ..."], ...]:
    """(N, *shape) standard normal numbers for each of ``shapes``. The generator is called once for each patient."""
    sizes = [math.prod(shape) for shape in shapes]
    values = torch.empty(len(seeds), sum(sizes), device=device)
    generator = torch.Generator(device)
    for row, seed in zip(values, seeds, strict=True):
        generator.manual_seed(stream_seed(seed, purpose))
        row.normal_(generator=generator)
    parts = values.split(sizes, dim=1)
    return tuple(part.reshape(len(seeds), *shape) for part, shape in zip(parts, shapes, strict=True))


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

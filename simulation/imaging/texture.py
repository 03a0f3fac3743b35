"""Smooth random fields: the unevenness of soft tissue and of lung.

Contract: mean about zero, standard deviation about one; sizes are in millimetres, so the same patient has the same
texture at any pixel size.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from simulation.imaging.rays import Rays

CELLS = 48
"""A noise field has this many cells a side and is mirrored beyond."""


def smooth_noise(fields: Tensor, rays: Rays, cells_mm: Sequence[float]) -> Tensor:
    """(N, K, CELLS, CELLS) normal numbers -> (N, H, W) sum of K octaves.

    Octave k varies over about ``cells_mm[k]``; coarser ones weigh more.
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

"""Smooth random fields: the unevenness of soft tissue and of lung.

What belongs here: band-limited noise. What does not: where it is applied. Contract: mean about zero, standard
deviation about one, drawn from the generator it is given and nothing else.
"""

from collections.abc import Sequence

import numpy as np
import torch


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], cells_px: Sequence[int], device: str = "cpu"
) -> torch.Tensor:
    """(H, W) sum of octaves; octave k varies over about ``cells_px[k]`` pixels, coarser ones weigh more."""
    height, width = shape
    total = torch.zeros(1, 1, height, width, device=device)
    power = 0.0
    for cell in cells_px:
        amplitude = cell**0.5
        small = (1, 1, height // cell + 3, width // cell + 3)
        coarse = torch.from_numpy(rng.standard_normal(small, dtype=np.float32)).to(device)
        total += amplitude * torch.nn.functional.interpolate(coarse, size=shape, mode="bilinear", align_corners=True)
        power += amplitude**2 * 4 / 9  # bilinear interpolation keeps (2/3)^2 of the variance
    return (total / power**0.5)[0, 0]

"""Virtual radiographs of a run.

Contract: images stay on the device as uint8 (10,000 of them are 3.4 GB).
"""

import os

import numpy as np
import torch

from benchmarks.sim_to_real.letterbox import FRAME
from simulation.stream.radiographs import FrontalRadiographs, frontal_radiographs


def rendered_radiographs(count: int, seed: int, device: str) -> FrontalRadiographs:
    """Rendered radiographs of virtual patients."""
    # A CPU needs milliseconds to pose a patient, which would be a minute without workers.
    workers = min(14, max(1, (os.cpu_count() or 2) - 2)) if device.startswith("cuda") else 0
    return frontal_radiographs(count, seed, FRAME, device, workers)


def rectangle_radiographs(count: int, seed: int, device: str) -> FrontalRadiographs:
    """Images of a column of rectangles on grey, for dry runs and tests."""
    rng = np.random.default_rng(seed)
    height, width = FRAME
    images = np.full((count, height, width), 60, dtype=np.uint8)
    corners = np.zeros((count, 17, 4, 2), dtype=np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)
    for n in range(count):
        amplitude, phase = rng.uniform(5, 30), rng.uniform(0, 6)
        for v in range(17):
            middle = width / 2 + amplitude * np.sin(phase + v / 4), 45 + v * 50
            half = 18 + v, 18
            box = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]]) * half
            corners[n, v] = np.array(middle) + box
            images[n][(abs(columns - middle[0]) <= half[0]) & (abs(rows - middle[1]) <= half[1])] = 120 + 5 * v
    made = (torch.from_numpy(a).to(device) for a in (images, corners, np.ones((count, 17, 4), dtype=bool)))
    return FrontalRadiographs(*made)

"""Virtual radiographs of a run.

Contract: images stay on the device as uint8 (10,000 of them are 3.4 GB).
"""

import os

import numpy as np
import torch

from benchmarks.sim_to_real.letterbox import FRAME
from simulation.stream.radiographs import FrontalRadiographs, frontal_radiographs


def rendered_radiographs(count: int, seed: int, device: str) -> FrontalRadiographs:
    """Rendered radiographs of virtual patients.

    Raises:
        ValueError: shapes, types or values of the radiographs are wrong.
    """
    # A CPU needs milliseconds to pose a patient, which would be a minute without workers.
    workers = min(14, max(1, (os.cpu_count() or 2) - 2)) if device.startswith("cuda") else 0
    return checked(frontal_radiographs(count, seed, FRAME, device, workers), count)


def checked(radiographs: FrontalRadiographs, count: int) -> FrontalRadiographs:
    """The radiographs, with absent corners at 0, after a check of shapes, types and values.

    Raises:
        ValueError: with every violation.
    """
    expected = {
        "images": (radiographs.images, (count, *FRAME), torch.uint8),
        "corners": (radiographs.corners, (count, 17, 4, 2), torch.float32),
        "visible": (radiographs.visible, (count, 17, 4), torch.bool),
    }
    wrong = [
        f"{name} are {tuple(t.shape)} {t.dtype}, expected {shape} {kind}"
        for name, (t, shape, kind) in expected.items()
        if tuple(t.shape) != shape or t.dtype != kind
    ]
    if not wrong and not bool(torch.isfinite(radiographs.corners[radiographs.visible]).all()):
        wrong.append("visible corners are not finite")
    if not wrong:
        x = radiographs.corners[..., 0]
        exchanged = (x[..., 1::2] < x[..., 0::2])[radiographs.visible.all(-1)].any(-1)
        if bool(exchanged.float().mean() > 0.05):
            wrong.append("left corners are right of right corners in more than 5 % of the vertebrae")
    if wrong:
        raise ValueError(f"found wrong virtual radiographs: {'; '.join(wrong)}; check the renderer")
    # A corner that is NaN would make a masked loss NaN.
    corners = torch.where(radiographs.visible[..., None], radiographs.corners, torch.zeros_like(radiographs.corners))
    return FrontalRadiographs(radiographs.images, corners, radiographs.visible)


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

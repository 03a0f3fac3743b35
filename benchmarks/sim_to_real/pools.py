"""Where virtual radiographs come from: rendered for this run, or a stored pack of an earlier renderer.

Contract: images stay on the device as uint8 (10,000 of them are 3.4 GB); held-out radiographs come from another seed,
    or are the last of a stored pack.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from benchmarks.sim_to_real.letterbox import FRAME
from benchmarks.sim_to_real.pack import read_pack

HELD_OUT = 200


class FrontalRadiographs(Protocol):
    """What ``simulation.stream.radiographs.frontal_radiographs`` returns.

    Attributes:
        images: (N, H, W) uint8, on the device.
        corners: (N, 17, 4, 2) float32 (column, row) px; upper left, upper right, lower left, lower right in the image.
        visible: (N, 17, 4) bool.
    """

    @property
    def images(self) -> Tensor: ...

    @property
    def corners(self) -> Tensor: ...

    @property
    def visible(self) -> Tensor: ...


@dataclass(frozen=True)
class Radiographs:
    """The same, held here."""

    images: Tensor
    corners: Tensor
    visible: Tensor

    def part(self, rows: slice) -> "Radiographs":
        """Some rows."""
        return Radiographs(self.images[rows], self.corners[rows], self.visible[rows])


def stored_radiographs(path: Path, device: str, limit: int | None = None) -> Radiographs:
    """A pack as radiographs on the device."""
    pack = read_pack(path, limit)
    parts = (torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (pack.images, pack.corners, pack.visible))
    return Radiographs(*parts)


def rendered_radiographs(count: int, seed: int, device: str, variant: str) -> Radiographs:
    """Radiographs rendered now.

    Raises:
        ValueError: the renderer's radiographs are not in the agreed frame.
    """
    from simulation.stream.radiographs import frontal_radiographs

    # Posing a patient takes milliseconds of a processor: alone it would cost a minute of the seven.
    workers = min(14, max(1, (os.cpu_count() or 2) - 2)) if device.startswith("cuda") else 0
    radiographs: FrontalRadiographs = frontal_radiographs(
        count, seed, shape=FRAME, device=device, variant=variant, workers=workers
    )
    return checked(radiographs, count)


def checked(radiographs: FrontalRadiographs, count: int) -> Radiographs:
    """The radiographs, if shapes, kinds and values are as agreed.

    Raises:
        ValueError: they are not; every violation is named.
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
        wrong.append("visible corners that are not finite")
    x = radiographs.corners[..., 0]
    if not wrong and bool((x[..., 1::2] < x[..., 0::2])[radiographs.visible.all(-1)].any(-1)
                          .float().mean() > 0.05):  # fmt: skip
        wrong.append("left corners right of right ones on more than 5 % of the vertebrae")
    if wrong:
        raise ValueError(f"virtual radiographs are not as agreed: {'; '.join(wrong)}")
    # An absent corner must not carry NaN into a masked loss.
    corners = torch.where(radiographs.visible[..., None], radiographs.corners, torch.zeros_like(radiographs.corners))
    return Radiographs(radiographs.images, corners, radiographs.visible)


def rectangle_radiographs(count: int, seed: int, device: str) -> Radiographs:
    """Rectangles in a row on grey: for the dry run and tests, no anatomy at all."""
    rng = np.random.default_rng(seed)
    height, width = FRAME
    images = np.full((count, height, width), 60, dtype=np.uint8)
    corners = np.zeros((count, 17, 4, 2), dtype=np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)
    for n in range(count):
        sway, phase = rng.uniform(5, 30), rng.uniform(0, 6)
        for v in range(17):
            middle = width / 2 + sway * np.sin(phase + v / 4), 45 + v * 50
            half = 18 + v, 18
            box = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]]) * half
            corners[n, v] = np.array(middle) + box
            images[n][(abs(columns - middle[0]) <= half[0]) & (abs(rows - middle[1]) <= half[1])] = 120 + 5 * v
    made = (torch.from_numpy(a).to(device) for a in (images, corners, np.ones((count, 17, 4), dtype=bool)))
    return Radiographs(*made)

"""Where virtual films come from: rendered for this run, or a stored pack of an earlier renderer.

Contract: pictures stay on the device as uint8 (10,000 of them are 3.4 GB); held-out films come from another seed, or
are the last of a stored pack.
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


class FrontalFilms(Protocol):
    """What ``simulation.stream.stream.frontal_films`` returns.

    Attributes:
        pictures: (N, H, W) uint8, on the device.
        corners: (N, 17, 4, 2) float32 (column, row) px; upper left, upper right, lower left, lower right in the image.
        visible: (N, 17, 4) bool.
    """

    @property
    def pictures(self) -> Tensor: ...

    @property
    def corners(self) -> Tensor: ...

    @property
    def visible(self) -> Tensor: ...


@dataclass(frozen=True)
class Films:
    """The same, held here."""

    pictures: Tensor
    corners: Tensor
    visible: Tensor

    def part(self, rows: slice) -> "Films":
        """Some rows."""
        return Films(self.pictures[rows], self.corners[rows], self.visible[rows])


def stored_films(path: Path, device: str, limit: int | None = None) -> Films:
    """A pack as films on the device."""
    pack = read_pack(path, limit)
    parts = (torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (pack.pictures, pack.corners, pack.visible))
    return Films(*parts)


def rendered_films(count: int, seed: int, device: str, variant: str) -> Films:
    """Films rendered now.

    Raises:
        ValueError: the renderer's films are not in the agreed frame.
    """
    from simulation.stream.stream import frontal_films

    # Posing a patient takes milliseconds of a processor: alone it would cost a minute of the seven.
    workers = min(14, max(1, (os.cpu_count() or 2) - 2)) if device.startswith("cuda") else 0
    films: FrontalFilms = frontal_films(count, seed, shape=FRAME, device=device, variant=variant, workers=workers)
    return checked(films, count)


def checked(films: FrontalFilms, count: int) -> Films:
    """The films, if shapes, kinds and values are as agreed.

    Raises:
        ValueError: they are not; every violation is named.
    """
    expected = {
        "pictures": (films.pictures, (count, *FRAME), torch.uint8),
        "corners": (films.corners, (count, 17, 4, 2), torch.float32),
        "visible": (films.visible, (count, 17, 4), torch.bool),
    }
    wrong = [
        f"{name} are {tuple(t.shape)} {t.dtype}, expected {shape} {kind}"
        for name, (t, shape, kind) in expected.items()
        if tuple(t.shape) != shape or t.dtype != kind
    ]
    if not wrong and not bool(torch.isfinite(films.corners[films.visible]).all()):
        wrong.append("visible corners that are not finite")
    if not wrong and bool((films.corners[..., 1::2, 0] < films.corners[..., 0::2, 0])[films.visible.all(-1)].any(-1)
                          .float().mean() > 0.05):  # fmt: skip
        wrong.append("left corners right of right ones on more than 5 % of the vertebrae")
    if wrong:
        raise ValueError(f"virtual films are not as agreed: {'; '.join(wrong)}")
    # An absent corner must not carry NaN into a masked loss.
    corners = torch.where(films.visible[..., None], films.corners, torch.zeros_like(films.corners))
    return Films(films.pictures, corners, films.visible)


def drawn_films(count: int, seed: int, device: str) -> Films:
    """Rectangles in a row on grey: for the dry run and tests, no anatomy at all."""
    rng = np.random.default_rng(seed)
    height, width = FRAME
    pictures = np.full((count, height, width), 60, dtype=np.uint8)
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
            pictures[n][(abs(columns - middle[0]) <= half[0]) & (abs(rows - middle[1]) <= half[1])] = 120 + 5 * v
    made = (torch.from_numpy(a).to(device) for a in (pictures, corners, np.ones((count, 17, 4), dtype=bool)))
    return Films(*made)

"""Images of a data set on the training device: prepared once, augmented on the device.

A worker on the host prepares about a hundred images per second. A GPU learns from thousands of images per second, if
they are in its own memory.

Contract: every epoch has the same images. A landmark that the view of an image does not show is absent.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from inference.preprocessing import prepare
from spine.dataset import load_example_image
from spine.landmarks import LANDMARK_SETS, VIEWS
from training.config import TrainingConfig
from training.data.dataset import ImageItem, targets

_LOADERS = 8


class PreloadedPool:
    """The images ``items`` of the data set in ``folder``, in the memory of ``device``.

    ``rank`` is that of this process in its process group; each process has its own order of images.
    """

    def __init__(
        self, folder: Path, items: Sequence[ImageItem], config: TrainingConfig, device: torch.device, rank: int = 0
    ) -> None:
        self.folder, self.items, self.names, self.input_shape = folder, items, config.names, config.input_shape
        self.device, self.rank, self.seconds = device, rank, 0.0
        self.shown = {v: frozenset(LANDMARK_SETS[config.landmark_set].names_in(v)) for v in VIEWS}
        self.view = torch.tensor([VIEWS.index(item.view) for item in items], dtype=torch.int64)
        count = len(items)
        # Half precision is finer than 8 bits.
        self.pixels = torch.empty((count, *config.input_shape), dtype=torch.float16, device=device)
        self.points = torch.zeros(count, len(self.names), 2, device=device)
        self.present = torch.zeros(count, len(self.names), dtype=torch.bool, device=device)
        with ThreadPoolExecutor(_LOADERS) as threads:
            list(threads.map(self._load, range(count)))

    def load_epoch(self, epoch: int) -> None:
        """Nothing to do: the images are the same in every epoch."""

    def _load(self, place: int) -> None:
        item = self.items[place]
        spacing = item.record.spacing_mm
        prepared = prepare(load_example_image(self.folder, item.record), self.input_shape, spacing_mm=spacing)
        target, present = targets(item.record, self.names, prepared.affine, self.input_shape, False)
        present &= [name in self.shown[item.view] for name in self.names]
        self.pixels[place] = torch.from_numpy(prepared.pixels[0]).to(self.device, torch.float16)
        self.points[place] = torch.from_numpy(target).to(self.device)
        self.present[place] = torch.from_numpy(present).to(self.device)

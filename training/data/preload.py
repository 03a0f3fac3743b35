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
from training.data.dataset import ImageItem, targets

_LOADERS = 8


class PreloadedPool:
    """Images of a data set in the memory of a device.

    Args:
        folder: folder of the data set.
        items: the images to load.
        names: names of the K landmarks.
        landmark_set: name of the landmark set, which lists the landmarks of each view.
        input_shape: (H, W) of the network's input.
        device: where the images are kept.
        rank: rank of this process in its process group; each process has its own order of images.
    """

    def __init__(
        self,
        folder: Path,
        items: Sequence[ImageItem],
        names: Sequence[str],
        landmark_set: str,
        input_shape: tuple[int, int],
        device: torch.device,
        rank: int = 0,
    ) -> None:
        self.folder, self.items, self.names, self.input_shape = folder, tuple(items), tuple(names), input_shape
        self.device, self.rank, self.seconds = device, rank, 0.0
        self.shown = {v: frozenset(LANDMARK_SETS[landmark_set].names_in(v)) for v in VIEWS}
        self.view = torch.tensor([VIEWS.index(item.view) for item in self.items], dtype=torch.int64)
        count = len(self.items)
        # Half precision is finer than 8 bits.
        self.pixels = torch.empty((count, *input_shape), dtype=torch.float16, device=device)
        self.points = torch.zeros(count, len(names), 2, device=device)
        self.present = torch.zeros(count, len(names), dtype=torch.bool, device=device)
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

"""Images of a data set on the training device, where they are prepared once and augmented for every batch.

A worker on the host prepares about a hundred images per second. A GPU learns from thousands of images per second, if
the images are in its own memory.

Contract: every epoch has the same images. A landmark that the view of an image does not show is absent.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from inference.preprocessing import prepare
from spine.dataset import load_example_image
from training.config import TrainingConfig
from training.data.dataset import ImageItem, targets
from training.data.pool import Pool

_LOADERS = 8


class PreloadedPool(Pool):
    """The images ``items`` of the data set in ``folder``, in the memory of ``device``.

    ``rank`` is the rank of this process in its process group. Each process has its own order of images.
    """

    def __init__(
        self, folder: Path, items: Sequence[ImageItem], config: TrainingConfig, device: torch.device, rank: int = 0
    ) -> None:
        super().__init__([item.view for item in items], config, device, rank)
        self.items = items
        load_items(self, folder, items)


def load_items(pool: Pool, folder: Path, items: Sequence[ImageItem]) -> None:
    """Prepare images of the data set in ``folder``, and store them in the first rows of ``pool``."""
    config, device = pool.config, pool.device

    def load(place: int) -> None:
        item, shape = items[place], config.input_shape
        prepared = prepare(load_example_image(folder, item.record), shape, spacing_mm=item.record.spacing_mm)
        target, present = targets(item.record, config.names, prepared.affine, shape, False)
        pool.pixels[place] = torch.from_numpy(prepared.pixels[0]).to(device, torch.float16)
        pool.points[place] = torch.from_numpy(target).to(device)
        pool.present[place] = torch.from_numpy(present).to(device) & pool.shown[item.view]
        pool.weight[place] = item.example.label_weight

    with ThreadPoolExecutor(_LOADERS) as threads:
        list(threads.map(load, range(len(items))))

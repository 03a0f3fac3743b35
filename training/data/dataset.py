"""Samples from a data set on disk. Images are memory-mapped and prepared one at a time.

Contract: pixels and labels are transformed by the same affine map, so labels are exact after augmentation. Augmentation
depends only on (seed, epoch, index). It is therefore the same with any number of workers and after an interruption. A
landmark is masked if it is absent, or if augmentation moves it outside the input.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from inference.decoding import normalised_from_pixels
from inference.preprocessing import GREY_LIMIT, Affine, prepare
from spine.dataset import Example, ExampleView, load_example_image
from spine.landmarks import VIEWS, ViewName, mirrored_name
from spine.types import Bool, Float, Int
from training.config import Augmentation
from training.process_group import SINGLE_PROCESS, ProcessGroup


class Sample(NamedTuple):
    """One image with its labels, or N images with their labels as tensors with a leading N.

    Attributes:
        pixels: prepared pixels, float32.
        view: index of the view in ``spine.landmarks.VIEWS``, int64.
        target: normalised (x, y) of the landmarks, float32; 0 where a landmark is masked.
        present: whether each landmark lies in the input.
        unit_per_px: length per input pixel, float32: mm in the patient if the view is calibrated, else pixels of the
            image.
        weight: weight of the labels in the loss, float32, 0 to 1 (``Example.label_weight``).
    """

    pixels: Float[Tensor, "*N 1 H W"]
    view: Int[Tensor, "*N"]
    target: Float[Tensor, "*N K 2"]
    present: Bool[Tensor, "*N K"]
    unit_per_px: Float[Tensor, "*N"]
    weight: Float[Tensor, "*N"]


@dataclass(frozen=True)
class ImageItem:
    """One image of an example."""

    example: Example
    view: ViewName

    @property
    def record(self) -> ExampleView:
        """The manifest's entry for this image."""
        return self.example.views[self.view]


def image_items(examples: Sequence[Example], views: Sequence[ViewName]) -> tuple[ImageItem, ...]:
    """Every image of ``examples`` in one of ``views``, in the manifest's order."""
    return tuple(ImageItem(e, v) for e in examples for v in VIEWS if v in views and v in e.views)


@dataclass(frozen=True, eq=False)
class ImageDataset(Dataset[Sample]):
    """Images of the data set in ``folder`` with K landmarks, as inputs of ``input_shape`` (H, W).

    ``seed`` is the seed of augmentation. For validation, ``augmentation`` is None.
    """

    folder: Path
    items: Sequence[ImageItem]
    names: Sequence[str]
    input_shape: tuple[int, int]
    seed: int = 0
    augmentation: Augmentation | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> list[Sample]:
        """The images of a batch, prepared in parallel threads, because warping releases Python's global lock."""
        with ThreadPoolExecutor(max(1, torch.get_num_threads())) as threads:
            return list(threads.map(self.__getitem__, keys))

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """The sample of image ``index`` in ``epoch``, for the key (epoch, index)."""
        epoch, index = key
        item = self.items[index]
        image = load_example_image(self.folder, item.record)
        spacing = item.record.spacing_mm
        if self.augmentation is None:
            prepared = prepare(image, self.input_shape, spacing_mm=spacing)
            mirrored, pixels = False, prepared.pixels
        else:
            random = np.random.default_rng((self.seed, epoch, index))
            extra, mirrored = draw_affine(random, self.augmentation, self.input_shape, item.view)
            prepared = prepare(image, self.input_shape, spacing_mm=spacing, extra=extra)
            pixels = change_greys(random, self.augmentation, prepared.pixels)
        target, present = targets(item.record, self.names, prepared.affine, self.input_shape, mirrored)
        return Sample(
            pixels=torch.from_numpy(pixels),
            view=torch.tensor(VIEWS.index(item.view)),
            target=torch.from_numpy(target),
            present=torch.from_numpy(present),
            unit_per_px=torch.tensor((spacing[1] if spacing else 1.0) / prepared.affine.matrix[0, 0]).float(),
            weight=torch.tensor(item.example.label_weight, dtype=torch.float32),
        )


@dataclass(eq=False)
class PositionSampler(Sampler[tuple[int, int]]):
    """Pairs (epoch, index). Every epoch has every image once, in an order that depends on seed and epoch only.

    Attributes:
        count: number of images.
        seed: seed of the order; None keeps the order of the items.
        first_epoch: epoch in which the fit continues after an interruption. Lightning counts this epoch as epoch 0.
        skip: number of images of the first epoch that were already used.
        group: process group; each of its processes gets a part of the images.
    """

    count: int
    seed: int | None
    first_epoch: int = 0
    skip: int = 0
    group: ProcessGroup = SINGLE_PROCESS

    def __post_init__(self) -> None:
        self.epoch = self.first_epoch

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch. Lightning calls this method with its own count of epochs."""
        self.epoch = self.first_epoch + epoch

    def __len__(self) -> int:
        return self.count // self.group.size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self.count)
        if self.seed is not None:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.count)
        skip = self.skip if self.epoch == self.first_epoch else 0
        yield from ((self.epoch, int(i)) for i in order[self.group.rank :: self.group.size][: len(self)][skip:])


def draw_affine(
    random: np.random.Generator, strengths: Augmentation, input_shape: tuple[int, int], view: ViewName
) -> tuple[Affine, bool]:
    """A random affine map in input pixels around the centre of the input, and whether it mirrors the image."""
    height, width = input_shape
    turn = np.radians(np.clip(random.normal(), -2.5, 2.5) * strengths.rotation_deg)
    enlargement = 2.0 ** (np.clip(random.normal(), -2.5, 2.5) * strengths.scale)
    shift = np.clip(random.normal(size=2), -2.5, 2.5) * strengths.shift * (width, height)
    mirrored = bool(random.random() < strengths.mirror) and view == "frontal"
    side = -1.0 if mirrored else 1.0
    wider = 2.0 ** (np.clip(random.normal(), -2.5, 2.5) * strengths.stretch / 2) if strengths.stretch else 1.0
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = enlargement * turned * [side * wider, 1.0 / wider]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre + shift - linear @ centre
    return Affine(matrix), mirrored


def change_greys(
    random: np.random.Generator, strengths: Augmentation, pixels: Float[NDArray[np.float32], "1 H W"]
) -> Float[NDArray[np.float32], "1 H W"]:
    """Change contrast, brightness, gamma and noise of normalised grey values. The result is within +-GREY_LIMIT."""
    contrast = 2.0 ** (random.normal() * strengths.contrast)
    changed = pixels * np.float32(contrast) + np.float32(random.normal() * strengths.brightness)
    noise = random.random() * strengths.noise
    if noise > 0:
        changed += random.standard_normal(pixels.shape, dtype=np.float32) * np.float32(noise)
    np.clip(changed, -GREY_LIMIT, GREY_LIMIT, out=changed)
    exponent = np.float32(2.0 ** (random.normal() * strengths.gamma))
    if exponent != 1:
        unit = (changed + np.float32(GREY_LIMIT)) / np.float32(2 * GREY_LIMIT)
        changed = unit**exponent * np.float32(2 * GREY_LIMIT) - np.float32(GREY_LIMIT)
    return changed.astype(np.float32, copy=False)


def targets(
    record: ExampleView, names: Sequence[str], affine: Affine, input_shape: tuple[int, int], mirrored: bool
) -> tuple[Float[NDArray[np.float32], "K 2"], Bool[NDArray[np.bool_], " K"]]:
    """The (K, 2) normalised targets, and the (K,) mask of the landmarks that lie in the input.

    In a mirrored image, a landmark lies where its left-right partner was.
    """
    target = np.zeros((len(names), 2), dtype=np.float32)
    present = np.zeros(len(names), dtype=np.bool_)
    for k, name in enumerate(names):
        point = record.points.get(mirrored_name(name) if mirrored else name)
        if point is None:
            continue
        normalised = normalised_from_pixels(affine.apply(point), input_shape)
        if np.all(np.abs(normalised) < 1.0):
            target[k], present[k] = normalised, True
    return target, present

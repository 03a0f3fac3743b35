"""Images of a fit in the memory of its device, and augmented batches of these images.

Contract: augmentation depends only on (seed, epoch, batch, rank), so an interrupted fit continues unchanged.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import IterableDataset

from inference.preprocessing import GREY_LIMIT
from spine.landmarks import LANDMARK_SETS, VIEWS, ViewName, mirrored_name
from spine.types import Bool, Float
from training.config import Augmentation, TrainingConfig
from training.data.dataset import Sample
from training.data.fields_of_view import centred, cut_images, draw_windows, kept_landmarks, level_table

_SHADED = 0.5
"""Share of the images that are shaded, if any are; a choice."""


class Pool:
    """N images on a device; image i shows the view ``views[i]``.

    Attributes:
        pixels: (N, H, W) pixels of the images.
        points, present: (N, K, 2) normalised landmarks, and (N, K) whether each landmark is present.
        weight: (N,) weight of the labels of each image in the loss.
        shown: view -> (K,) whether the landmark set has the landmark in this view.
        seconds: time that ``load_epoch`` took, in seconds.
    """

    def __init__(self, views: Sequence[ViewName], config: TrainingConfig, device: torch.device, rank: int) -> None:
        count, names, known = len(views), config.names, LANDMARK_SETS[config.landmark_set]
        self.config, self.device, self.rank, self.seconds = config, device, rank, 0.0
        self.view = torch.tensor([VIEWS.index(view) for view in views], dtype=torch.int64)
        self.shown = {v: torch.tensor([n in known.names_in(v) for n in names], device=device) for v in VIEWS}
        # Half precision is finer than the 8 bits of a display and needs half the memory.
        self.pixels = torch.full((count, *config.input_shape), -1.0, dtype=torch.float16, device=device)
        self.points = torch.zeros(count, len(names), 2, device=device)
        self.present = torch.zeros(count, len(names), dtype=torch.bool, device=device)
        self.weight = torch.ones(count, device=device)

    def load_epoch(self, epoch: int) -> None:
        """Fill the pool for ``epoch``. A pool of this base class has the same images in every epoch."""

    def look_ahead(self, epoch: int, share: float) -> None:
        """Prepare this share of the images that ``epoch`` will need, while the epoch before it is learnt."""


class PoolBatches(IterableDataset[Sample]):
    """Augmented batches from a pool, on the pool's device. One iteration is one epoch.

    An interrupted fit continues after ``first_epoch`` finished epochs and ``seen`` images of the next epoch.
    """

    def __init__(self, pool: Pool, config: TrainingConfig, first_epoch: int = 0, seen: int = 0) -> None:
        self.pool, self.config, self.epoch = pool, config, first_epoch
        self._skipped = seen // config.batch_size
        index = {name: k for k, name in enumerate(config.names)}
        # In a mirrored image, a landmark is absent if its left-right partner is not learnt.
        self.partner = torch.tensor([index.get(mirrored_name(name), -1) for name in index], device=pool.device)
        self.levels = level_table(config.names)

    def __len__(self) -> int:
        return len(self.pool.pixels) // self.config.batch_size

    def __iter__(self) -> Iterator[Sample]:
        """Every image of the pool once, in the order of this epoch. The next call returns the next epoch.

        The epoch is counted at the start, because a caller that knows the number of batches stops before the end.
        """
        epoch, skipped = self.epoch, self._skipped
        self.epoch, self._skipped = epoch + 1, 0
        return self._batches(epoch, skipped)

    def _batches(self, epoch: int, skipped: int) -> Iterator[Sample]:
        config = self.config
        self.pool.load_epoch(epoch)
        order = np.random.default_rng((config.seed, epoch, self.pool.rank)).permutation(len(self.pool.pixels))
        for batch in range(skipped, len(self)):
            self.pool.look_ahead(epoch + 1, (batch + 1) / len(self))
            chosen = torch.from_numpy(order[batch * config.batch_size : (batch + 1) * config.batch_size])
            yield self._batch(chosen, np.random.default_rng((config.seed, epoch, batch, self.pool.rank)))

    def _batch(self, chosen: Tensor, random: np.random.Generator) -> Sample:
        pool = self.pool
        view = pool.view[chosen]
        frontal, view, where = (view == VIEWS.index("frontal")).numpy(), view.to(pool.device), chosen.to(pool.device)
        linear, shift, mirrored = draw_affines(random, self.config.augmentation, self.config.input_shape, frontal)
        linear, shift = linear.to(pool.device), shift.to(pool.device)
        pixels = pool.pixels[where].float()
        points, present = self._labels(where, mirrored.to(pool.device))
        if self.config.augmentation.cut:
            windows = draw_windows(random, self.config.augmentation.cut, points, present, self.levels)
            linear, shift = centred(linear, shift, windows)
            pixels = cut_images(pixels, windows)
            present = kept_landmarks(points, present, windows)
        pixels = warp_images(pixels, linear, shift)
        target = (linear @ points.transpose(1, 2)).transpose(1, 2) + shift[:, None]
        present = present & (target.abs() < 1).all(dim=-1)
        return Sample(
            pixels=change_greys_of_batch(random, self.config.augmentation, pixels)[:, None],
            view=view,
            target=torch.where(present[..., None], target, torch.zeros_like(target)),
            present=present,
            unit_per_px=torch.ones(len(chosen), device=pool.device),
            weight=pool.weight[where],
        )

    def _labels(self, where: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        """Points and presence. In a mirrored image, a landmark lies where its left-right partner was."""
        points, present = self.pool.points[where], self.pool.present[where]
        swapped, there = points[:, self.partner], present[:, self.partner] & (self.partner >= 0)
        return (torch.where(mirrored[:, None, None], swapped, points), torch.where(mirrored[:, None], there, present))


def draw_affines(
    random: np.random.Generator, strengths: Augmentation, shape: tuple[int, int], frontal: Bool[NDArray[np.bool_], " N"]
) -> tuple[Float[Tensor, "N 2 2"], Float[Tensor, "N 2"], Bool[Tensor, " N"]]:
    """Random affine maps of N images with the distribution of ``dataset.draw_affine``, and whether each map mirrors.

    Linear parts and shifts map normalised image coordinates to normalised input coordinates.
    """
    count, half = len(frontal), np.array([shape[1], shape[0]]) / 2
    turn = np.radians(np.clip(random.standard_normal(count), -2.5, 2.5) * strengths.rotation_deg)
    enlarged = 2.0 ** (np.clip(random.standard_normal(count), -2.5, 2.5) * strengths.scale)
    shift = np.clip(random.standard_normal((count, 2)), -2.5, 2.5) * strengths.shift * 2
    mirrored = (random.random(count) < strengths.mirror) & frontal
    linear = enlarged[:, None, None] * np.stack(
        [np.stack([np.cos(turn), -np.sin(turn)], -1), np.stack([np.sin(turn), np.cos(turn)], -1)], 1
    )
    linear[:, :, 0] *= np.where(mirrored, -1.0, 1.0)[:, None]
    if strengths.stretch:
        wider = 2.0 ** (np.clip(random.standard_normal(count), -2.5, 2.5) * strengths.stretch / 2)
        linear *= np.stack([wider, 1.0 / wider], -1)[:, None, :]
    linear = linear * half[None, None, :] / half[None, :, None]  # pixels are square; normalised units are not
    return torch.from_numpy(linear).float(), torch.from_numpy(shift).float(), torch.from_numpy(mirrored)


def warp_images(
    pixels: Float[Tensor, "N H W"], linear: Float[Tensor, "N 2 2"], shift: Float[Tensor, "N 2"]
) -> Float[Tensor, "N H W"]:
    """Resample linearly, so that the value at p moves to ``linear`` p + ``shift``. The outside becomes black (-1)."""
    back, _ = torch.linalg.inv_ex(linear)  # without a check, for which the host would wait for the GPU
    theta = torch.cat([back, -(back @ shift[..., None])], dim=-1)
    grid = functional.affine_grid(theta, [len(pixels), 1, *pixels.shape[1:]], align_corners=False)
    moved: Tensor = functional.grid_sample(pixels[:, None] + 1, grid, padding_mode="zeros", align_corners=False) - 1
    return moved[:, 0]


def shaded(pixels: Float[Tensor, "N H W"], slopes: Float[Tensor, "N 2"]) -> Float[Tensor, "N H W"]:
    """Add a brightness that changes linearly by ``slopes`` from the middle to the right and to the lower edge.

    A shaded image is clipped to -1..1, as if it were exposed for one part only: in lateral lumbar radiographs, the
    sacrum is often white. Black stays black. An image with slopes of 0 does not change.
    """
    height, width = pixels.shape[1:]
    across = torch.linspace(-1, 1, width, device=pixels.device)
    down = torch.linspace(-1, 1, height, device=pixels.device)
    added = slopes[:, :1, None] * across + slopes[:, 1:, None] * down[:, None]
    changed = (pixels + added * (4 * (pixels + 1)).clamp(0, 1)).clamp(-1, 1)
    return torch.where((slopes != 0).any(dim=1)[:, None, None], changed, pixels)


def change_greys_of_batch(
    random: np.random.Generator, strengths: Augmentation, pixels: Float[Tensor, "N H W"]
) -> Float[Tensor, "N H W"]:
    """Change contrast, brightness, noise and gamma of each image, as ``dataset.change_greys`` does."""
    count, device = len(pixels), pixels.device

    def per_image(values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values).float().to(device)[:, None, None]

    contrast = per_image(2.0 ** (random.standard_normal(count) * strengths.contrast))
    brightness = per_image(random.standard_normal(count) * strengths.brightness)
    noise = per_image(random.random(count) * strengths.noise)
    exponent = per_image(2.0 ** (random.standard_normal(count) * strengths.gamma))
    if strengths.shading:
        slopes = random.standard_normal((count, 2)) * strengths.shading * (random.random((count, 1)) < _SHADED)
        pixels = shaded(pixels, torch.from_numpy(slopes).float().to(device))
    generator = torch.Generator(device).manual_seed(int(random.integers(2**62)))
    grain = torch.randn(pixels.shape, device=device, generator=generator)
    changed = (pixels * contrast + brightness + noise * grain).clamp(-GREY_LIMIT, GREY_LIMIT)
    unit = (changed + GREY_LIMIT) / (2 * GREY_LIMIT)
    powered: Tensor = unit**exponent * (2 * GREY_LIMIT) - GREY_LIMIT
    return powered

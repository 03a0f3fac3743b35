"""Virtual patients as training data: rendered on the training device, kept there and replaced epoch by epoch.

Contract: in epoch e the pool contains the P patients from number e F on, with F = P / reuse. So every image is used
``reuse`` times, each time with another augmentation. With reuse 0, F is 0 and the patients are never replaced. All
random numbers depend only on (seed, epoch, batch), so an interrupted fit continues unchanged. The seeds of these
patients are far from the seeds of usual cohorts. A patient of the validation or test split is refused.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import IterableDataset

from inference.contract import DEFAULT_NORMALISATION
from inference.preprocessing import GREY_LIMIT, PERCENTILE_SAMPLES
from simulation.stream.patients import VirtualPatients
from simulation.stream.posed import RenderedBatch, render_in_batches
from simulation.stream.radiographs import RADIOGRAPH_VARIANTS, PosedRadiographs
from simulation.stream.stream_config import StreamConfig
from spine.errors import ContractViolation
from spine.landmarks import LANDMARK_SETS, VIEWS, ViewName, mirrored_name
from spine.types import Bool, Float, Int
from training.config import DRAWN_TOGETHER, Augmentation, TrainingConfig
from training.data.dataset import Sample
from training.process_group import SINGLE_PROCESS, ProcessGroup

_SEED_OFFSET = 7_000_000_000
_FRONTAL_SEED_OFFSET = 1_000_000_000
_ENDLESS = 2**30
_PATIENTS_PER_PROCESS = 2**32
"""Difference between the numbers of the first patients of two processes in a process group."""


def stream_seed(config: TrainingConfig) -> int:
    """Seed of the virtual patients of a fit."""
    return _SEED_OFFSET + config.seed


@dataclass(frozen=True)
class PreparedBatch:
    """N images as inputs of a network, with normalised (x, y) points."""

    pixels: Float[Tensor, "N H W"]
    points: Float[Tensor, "N K 2"]
    present: Bool[Tensor, "N K"]


def prepare_rendered(rendered: RenderedBatch, view: ViewName) -> PreparedBatch:
    """Centre the field of view and normalise the grey values, as ``inference.preprocessing`` does with stored images.

    A rendered image is black outside its field of view, and a short field lies at the top. A stored image has no such
    border.
    """
    images, bounds = rendered.images[view][:, 0], rendered.bounds[view]
    height, width = images.shape[1:]
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    top, bottom, left, right = (bounds[:, i, None] for i in range(4))
    across = (columns >= left - 0.5) & (columns < right - 0.5)  # (N, W)
    down = (rows >= top - 0.5) & (rows < bottom - 0.5)  # (N, H)
    step = max(1, round((height * width / PERCENTILE_SAMPLES) ** 0.5))
    sampled = images[:, ::step, ::step].masked_fill(~(down[:, ::step, None] & across[:, None, ::step]), torch.nan)
    wanted = (DEFAULT_NORMALISATION.low_percentile, DEFAULT_NORMALISATION.high_percentile)
    low, high = torch.nanquantile(sampled.flatten(1), images.new_tensor(wanted) / 100, dim=1)
    span = (high - low).clamp(min=1 / 4095)
    grey = ((images - low[:, None, None]) * (2 / span)[:, None, None] - 1).clamp(-GREY_LIMIT, GREY_LIMIT)
    grey = grey.masked_fill(~(down[..., None] & across[:, None]), -1.0)
    lowered = ((height - top - bottom) / 2).floor().long()[:, 0]
    source = rows - lowered[:, None]
    moved = grey.gather(1, source.clamp(0, height - 1)[..., None].expand_as(grey))
    pixels = moved.masked_fill(((source < 0) | (source >= height))[..., None], -1.0)
    pixel = rendered.landmarks[view] + torch.stack([torch.zeros_like(lowered), lowered], dim=-1)[:, None]
    points = (pixel + 0.5) * 2 / pixel.new_tensor([width, height]) - 1
    return PreparedBatch(pixels, points, rendered.present[view])


@dataclass
class _Source:
    """Patients of one kind: the rows of their images in the pool, and the next patient to render.

    Attributes:
        views: the views of each patient; view number ``v`` of patient ``i`` is in row ``start + v size + i % size``.
        start: first row.
        size: number of patients in the pool.
        replaced: number of patients replaced each epoch.
        render: returns endless batches that begin with the given patient.
        next_patient: number of the patient that is rendered next.
        running: the iterator that ``render`` returned last.
    """

    views: tuple[ViewName, ...]
    start: int
    size: int
    replaced: int
    render: Callable[[int], Iterator[RenderedBatch]]
    next_patient: int = 0
    running: Iterator[RenderedBatch] | None = None

    def missing(self, epoch: int) -> Iterator[tuple[int, RenderedBatch]]:
        """(first patient, batch) of the patients that ``epoch`` needs and the pool lacks."""
        first, stop = epoch * self.replaced, epoch * self.replaced + self.size
        if self.size and (self.running is None or self.next_patient < first):
            self.next_patient = max(self.next_patient, first)
            self.running = self.render(self.next_patient)
        while self.running and self.next_patient < stop:
            yield self.next_patient, next(self.running)
            self.next_patient += DRAWN_TOGETHER


class VirtualPool:
    """Images of virtual patients on a device: both views of ``virtual_pairs``, one view of ``virtual_frontals``.

    Args:
        config: config of the fit.
        views: the views of a pair.
        device: where the images are rendered and kept.
        held_out: seeds of patients that the fit must not learn from.
        group: each process has its part of the pool, with different patients.
    """

    def __init__(
        self,
        config: TrainingConfig,
        views: Sequence[ViewName],
        device: torch.device,
        held_out: frozenset[int] = frozenset(),
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.config, self.views, self.held_out = config, tuple(views), held_out
        self.device, self.rank, self.first_patient = device, group.rank, group.rank * _PATIENTS_PER_PROCESS
        pairs, frontals = config.virtual_pairs // group.size, config.virtual_frontals // group.size
        start = pairs * len(self.views)
        self.sources = [
            _Source(self.views, 0, pairs, config.replaced_each_epoch(pairs), self._pairs),
            _Source(("frontal",), start, frontals, config.replaced_each_epoch(frontals), self._frontals),
        ]
        count, names, known = start + frontals, config.names, LANDMARK_SETS[config.landmark_set]
        self.shown = {v: torch.tensor([n in known.names_in(v) for n in names], device=device) for v in VIEWS}
        self.view = torch.tensor(
            [VIEWS.index(v) for s in self.sources for v in s.views for _ in range(s.size)], dtype=torch.int64
        )
        # Half precision is finer than the 8 bits of a display and takes half the memory.
        self.pixels = torch.full((count, *config.input_shape), -1.0, dtype=torch.float16, device=device)
        self.points = torch.zeros(count, len(names), 2, device=device)
        self.present = torch.zeros(count, len(names), dtype=torch.bool, device=device)
        self.seconds = 0.0  # spent on rendering

    def load_epoch(self, epoch: int) -> None:
        """Render the patients that ``epoch`` needs and the pool lacks."""
        started = time.monotonic()
        for source in self.sources:
            for patient, rendered in source.missing(epoch):
                self._store(source, patient, rendered)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds += time.monotonic() - started

    def _pairs(self, first: int) -> Iterator[RenderedBatch]:
        config = self.config
        stream = StreamConfig(
            seed=stream_seed(config),
            count=_ENDLESS,
            batch_size=DRAWN_TOGETHER,
            shape=config.input_shape,
            spacing_mm=StreamConfig.spacing_mm * StreamConfig.shape[0] / config.input_shape[0],
            views=self.views,
            names=config.names,
            first=self.first_patient + first,
        )
        return iter(VirtualPatients(stream, self.device, config.workers - self._frontal_workers))

    def _frontals(self, first: int) -> Iterator[RenderedBatch]:
        config, variant = self.config, RADIOGRAPH_VARIANTS["all"]
        seed, start = stream_seed(config) + _FRONTAL_SEED_OFFSET, self.first_patient + first
        radiographs = PosedRadiographs(_ENDLESS, seed, config.input_shape, variant, start, config.names)
        return render_in_batches(radiographs, DRAWN_TOGETHER, self.device, self._frontal_workers)

    @property
    def _frontal_workers(self) -> int:
        """Number of workers for virtual frontals; to pose one takes as long as to pose a pair."""
        config = self.config
        share = config.virtual_frontals / (config.virtual_frontals + config.virtual_pairs)
        return min(config.workers - 1, max(1, round(config.workers * share))) if share and config.workers > 1 else 0

    def _store(self, source: _Source, patient: int, rendered: RenderedBatch) -> None:
        known = self.held_out.intersection(rendered.seeds)
        if known:
            raise ContractViolation(
                "HELD_OUT_LEARNT",
                found=f"{len(known)} virtual patients of this fit that are in the validation or test split",
                expected="patients that are not in the data set",
                remedy="train with another seed",
            )
        for v, view in enumerate(source.views):
            batch = prepare_rendered(rendered, view)
            row = source.start + v * source.size + patient % source.size
            rows = slice(row, row + DRAWN_TOGETHER)
            self.pixels[rows], self.points[rows] = batch.pixels, batch.points
            self.present[rows] = batch.present & self.shown[view]


class Pool(Protocol):
    """Images on a device with their normalised landmarks; ``view`` is the position in VIEWS."""

    pixels: Float[Tensor, "N H W"]
    points: Float[Tensor, "N K 2"]
    present: Bool[Tensor, "N K"]
    view: Int[Tensor, " N"]
    device: torch.device
    rank: int
    seconds: float

    def load_epoch(self, epoch: int) -> None:
        """Fill the pool for ``epoch``."""


class PoolBatches(IterableDataset[Sample]):
    """Augmented batches from a pool, on its device; one iteration is one epoch.

    Args:
        pool: the images.
        config: the parameters of the fit.
        first_epoch: number of finished epochs of an interrupted fit.
        seen: number of images used in the unfinished epoch.
    """

    def __init__(self, pool: Pool, config: TrainingConfig, first_epoch: int = 0, seen: int = 0) -> None:
        self.pool, self.config, self.epoch = pool, config, first_epoch
        self._skipped = seen // config.batch_size
        index = {name: k for k, name in enumerate(config.names)}
        # In a mirrored image, a landmark whose left-right partner is not learnt is absent.
        self.partner = torch.tensor([index.get(mirrored_name(name), -1) for name in index], device=pool.device)

    def __len__(self) -> int:
        return len(self.pool.pixels) // self.config.batch_size

    def __iter__(self) -> Iterator[Sample]:
        """Every image of the pool once, in the order of this epoch; the next call is the next epoch.

        The epoch is counted here and not at the end, because a caller that knows the number of batches stops earlier.
        """
        epoch, skipped = self.epoch, self._skipped
        self.epoch, self._skipped = epoch + 1, 0
        return self._batches(epoch, skipped)

    def _batches(self, epoch: int, skipped: int) -> Iterator[Sample]:
        config = self.config
        self.pool.load_epoch(epoch)
        order = np.random.default_rng((config.seed, epoch, self.pool.rank)).permutation(len(self.pool.pixels))
        for batch in range(skipped, len(self)):
            chosen = torch.from_numpy(order[batch * config.batch_size : (batch + 1) * config.batch_size])
            yield self._batch(chosen, np.random.default_rng((config.seed, epoch, batch, self.pool.rank)))

    def _batch(self, chosen: Tensor, random: np.random.Generator) -> Sample:
        pool = self.pool
        view = pool.view[chosen]
        frontal, view, where = (view == VIEWS.index("frontal")).numpy(), view.to(pool.device), chosen.to(pool.device)
        linear, shift, mirrored = draw_affines(random, self.config.augmentation, self.config.input_shape, frontal)
        linear, shift = linear.to(pool.device), shift.to(pool.device)
        pixels = warp_images(pool.pixels[where].float(), linear, shift)
        points, present = self._labels(where, mirrored.to(pool.device))
        target = (linear @ points.transpose(1, 2)).transpose(1, 2) + shift[:, None]
        present = present & (target.abs() < 1).all(dim=-1)
        return Sample(
            pixels=change_greys_of_batch(random, self.config.augmentation, pixels)[:, None],
            view=view,
            target=torch.where(present[..., None], target, torch.zeros_like(target)),
            present=present,
            unit_per_px=torch.ones(len(chosen), device=pool.device),
        )

    def _labels(self, where: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        """Points and presence; in a mirrored image a landmark lies where its left-right partner was."""
        points, present = self.pool.points[where], self.pool.present[where]
        swapped, there = points[:, self.partner], present[:, self.partner] & (self.partner >= 0)
        return (torch.where(mirrored[:, None, None], swapped, points), torch.where(mirrored[:, None], there, present))


def draw_affines(
    random: np.random.Generator, strengths: Augmentation, shape: tuple[int, int], frontal: Bool[NDArray[np.bool_], " N"]
) -> tuple[Float[Tensor, "N 2 2"], Float[Tensor, "N 2"], Bool[Tensor, " N"]]:
    """Random affines of N images, as by ``dataset.draw_affine``, and whether each one mirrors.

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
    linear = linear * half[None, None, :] / half[None, :, None]  # pixels are square, normalised units are not
    return torch.from_numpy(linear).float(), torch.from_numpy(shift).float(), torch.from_numpy(mirrored)


def warp_images(
    pixels: Float[Tensor, "N H W"], linear: Float[Tensor, "N 2 2"], shift: Float[Tensor, "N 2"]
) -> Float[Tensor, "N H W"]:
    """Resample linearly, so that the value at p moves to ``linear`` p + ``shift``; black (-1) outside."""
    back = torch.linalg.inv(linear)
    theta = torch.cat([back, -(back @ shift[..., None])], dim=-1)
    grid = functional.affine_grid(theta, [len(pixels), 1, *pixels.shape[1:]], align_corners=False)
    moved: Tensor = functional.grid_sample(pixels[:, None] + 1, grid, padding_mode="zeros", align_corners=False) - 1
    return moved[:, 0]


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
    generator = torch.Generator(device).manual_seed(int(random.integers(2**62)))
    grain = torch.randn(pixels.shape, device=device, generator=generator)
    changed = (pixels * contrast + brightness + noise * grain).clamp(-GREY_LIMIT, GREY_LIMIT)
    unit = (changed + GREY_LIMIT) / (2 * GREY_LIMIT)
    powered: Tensor = unit**exponent * (2 * GREY_LIMIT) - GREY_LIMIT
    return powered

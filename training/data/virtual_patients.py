"""Virtual patients as training data: drawn on the training device, kept there, replaced while they are learnt from.

Contract: in epoch e the pool holds patients e F to e F + P of each of its seeds, F = P / reuse, so every image is
seen ``reuse`` times (reuse 0: F = 0, the same patients throughout), differently augmented; what is drawn depends on
(seed, epoch, batch) alone, so an interrupted fit goes on as if nothing happened. The seed of these patients lies far
from any a cohort is likely to have, and one that is in the held-out splits is refused.
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
from simulation.stream.stream import (
    RADIOGRAPH_VARIANTS,
    PlannedRadiographs,
    Rendered,
    StreamConfig,
    VirtualPatients,
    drawn_radiographs,
)
from spine.errors import ContractViolation
from spine.landmarks import LANDMARK_SETS, VIEWS, ViewName, mirrored_name
from training.config import DRAWN_TOGETHER, Augmentation, TrainingConfig
from training.data.dataset import Sample
from training.process_group import Team

_SEED_OFFSET = 7_000_000_000
_RADIOGRAPH_SEED_OFFSET = 1_000_000_000
_ENDLESS = 2**30
_APART = 2**32
"""Patients between the first ones of two processes of a team."""

_ALONE = Team()


def stream_seed(config: TrainingConfig) -> int:
    """Seed of the virtual patients of a run."""
    return _SEED_OFFSET + config.seed


@dataclass(frozen=True)
class Prepared:
    """N images as a network sees them: (N, H, W), (N, K, 2) normalised (x, y), (N, K)."""

    pixels: Tensor
    points: Tensor
    present: Tensor


def prepared(drawn: Rendered, view: ViewName) -> Prepared:
    """Centre the field and normalise greys, as service does with images on disk.

    A drawn image is black outside its field, and a short field lies at the top; on disk the black is not there.
    """
    images, sheet = drawn.images[view][:, 0], drawn.sheets[view]
    height, width = images.shape[1:]
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    top, bottom, left, right = (sheet[:, i, None] for i in range(4))
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
    pixel = drawn.landmarks[view] + torch.stack([torch.zeros_like(lowered), lowered], dim=-1)[:, None]
    points = (pixel + 0.5) * 2 / pixel.new_tensor([width, height]) - 1
    return Prepared(pixels, points, drawn.present[view])


@dataclass
class _Source:
    """Patients of one kind: where their images lie in the pool, and how far they have been drawn.

    Attributes:
        views: which images of each patient; image ``v`` of patient ``i`` lies at ``start + v held + i % held``.
        start, held, fresh: first row, patients held, patients replaced each epoch.
        draw: batches from patient ``first`` on, without end.
        next: the patient that is drawn next.
    """

    views: tuple[ViewName, ...]
    start: int
    held: int
    fresh: int
    draw: Callable[[int], Iterator[Rendered]]
    next: int = 0
    running: Iterator[Rendered] | None = None

    def due(self, epoch: int) -> Iterator[tuple[int, Rendered]]:
        """(patient, batch) of what ``epoch`` needs and the pool does not hold."""
        first, stop = epoch * self.fresh, epoch * self.fresh + self.held
        if self.running is None or self.next < first:
            self.next = max(self.next, first)
            self.running = self.draw(self.next)
        while self.next < stop:
            yield self.next, next(self.running)
            self.next += DRAWN_TOGETHER


class VirtualPool:
    """Images of virtual patients on a device: of ``virtual_pairs`` both views, of ``virtual_radiographs`` a frontal
    radiograph.

    Args:
        config: of the run; counts, ``reuse``, input shape, seed and workers matter here.
        names: K landmarks.
        views: which images of a pair.
        device: where.
        held_out: seeds of patients that must not be learnt from.
        team: every process of a team holds its share, of patients of its own.
    """

    def __init__(
        self,
        config: TrainingConfig,
        names: Sequence[str],
        views: Sequence[ViewName],
        device: torch.device,
        held_out: frozenset[int] = frozenset(),
        team: Team = _ALONE,
    ) -> None:
        self.config, self.names, self.held_out = config, tuple(names), held_out
        self.views, self.device, self.rank = tuple(views), device, team.rank
        self.first_patient = team.rank * _APART
        pairs, radiographs = config.virtual_pairs // team.size, config.virtual_radiographs // team.size
        self.sources = [_Source(self.views, 0, pairs, config.replaced(pairs), self._pairs)]
        if radiographs:
            self.sources.append(
                _Source(
                    ("frontal",), pairs * len(self.views), radiographs, config.replaced(radiographs), self._radiographs
                )
            )
        count = pairs * len(self.views) + radiographs
        known = LANDMARK_SETS[config.landmark_set]
        self.sought = {v: torch.tensor([n in known.sought_in(v) for n in names], device=device) for v in VIEWS}
        self.view = torch.tensor(
            [VIEWS.index(v) for s in self.sources for v in s.views for _ in range(s.held)], dtype=torch.int64
        )
        # Half precision is finer than the 8 bits of a display and half as much as the device would need.
        self.pixels = torch.full((count, *config.input_shape), -1.0, dtype=torch.float16, device=device)
        self.points = torch.zeros(count, len(names), 2, device=device)
        self.present = torch.zeros(count, len(names), dtype=torch.bool, device=device)
        self.seconds = 0.0  # spent drawing

    def turn_to(self, epoch: int) -> None:
        """Draw what epoch ``epoch`` needs and the pool does not hold."""
        started = time.monotonic()
        for source in self.sources:
            for patient, drawn in source.due(epoch):
                self._put(source, patient, drawn)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds += time.monotonic() - started

    def _pairs(self, first: int) -> Iterator[Rendered]:
        config = self.config
        stream = StreamConfig(
            seed=stream_seed(config),
            count=_ENDLESS,
            batch_size=DRAWN_TOGETHER,
            shape=config.input_shape,
            spacing_mm=StreamConfig.spacing_mm * StreamConfig.shape[0] / config.input_shape[0],
            views=self.views,
            names=self.names,
            first=self.first_patient + first,
        )
        return iter(VirtualPatients(stream, self.device, config.workers - self._radiograph_workers))

    def _radiographs(self, first: int) -> Iterator[Rendered]:
        config, variant = self.config, RADIOGRAPH_VARIANTS["all"]
        seed, start = stream_seed(config) + _RADIOGRAPH_SEED_OFFSET, self.first_patient + first
        radiographs = PlannedRadiographs(_ENDLESS, seed, config.input_shape, variant, start, self.names)
        return drawn_radiographs(radiographs, DRAWN_TOGETHER, self.device, self._radiograph_workers)

    @property
    def _radiograph_workers(self) -> int:
        """Radiographs' share of the workers; a radiograph takes as long to pose as a pair."""
        config = self.config
        share = config.virtual_radiographs / (config.virtual_radiographs + config.virtual_pairs)
        return min(config.workers - 1, max(1, round(config.workers * share))) if share and config.workers > 1 else 0

    def _put(self, source: _Source, patient: int, drawn: Rendered) -> None:
        known = self.held_out.intersection(drawn.seeds)
        if known:
            raise ContractViolation(
                "HELD_OUT_LEARNT",
                found=f"{len(known)} virtual patients of this stream in the validation or test split",
                expected="patients that the data set does not have",
                remedy="train with another seed",
            )
        for v, view in enumerate(source.views):
            made = prepared(drawn, view)
            slot = source.start + v * source.held + patient % source.held
            place = slice(slot, slot + DRAWN_TOGETHER)
            self.pixels[place], self.points[place] = made.pixels, made.points
            self.present[place] = made.present & self.sought[view]


class Pool(Protocol):
    """Images on a device, with their landmarks: (N, H, W), (N, K, 2) normalised, (N, K), (N,) positions in VIEWS."""

    pixels: Tensor
    points: Tensor
    present: Tensor
    view: Tensor
    device: torch.device
    rank: int
    seconds: float

    def turn_to(self, epoch: int) -> None:
        """Hold what ``epoch`` needs."""


class VirtualBatches(IterableDataset[Sample]):
    """Augmented batches out of a pool, on its device; one pass is one epoch.

    Args:
        pool: of images.
        config: of the run.
        names: K landmarks.
        first_epoch, seen: where an interrupted fit goes on: epochs done, images seen of the running one.
    """

    def __init__(
        self, pool: Pool, config: TrainingConfig, names: Sequence[str], first_epoch: int = 0, seen: int = 0
    ) -> None:
        self.pool, self.config, self.epoch = pool, config, first_epoch
        self._skipped = seen // config.batch_size
        index = {name: k for k, name in enumerate(names)}
        # A partner that is not looked for is nowhere in a mirrored image.
        self.partner = torch.tensor([index.get(mirrored_name(name), -1) for name in names], device=pool.device)

    def __len__(self) -> int:
        return len(self.pool.pixels) // self.config.batch_size

    def __iter__(self) -> Iterator[Sample]:
        """Every image of the pool once, in an order of this epoch's own; the next call is the next epoch.

        Counted when a pass begins: whoever knows how many batches there are never asks for one more.
        """
        epoch, skipped = self.epoch, self._skipped
        self.epoch, self._skipped = epoch + 1, 0
        return self._pass(epoch, skipped)

    def _pass(self, epoch: int, skipped: int) -> Iterator[Sample]:
        config = self.config
        self.pool.turn_to(epoch)
        order = np.random.default_rng((config.seed, epoch, self.pool.rank)).permutation(len(self.pool.pixels))
        for batch in range(skipped, len(self)):
            chosen = order[batch * config.batch_size : (batch + 1) * config.batch_size]
            yield self._batch(
                torch.from_numpy(chosen), np.random.default_rng((config.seed, epoch, batch, self.pool.rank))
            )

    def _batch(self, chosen: Tensor, random: np.random.Generator) -> Sample:
        pool = self.pool
        view = pool.view[chosen]
        frontal, view, where = (view == VIEWS.index("frontal")).numpy(), view.to(pool.device), chosen.to(pool.device)
        linear, shift, mirrored = draw_affines(random, self.config.augmentation, self.config.input_shape, frontal)
        linear, shift = linear.to(pool.device), shift.to(pool.device)
        pixels = warped(pool.pixels[where].float(), linear, shift)
        points, present = self._labels(where, mirrored.to(pool.device))
        target = (linear @ points.transpose(1, 2)).transpose(1, 2) + shift[:, None]
        present = present & (target.abs() < 1).all(dim=-1)
        return Sample(
            pixels=changed_greys(random, self.config.augmentation, pixels)[:, None],
            view=view,
            target=torch.where(present[..., None], target, torch.zeros_like(target)),
            present=present,
            unit_per_px=torch.ones(len(chosen), device=pool.device),
        )

    def _labels(self, where: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        """Points and presence; in a mirrored image the landmark called X is where its partner was."""
        points, present = self.pool.points[where], self.pool.present[where]
        swapped, there = points[:, self.partner], present[:, self.partner] & (self.partner >= 0)
        return (
            torch.where(mirrored[:, None, None], swapped, points),
            torch.where(mirrored[:, None], there, present),
        )


def draw_affines(
    random: np.random.Generator, strengths: Augmentation, shape: tuple[int, int], frontal: NDArray[np.bool_]
) -> tuple[Tensor, Tensor, Tensor]:
    """As ``data.draw_affine``: (N, 2, 2) and (N, 2) from image to input, normalised, and (N,) whether mirrored."""
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


def warped(pixels: Tensor, linear: Tensor, shift: Tensor) -> Tensor:
    """(N, H, W) resampled linearly so that what was at p lies at ``linear`` p + ``shift``; black (-1) outside."""
    back = torch.linalg.inv(linear)
    theta = torch.cat([back, -(back @ shift[..., None])], dim=-1)
    grid = functional.affine_grid(theta, [len(pixels), 1, *pixels.shape[1:]], align_corners=False)
    moved: Tensor = functional.grid_sample(pixels[:, None] + 1, grid, padding_mode="zeros", align_corners=False) - 1
    return moved[:, 0]


def changed_greys(random: np.random.Generator, strengths: Augmentation, pixels: Tensor) -> Tensor:
    """As ``data.change_greys``: contrast, brightness, noise and gamma of (N, H, W), each image its own."""
    count, device = len(pixels), pixels.device

    def drawn(values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values).float().to(device)[:, None, None]

    contrast = drawn(2.0 ** (random.standard_normal(count) * strengths.contrast))
    brightness = drawn(random.standard_normal(count) * strengths.brightness)
    noise = drawn(random.random(count) * strengths.noise)
    exponent = drawn(2.0 ** (random.standard_normal(count) * strengths.gamma))
    generator = torch.Generator(device).manual_seed(int(random.integers(2**62)))
    grain = torch.randn(pixels.shape, device=device, generator=generator)
    changed = (pixels * contrast + brightness + noise * grain).clamp(-GREY_LIMIT, GREY_LIMIT)
    unit = (changed + GREY_LIMIT) / (2 * GREY_LIMIT)
    powered: Tensor = unit**exponent * (2 * GREY_LIMIT) - GREY_LIMIT
    return powered

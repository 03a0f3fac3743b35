"""Virtual patients as training data, which are rendered and kept on the training device and replaced epoch by epoch.

Contract: in epoch e, the pool contains P patients. The number of the first patient is e F, where F = P / reuse. Every
image is therefore used ``reuse`` times, each time with another augmentation. If ``reuse`` is 0, F is 0, and patients
are never replaced. All random numbers depend only on (seed, epoch, batch), so an interrupted fit continues unchanged.
The seeds of these patients are far from the seeds of usual cohorts. A patient of the validation or test split is
refused.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from inference.contract import DEFAULT_NORMALISATION
from inference.preprocessing import GREY_LIMIT, PERCENTILE_SAMPLES
from simulation.stream.patients import VirtualPatients
from simulation.stream.posed import RenderedBatch, render_in_batches
from simulation.stream.radiographs import PosedRadiographs
from simulation.stream.stream_config import StreamConfig
from spine.errors import ContractViolation
from spine.landmarks import ViewName
from spine.types import Bool, Float
from training.config import DRAWN_TOGETHER, TrainingConfig
from training.data.dataset import ImageItem
from training.data.pool import Pool
from training.data.preload import load_items
from training.process_group import SINGLE_PROCESS, ProcessGroup

_SEED_OFFSET = 7_000_000_000
_FRONTAL_SEED_OFFSET = 1_000_000_000
_ENDLESS = 2**30
_PATIENTS_PER_PROCESS = 2**32
"""Difference between the numbers of the first patients of two processes in a process group."""


def stream_seed(config: TrainingConfig) -> int:
    """The seed of the virtual patients of a fit."""
    return _SEED_OFFSET + config.seed


@dataclass(frozen=True)
class PreparedBatch:
    """N images as inputs of a network, with their landmarks as normalised (x, y) points."""

    pixels: Float[Tensor, "N H W"]
    points: Float[Tensor, "N K 2"]
    present: Bool[Tensor, "N K"]


def prepare_rendered(rendered: RenderedBatch, view: ViewName) -> PreparedBatch:
    """Centre the field of view and normalise the grey values, as ``inference.preprocessing`` does with stored images.

    A rendered image is black outside its field of view, and a short field lies at the top. A stored image does not have
    such a black border.
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
    """The patients of one kind, with the rows of their images in the pool and the next patient to render.

    Attributes:
        views: the views of each patient; view number ``v`` of patient ``i`` is in row ``start + v size + i % size``.
        start: first row of these patients in the pool.
        size: number of patients in the pool.
        replaced: number of patients that are replaced each epoch.
        render: function that returns endless batches, the first of which begins with the given patient.
        next_patient: number of the patient that is rendered next.
        running: the latest iterator that ``render`` returned.
    """

    views: tuple[ViewName, ...]
    start: int
    size: int
    replaced: int
    render: Callable[[int], Iterator[RenderedBatch]]
    next_patient: int = 0
    running: Iterator[RenderedBatch] | None = None

    def missing(self, epoch: int, share: float) -> Iterator[tuple[int, RenderedBatch]]:
        """Batches of patients that ``epoch`` needs and the pool lacks, as (number of the first patient, batch).

        ``share`` is how many of the patients that this epoch replaces are there after the last batch.
        """
        first, stop = epoch * self.replaced, (epoch + share - 1) * self.replaced + self.size
        if self.size and (self.running is None or self.next_patient < first):
            self.next_patient = max(self.next_patient, first)
            self.running = self.render(self.next_patient)
        while self.running and self.next_patient < stop:
            yield self.next_patient, next(self.running)
            self.next_patient += DRAWN_TOGETHER


class VirtualPool(Pool):
    """Images of virtual patients on a device: both views of ``virtual_pairs``, one view of ``virtual_frontals``.

    Args:
        views: the views of a pair.
        held_out: seeds of patients that the fit must not learn from.
        group: process group; each of its processes has a part of the pool, with different patients.
        folder, items: images of a data set in this folder that are in the pool too, and stay in every epoch.
    """

    def __init__(
        self,
        config: TrainingConfig,
        views: Sequence[ViewName],
        device: torch.device,
        held_out: frozenset[int] = frozenset(),
        group: ProcessGroup = SINGLE_PROCESS,
        folder: Path = Path(),
        items: Sequence[ImageItem] = (),
    ) -> None:
        pairs, frontals, start = config.virtual_pairs // group.size, config.virtual_frontals // group.size, len(items)
        start_of_frontals = start + pairs * len(views)
        self.sources = [
            _Source(tuple(views), start, pairs, config.replaced_each_epoch(pairs), self._pairs),
            _Source(("frontal",), start_of_frontals, frontals, config.replaced_each_epoch(frontals), self._frontals),
        ]
        rendered = [v for s in self.sources for v in s.views for _ in range(s.size)]
        super().__init__([*(item.view for item in items), *rendered], config, device, group.rank)
        self.views, self.held_out, self.first_patient = tuple(views), held_out, group.rank * _PATIENTS_PER_PROCESS
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._ready: list[tuple[slice, PreparedBatch]] = []
        load_items(self, folder, items)

    def load_epoch(self, epoch: int) -> None:
        """Put the patients that ``epoch`` needs and the pool lacks into the pool, and render what is not rendered."""
        started = time.monotonic()
        with self._beside() as stream:
            if stream is not None:  # the pool may change when everything that was launched before has ended
                stream.wait_stream(torch.cuda.default_stream(self.device))
            for rows, batch in chain(self._ready, self._rendered(epoch, 1.0)):
                self.pixels[rows], self.points[rows], self.present[rows] = batch.pixels, batch.points, batch.present
        self._ready.clear()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds += time.monotonic() - started

    def look_ahead(self, epoch: int, share: float) -> None:
        """On a GPU, render a share of the patients of the next epoch, beside the learning."""
        if self._stream is not None:
            self.render_ahead(epoch, share)

    def render_ahead(self, epoch: int, share: float) -> None:
        """Render until this share of the patients that ``epoch`` replaces is ready to be put into the pool."""
        started = time.monotonic()
        with self._beside():
            self._ready += self._rendered(epoch, share)
        self.seconds += time.monotonic() - started

    @contextmanager
    def _beside(self) -> Iterator[torch.cuda.Stream | None]:
        """Launch what follows on a stream of its own, if this is a GPU."""
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            yield self._stream

    def _rendered(self, epoch: int, share: float) -> Iterator[tuple[slice, PreparedBatch]]:
        """Rows of the pool and the inputs that belong there, of a share of the patients that ``epoch`` replaces."""
        for source in self.sources:
            for patient, rendered in source.missing(epoch, share):
                yield from self._prepared(source, patient, rendered)

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
            varied=config.virtual_varied,
        )
        return iter(VirtualPatients(stream, self.device, config.workers - self._frontal_workers))

    def _frontals(self, first: int) -> Iterator[RenderedBatch]:
        seed, start = stream_seed(self.config) + _FRONTAL_SEED_OFFSET, self.first_patient + first
        config = self.config
        radiographs = PosedRadiographs(
            _ENDLESS, seed, config.input_shape, start, config.names, severe_share=config.severe_share
        )
        return render_in_batches(radiographs, DRAWN_TOGETHER, self.device, self._frontal_workers)

    @property
    def _frontal_workers(self) -> int:
        """Number of workers for virtual frontals. The pose of a frontal takes as long as the pose of a pair."""
        config = self.config
        share = config.virtual_frontals / (config.virtual_frontals + config.virtual_pairs)
        most = config.workers - 1 if config.virtual_pairs else config.workers
        return min(most, max(1, round(config.workers * share))) if share and most > 0 else 0

    def _prepared(
        self, source: _Source, patient: int, rendered: RenderedBatch
    ) -> Iterator[tuple[slice, PreparedBatch]]:
        """For each view of rendered patients, the rows of the pool and the inputs that belong there."""
        known = self.held_out.intersection(rendered.seeds)
        if known:
            raise ContractViolation(
                "HELD_OUT_LEARNT",
                found=f"{len(known)} virtual patients that are reserved for validation, calibration or test",
                expected="patients that are not reserved",
                remedy="train with another seed",
            )
        for v, view in enumerate(source.views):
            batch = prepare_rendered(rendered, view)
            row = source.start + v * source.size + patient % source.size
            pixels, present = batch.pixels.to(self.pixels.dtype), batch.present & self.shown[view]
            yield slice(row, row + DRAWN_TOGETHER), PreparedBatch(pixels, batch.points, present)

"""Batches for one fit: from the data set's pictures, or of virtual patients.

What belongs here: which pictures, in which order, with how many workers. What does not: a picture's way to the network
(``data``, ``virtual``), what is done with batches (``fit``). Contract: a loader starts where the fit's position stands.
"""

from collections.abc import Sequence

import torch
from torch.utils.data import DataLoader

from training.conductor import Position, Stage
from training.data import PictureDataset, PictureItem, PositionSampler, Sample
from training.work import Fit, Job


def disk_loader(run: Fit, job: Job, train: Sequence[PictureItem], position: Position) -> "DataLoader[Sample]":
    """Augmented pictures of the training split."""
    sampler = PositionSampler(len(train), run.config.seed, first_epoch=position.epoch, skip=position.seen)
    return _loader(run, job, train, sampler, augmented=True)


def virtual_loader(run: Fit, job: Job, stage: Stage) -> "DataLoader[Sample]":
    """Batches of virtual patients, already on the device; how long drawing takes goes to the journal."""
    from training.virtual import VirtualBatches, VirtualPool

    held_out = (e for split in ("validation", "test") for e in run.manifest.in_split(split))
    seeds = frozenset(e.facts["seed"] for e in held_out if "seed" in e.facts)
    device = torch.device(run.circumstances.accelerator)
    pool = VirtualPool(run.config, job.names, job.views, device, seeds)
    position = stage.position
    began = position.seconds
    stage.figures = lambda: {"train/drawing_share": pool.seconds / max(position.seconds - began, 1e-9)}
    batches = VirtualBatches(pool, run.config, job.names, position.epoch, position.seen)
    return DataLoader(batches, batch_size=None)


def validation_loader(run: Fit, job: Job, items: Sequence[PictureItem]) -> "DataLoader[Sample]":
    """Pictures as service would prepare them, in their own order."""
    return _loader(run, job, items, PositionSampler(len(items), None), augmented=False)


def _loader(
    run: Fit, job: Job, items: Sequence[PictureItem], sampler: PositionSampler, *, augmented: bool
) -> "DataLoader[Sample]":
    config = run.config
    pictures = PictureDataset(
        run.folder,
        items,
        job.names,
        config.input_shape,
        seed=config.seed,
        augmentation=config.augmentation if augmented else None,
    )
    workers = config.workers if augmented else 0
    return DataLoader(
        pictures,
        batch_size=config.batch_size,
        sampler=sampler,
        drop_last=augmented and len(items) >= config.batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=run.circumstances.accelerator == "cuda",
    )

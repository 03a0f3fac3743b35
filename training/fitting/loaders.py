"""The batches of one fit, which contain the data set's images or virtual patients.

Contract: a loader starts at the position of the fit, so that a resumed fit does not repeat batches.
"""

from collections.abc import Sequence

from torch.utils.data import DataLoader

from spine.dataset import Split
from spine.errors import ParametersRejected
from training.data.dataset import ImageDataset, ImageItem, PositionSampler, Sample, image_items
from training.data.pool import PoolBatches
from training.data.preload import PreloadedPool
from training.fit_context import FitContext
from training.fitting.fit_callback import Position, Stage


def epoch_images(run: FitContext) -> int:
    """The number of images from which this process learns in an epoch."""
    config = run.config
    if config.virtual_pairs:
        return (config.virtual_pairs * len(run.views) + config.virtual_frontals) // run.process_group.size
    return len(image_items(run.manifest.in_split("train"), run.views)) // run.process_group.size


def preloaded_loader(run: FitContext, stage: Stage) -> "DataLoader[Sample]":
    """Augmented images of the train split, preloaded on the device."""
    config, group = run.config, run.process_group
    items = image_items(run.manifest.in_split("train"), run.views)
    mine = items[group.rank :: group.size][: len(items) // group.size]
    if len(mine) < config.batch_size:
        raise ParametersRejected(
            "TRAINING_CONFIG",
            found=f"{len(mine)} preloaded images, but a batch size of {config.batch_size}",
            expected="enough images for at least one batch",
            remedy="use a smaller batch_size, or do not preload the images",
        )
    pool = PreloadedPool(run.folder, mine, config, run.device, group.rank)
    batches = PoolBatches(pool, config, stage.position.epoch, stage.position.seen)
    return DataLoader(batches, batch_size=None)


def disk_loader(run: FitContext, position: Position) -> "DataLoader[Sample]":
    """Augmented images of the train split, loaded from disk."""
    train = image_items(run.manifest.in_split("train"), run.views)
    sampler = PositionSampler(len(train), run.config.seed, position.epoch, position.seen, run.process_group)
    return _loader(run, train, sampler, augmented=True)


def virtual_loader(run: FitContext, stage: Stage) -> "DataLoader[Sample]":
    """Batches of virtual patients on the device. The share of time that rendering takes is written to the journal."""
    from training.data.virtual_patients import VirtualPool  # needs scipy, so a fit from disk must not import it

    splits: set[Split] = {"validation", "test", *run.config.calibration_splits}
    held_out = (e for split in splits for e in run.manifest.in_split(split))
    seeds = frozenset(e.facts["seed"] for e in held_out if "seed" in e.facts)
    pool = VirtualPool(run.config, run.views, run.device, seeds, run.process_group)
    position = stage.position
    began = position.seconds
    stage.figures = lambda: {"train/rendering_share": pool.seconds / max(position.seconds - began, 1e-9)}
    batches = PoolBatches(pool, run.config, position.epoch, position.seen)
    return DataLoader(batches, batch_size=None)


def validation_loader(run: FitContext, items: Sequence[ImageItem]) -> "DataLoader[Sample]":
    """Images in the order of the items, prepared in the same way as in ``inference``."""
    return _loader(run, items, PositionSampler(len(items), None), augmented=False)


def _loader(
    run: FitContext, items: Sequence[ImageItem], sampler: PositionSampler, *, augmented: bool
) -> "DataLoader[Sample]":
    config = run.config
    augmentation = config.augmentation if augmented else None
    images = ImageDataset(run.folder, items, config.names, config.input_shape, config.seed, augmentation)
    workers = config.workers if augmented else 0
    return DataLoader(
        images,
        batch_size=config.batch_size,
        sampler=sampler,
        drop_last=augmented and len(sampler) >= config.batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=run.hardware.accelerator == "cuda",
    )

"""The batches of one fit, which contain the data set's images, virtual patients or both.

Contract: a loader starts at the position of the fit, so that a resumed fit does not repeat batches.
"""

from collections.abc import Sequence

from torch.utils.data import DataLoader

from spine.dataset import Split
from spine.errors import ParametersRejected
from spine.worker_pool import leave_process_group
from training.data.dataset import ImageDataset, ImageItem, PositionSampler, Sample, image_items
from training.data.pool import Pool, PoolBatches
from training.data.preload import PreloadedPool
from training.fit_context import FitContext
from training.fitting.fit_callback import Position, Stage

SEVERE_DEG = 45.0
"""Cobb angle from which ``severe_repeats`` applies; a choice."""


def epoch_images(run: FitContext) -> int:
    """The number of images from which this process learns in an epoch."""
    config = run.config
    rendered = config.virtual_pairs * len(run.views) + config.virtual_frontals
    return len(_train_items(run)) // run.process_group.size + rendered // run.process_group.size


def has_weights(run: FitContext) -> bool:
    """Whether training counts the labels of an image with less than the full weight."""
    return any(item.example.label_weight != 1.0 for item in _train_items(run))


def _train_items(run: FitContext) -> tuple[ImageItem, ...]:
    """The images of the train split in an epoch; an image of a severe curve is in it ``severe_repeats`` times."""
    if not run.config.uses_train_split:
        return ()
    items = image_items(run.train, run.views)
    return tuple(item for item in items for _ in range(run.config.severe_repeats if _is_severe(item) else 1))


def _is_severe(item: ImageItem) -> bool:
    cobb = item.example.truth.get("cobb")
    return cobb is not None and cobb.value is not None and cobb.value >= SEVERE_DEG


def pool_loader(run: FitContext, stage: Stage) -> "DataLoader[Sample]":
    """Augmented images that are on the device: of the train split, of virtual patients, or of both.

    The share of time that rendering takes is written to the journal.
    """
    config, group, position = run.config, run.process_group, stage.position
    items = _train_items(run)
    mine = items[group.rank :: group.size][: len(items) // group.size]
    if epoch_images(run) < config.batch_size:
        raise ParametersRejected(
            "TRAINING_CONFIG",
            found=f"{epoch_images(run)} images on the device, but a batch size of {config.batch_size}",
            expected="enough images for at least one batch",
            remedy="use a smaller batch_size, or do not preload the images",
        )
    if config.renders:
        pool, began = _virtual_pool(run, mine), position.seconds
        stage.figures = lambda: {"train/rendering_share": pool.seconds / max(position.seconds - began, 1e-9)}
    else:
        pool = PreloadedPool(run.folder, mine, config, run.device, group.rank)
    return DataLoader(PoolBatches(pool, config, position.epoch, position.seen), batch_size=None)


def _virtual_pool(run: FitContext, items: Sequence[ImageItem]) -> Pool:
    from training.data.virtual_patients import VirtualPool  # needs scipy, so a fit from disk must not import it

    splits: set[Split] = {"validation", "test", *run.config.calibration_splits}
    held_out = (e for split in splits for e in run.manifest.examples(split))
    seeds = frozenset(e.facts["seed"] for e in held_out if "seed" in e.facts)
    return VirtualPool(run.config, run.views, run.device, seeds, run.process_group, run.folder, items)


def disk_loader(run: FitContext, position: Position) -> "DataLoader[Sample]":
    """Augmented images of the train split, loaded from disk."""
    train = _train_items(run)
    sampler = PositionSampler(len(train), run.config.seed, position.epoch, position.seen, run.process_group)
    return _loader(run, train, sampler, augmented=True)


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
        worker_init_fn=_prepare_worker,
        pin_memory=run.hardware.accelerator == "cuda",
    )


def _prepare_worker(worker: int) -> None:
    leave_process_group()

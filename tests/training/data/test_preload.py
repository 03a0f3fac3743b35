"""Preloaded images equal loaded ones, and a fit learns from them."""

from dataclasses import replace

import pytest
import torch

from inference.contract import read_contract
from spine.dataset import Truth
from spine.dataset_writing import write_manifest
from spine.errors import ParametersRejected
from spine.landmarks import GALBUSERA39, VIEWS
from training.config import Augmentation
from training.data.dataset import ImageDataset, image_items
from training.data.pool import PoolBatches
from training.data.preload import PreloadedPool
from training.fit_context import FitContext, hardware_of
from training.fitting.fit import fit
from training.fitting.fit_callback import Position, Stage
from training.fitting.loaders import disk_loader, epoch_images, pool_loader
from training.journal import Journal

SHAPE = (128, 64)
CPU = torch.device("cpu")
STILL = Augmentation(0, 0, 0, 0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def pool(drawn, tiny_config) -> PreloadedPool:
    return PreloadedPool(drawn[0], image_items(drawn[1].in_split("train"), VIEWS), tiny_config, CPU)


def test_preloaded_images_equal_loaded_ones(drawn, pool):
    loaded = ImageDataset(drawn[0], pool.items, GALBUSERA39.names, SHAPE)
    for i in range(len(pool.items)):
        sample = loaded[(0, i)]
        assert torch.allclose(pool.pixels[i].float(), sample.pixels[0], atol=1e-3)
        assert torch.equal(pool.present[i], sample.present)
        assert torch.equal(pool.points[i], sample.target)
        assert pool.view[i] == sample.view


def test_batches_hold_every_image_once_an_epoch(pool, tiny_config):
    config = replace(tiny_config, preload=True, augmentation=STILL)
    batches = list(PoolBatches(pool, config))
    assert len(batches) == len(pool.items) // config.batch_size
    sums = sorted(float(p.sum()) for b in batches for p in b.pixels)
    assert sums == pytest.approx(sorted(float(p.float().sum()) for p in pool.pixels), abs=2.0)


@pytest.mark.slow
def test_a_fit_learns_from_preloaded_images(drawn, tiny_config, tmp_path):
    summary = fit(drawn[0], tmp_path / "out", replace(tiny_config, preload=True))
    assert summary.epochs == tiny_config.epochs
    assert summary.images == 24
    assert summary.steps == tiny_config.epochs * 24 // tiny_config.batch_size


def test_fewer_images_than_a_batch_are_refused(drawn, tiny_config, tmp_path):
    with pytest.raises(ParametersRejected, match="24 images on the device, but a batch size of 32"):
        fit(drawn[0], tmp_path / "out", replace(tiny_config, preload=True, batch_size=32))


@pytest.mark.slow
def test_a_fit_learns_from_the_data_set_and_from_virtual_radiographs_together(drawn, tiny_config, tmp_path):
    config = replace(tiny_config, epochs=1, preload=True, virtual_frontals=32, reuse=1, severe_share=0.5)
    summary = fit(drawn[0], tmp_path / "out", config)
    assert (summary.images, summary.steps) == (24 + 32, (24 + 32) // config.batch_size)
    note = read_contract(tmp_path / "out").training_note
    assert "12 studies" in note and "virtual patients rendered" in note


@pytest.mark.parametrize("preload", [True, False])
def test_images_of_severe_curves_are_repeated_in_an_epoch(drawn, tiny_config, tmp_path, preload):
    folder, manifest = drawn
    angles = [44.9, 45.0, 80.0, None]
    severe = tuple(
        replace(e, truth={"cobb": Truth(angles[i % 4], "deg")}) if i % 4 < 3 else e
        for i, e in enumerate(manifest.examples())
    )
    changed = write_manifest(tmp_path / "severe", manifest.landmark_set, manifest.split_seed, severe)
    config = replace(tiny_config, preload=preload, severe_repeats=3)
    run = FitContext(
        folder, tmp_path, config, config, changed, VIEWS, hardware_of(config),
        Journal(tmp_path),
    )  # fmt: skip
    assert epoch_images(run) == 24 + 2 * 12
    loader = pool_loader(run, Stage(tmp_path, 48, [], "mm")) if preload else disk_loader(run, Position())
    assert sum(len(batch.view) for batch in loader) == 48

"""Preloaded images equal loaded ones, and a fit learns from them."""

from dataclasses import replace

import pytest
import torch

from spine.errors import ParametersRejected
from spine.landmarks import GALBUSERA39, VIEWS
from training.config import Augmentation
from training.data.dataset import ImageDataset, image_items
from training.data.pool import PoolBatches
from training.data.preload import PreloadedPool
from training.fitting.fit import fit

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
    with pytest.raises(ParametersRejected, match="24 preloaded images, but a batch size of 32"):
        fit(drawn[0], tmp_path / "out", replace(tiny_config, preload=True, batch_size=32))

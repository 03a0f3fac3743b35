"""Fixtures: a workspace with a store, and datasets built from it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from spine.dataset import Manifest
from spine.landmarks import CORNERS68, GALBUSERA39
from spine.projection import write_landmarks
from tests.validation.dataset.constructed_datasets import add_radiograph, add_study
from validation.dataset.build import DatasetConfig, build_dataset


@pytest.fixture
def workspace(tmp_path) -> Path:
    for name in ("store", "landmarks", "dataset"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def biplanar(workspace) -> Callable[..., Manifest]:
    """Build a dataset from the biplanar studies in ``workspace / "store"``, after adding ``count`` studies to it."""

    def make(count: int = 0, **config: object) -> Manifest:
        for number in range(1, count + 1):
            add_study(workspace / "store", number)
        return _build(workspace, GALBUSERA39, config)

    return make


@pytest.fixture
def radiographs(workspace) -> Callable[..., Manifest]:
    """Like ``biplanar``, with frontal radiographs and corner labels."""

    def make(count: int = 0, **config: object) -> Manifest:
        for number in range(1, count + 1):
            add_radiograph(workspace / "store", number)
        return _build(workspace, CORNERS68, config)

    return make


def _build(workspace: Path, landmark_set, config: dict) -> Manifest:
    write_landmarks(workspace / "store", workspace / "landmarks", landmark_set)
    settings = {"landmark_set": landmark_set.name, "seed": 3, "test_patients": 2, "validation_fraction": 0.25, **config}
    return build_dataset(workspace / "store", workspace / "landmarks", workspace / "dataset", DatasetConfig(**settings))

"""Fixtures: a workspace with a store, and datasets built from it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from spine.dataset import Manifest
from spine.landmarks import CORNERS68, GALBUSERA39
from spine.projection import write_landmarks
from tests.validation.dataset.constructed_datasets import add_radiograph, add_study
from validation.dataset.build import DatasetConfig, build_dataset
from validation.dataset.results import ValidationConfig, ValidationResult
from validation.dataset.validate import validate_dataset


@pytest.fixture
def workspace(tmp_path) -> Path:
    for name in ("store", "landmarks", "dataset"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def biplanar(workspace) -> Callable[..., Manifest]:
    """Build a dataset from the biplanar studies in ``workspace / "store"``, after adding ``count`` studies to it."""
    return partial(_build, workspace, add_study)


@pytest.fixture
def radiographs(workspace) -> Callable[..., Manifest]:
    """Like ``biplanar``, with frontal radiographs and corner labels."""
    return partial(_build, workspace, add_radiograph, landmark_set=CORNERS68)


def _build(workspace: Path, add, count: int = 0, landmark_set=GALBUSERA39, **config: object) -> Manifest:
    for number in range(1, count + 1):
        add(workspace / "store", number)
    write_landmarks(workspace / "store", workspace / "landmarks", landmark_set)
    settings = {"landmark_set": landmark_set.name, "seed": 3, "test_patients": 2, "validation_fraction": 0.25, **config}
    return build_dataset(workspace / "store", workspace / "landmarks", workspace / "dataset", DatasetConfig(**settings))


@pytest.fixture
def validated(workspace) -> Callable[[ValidationConfig], ValidationResult]:
    """Validate the dataset of the workspace."""
    return lambda config: validate_dataset(workspace / "dataset", workspace / "validation", config)

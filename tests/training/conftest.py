"""A small synthetic data set and two short fits, made once for all tests of training."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spine.dataset import Manifest
from tests.training.drawn_cohort import write_drawn_dataset
from training.config import TrainingConfig
from training.export.candidate import FitSummary, read_summary
from training.fitting.fit import fit


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("drawn")
    return folder, write_drawn_dataset(folder, (12, 3, 2))


@pytest.fixture(scope="session")
def tiny_config() -> TrainingConfig:
    return TrainingConfig(
        epochs=3, input_shape=(128, 64), batch_size=8, width=0.25, precision="32", device="cpu", seed=5
    )


@pytest.fixture(scope="session")
def candidate(drawn, tiny_config, made_once) -> tuple[Path, FitSummary]:
    return _fitted_once("candidate", drawn[0], tiny_config, made_once)


@pytest.fixture(scope="session")
def taught(drawn, tiny_config, made_once) -> tuple[Path, FitSummary]:
    """A fit that is long enough to learn; ``candidate`` is only long enough to be complete."""
    return _fitted_once("taught", drawn[0], replace(tiny_config, epochs=8, learning_rate=3e-3), made_once)


def _fitted_once(name: str, dataset: Path, config: TrainingConfig, made_once: Any) -> tuple[Path, FitSummary]:
    def make(out: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert fit(dataset, out, config) == read_summary(out)

    out = made_once(name, make)
    return out, read_summary(out)


@pytest.fixture
def without_export(monkeypatch) -> None:
    """The export costs seconds and most tests are not about it."""
    monkeypatch.setattr("training.fitting.fit.can_export", lambda: False)

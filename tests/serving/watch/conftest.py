"""A virtual patient, and a loop with a fake PACS whose time the test moves."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.scanner import NATIVE_SPACING_MM
from tests.serving.watch.fake_pacs import FakePacs, running_pacs
from tests.serving.watch.moved import Moved, quick_measuring


def _write(folder: Path) -> None:
    write_cohort(folder, CohortConfig(count=2, seed=3, shape=(256, 128), spacing_mm=NATIVE_SPACING_MM * 15))


@pytest.fixture(scope="session")
def case(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The folder of a virtual patient with both radiographs."""
    return made_once("watch-cohort", _write) / "case-00001"


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with running_pacs() as running:
        yield running


@pytest.fixture
def moved(pacs: FakePacs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moved]:
    """The loop with the fake PACS. Measuring is replaced by small results with the right UIDs."""
    quick_measuring(monkeypatch)
    moved = Moved(pacs, tmp_path / "watch")
    yield moved
    moved.close()

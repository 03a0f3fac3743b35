"""A virtual patient, measured once for all tests of results."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inference.measured_study import MeasuredStudy
from serving.results.objects import ResultObject, result_objects
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.scanner import NATIVE_SPACING_MM
from tests.serving.results.measured import measured


def _write(folder: Path) -> None:
    write_cohort(folder, CohortConfig(count=2, seed=3, shape=(256, 128), spacing_mm=NATIVE_SPACING_MM * 15))


@pytest.fixture(scope="session")
def case(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The folder of a virtual patient with both radiographs."""
    return made_once("results-cohort", _write) / "case-00001"


@pytest.fixture(scope="session")
def pair(case: Path) -> MeasuredStudy:
    """Both radiographs of the patient, measured."""
    return measured({"frontal": case / "frontal.dcm", "lateral": case / "lateral.dcm"})


@pytest.fixture(scope="session")
def objects(pair: MeasuredStudy) -> tuple[ResultObject, ...]:
    """The DICOM objects of the pair."""
    return result_objects(pair)

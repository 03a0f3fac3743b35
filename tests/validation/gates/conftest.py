"""Records that many tests of the gate judge."""

import pytest

from tests.validation.gates.records import B, Scored
from validation.evaluation.record import EvaluationRecord


@pytest.fixture(scope="session")
def good(scored: Scored) -> EvaluationRecord:
    return scored(noise=1.0, seed=3)


@pytest.fixture(scope="session")
def champion(scored: Scored) -> EvaluationRecord:
    return scored("champion", B, noise=2.0, seed=2)

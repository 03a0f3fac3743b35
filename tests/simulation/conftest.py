"""Fixtures of the tests of virtual patients: one torch thread, as when patients are rendered."""

from collections.abc import Iterator

import pytest

from simulation.threads import one_thread


@pytest.fixture(autouse=True, scope="session")
def single_thread() -> Iterator[None]:
    """One thread: several threads on busy cores mostly wait for each other."""
    with one_thread():
        yield

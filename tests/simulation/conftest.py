"""What the tests of the virtual patients share: one torch thread, as when patients are drawn."""

from collections.abc import Iterator

import pytest

from simulation.threads import one_thread


@pytest.fixture(autouse=True, scope="session")
def single_thread() -> Iterator[None]:
    """Two threads that share a core with other work wait for each other most of the time."""
    with one_thread():
        yield

"""Two Ray nodes for the tests of a module; only these tests work on the cluster."""

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.ray_nodes import TwoNodes, two_nodes


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    if find_spec("ray") is None:
        pytest.skip("the extra `ray` is not installed")
    before = dict(os.environ)
    with two_nodes() as started:
        os.environ.update(started.variables)
        yield started
    os.environ.clear()
    os.environ.update(before)

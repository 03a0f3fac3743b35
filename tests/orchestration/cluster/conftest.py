"""Two Ray nodes for the tests of a module; only these tests work on the cluster."""

import os
import sys
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
        if "ray" in sys.modules:  # it keeps the first token and mode of a process, e.g. those of another module's nodes
            from ray._private.authentication_test_utils import reset_auth_token_state

            reset_auth_token_state()
        yield started
    os.environ.clear()
    os.environ.update(before)

"""The git commit of the code that evaluates a model."""

from pathlib import Path

import pytest

from orchestration.pipeline.evaluate import code_version


@pytest.mark.skipif(not (Path(__file__).parents[3] / ".git").exists(), reason="the code is no checkout")
def test_a_service_knows_the_commit_of_code_that_another_account_owns(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = code_version()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # as if root had installed the code
    assert code_version() == wanted
    assert wanted[0] is not None and len(wanted[0]) == 40

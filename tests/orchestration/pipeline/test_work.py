"""One place decides the number of workers: the cores, the container's limit, and PLUMBLINE_WORKERS."""

import os
from pathlib import Path

import pytest

from orchestration.environment import WORKERS_VARIABLE
from orchestration.pipeline import work
from orchestration.pipeline.work import number_of_workers, usable_cores, work_of
from orchestration.pipeline.workspace import Workspace
from spine.errors import ParametersRejected
from spine.work import LocalWork


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(work, "_CGROUP_LIMIT", tmp_path / "cpu.max")
    monkeypatch.delenv(WORKERS_VARIABLE, raising=False)


@pytest.mark.parametrize(("limit", "cores"), [("max 100000", 8), ("250000 100000", 3), ("50000 100000", 1), ("", 8)])
def test_a_container_limits_the_cores(limit: str, cores: int) -> None:
    work._CGROUP_LIMIT.write_text(limit)
    assert usable_cores() == cores


@pytest.mark.parametrize(("wanted", "workers"), [("", 8), ("3", 3), ("99", 8)])
def test_the_variable_lowers_the_number_of_workers(
    wanted: str, workers: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(WORKERS_VARIABLE, wanted)
    assert number_of_workers() == workers
    assert work_of(Workspace(tmp_path)) == LocalWork(workers)


@pytest.mark.parametrize("wanted", ["0", "-1", "two", "1.5"])
def test_an_impossible_number_of_workers_is_refused(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKERS_VARIABLE, wanted)
    with pytest.raises(ParametersRejected) as refused:
        number_of_workers()
    assert refused.value.code == "WORKERS_INVALID"

"""Work on two Ray nodes gives what work on one machine gives, also when a node dies in the middle."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from orchestration.cluster.ray_work import RayWork
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.errors import InputRejected
from spine.intake.ingest import ingest
from spine.intake.sources import open_source
from spine.storage import sha256_of_tree
from spine.work import IN_THIS_PROCESS, Work
from tests.ray_nodes import ROOT, TwoNodes
from tests.spine.intake.constructed_studies import cohort

pytestmark = pytest.mark.slow


def refuse_seven(number: int) -> int:
    if number == 7:
        raise InputRejected("SEVEN", found="7", expected="another number", remedy="take another one")
    return -number


CLOCK_AHEAD = "import time; real = time.time; time.time = lambda: real() + 3600.0"


def time_at(_: int) -> float:
    time.sleep(0.3)
    return time.time()


def place_of(_: int) -> str:
    import ray

    time.sleep(0.2)
    return ray.get_runtime_context().get_node_id()


@pytest.fixture
def work(nodes: TwoNodes, tmp_path: Path) -> RayWork:
    return RayWork(nodes.address, tmp_path / "shared")


def test_results_come_in_order_and_a_refusal_arrives_in_its_place(work):
    results = work.run(refuse_seven, range(20), batch=3)
    assert list(islice(results, 7)) == [0, -1, -2, -3, -4, -5, -6]
    with pytest.raises(InputRejected) as refused:
        next(results)
    assert (refused.value.code, refused.value.expected) == ("SEVEN", "another number")
    assert refused.value.remedy == "take another one"


def test_items_are_read_while_the_work_is_under_way(work):
    read = []

    def items() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    results = work.run(abs, items(), batch=2)
    assert next(results) == 0
    assert len(read) <= 2 * (2 * 3 + 1)  # two cores, three batches each, and one more in place of the first
    results.close()


def test_both_nodes_take_part(work):
    assert len(set(work.run(place_of, range(12)))) == 2


def test_relative_paths_mean_the_folder_of_the_machine_that_gives_the_work(work, tmp_path, monkeypatch):
    (tmp_path / "here.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert list(work.run(Path.exists, [Path("here.txt")] * 4)) == [True] * 4


def test_a_worker_that_dies_each_time_is_an_error_with_a_code(work):
    with pytest.raises(Exception, match="WORKER_DIED"):
        list(work.run(os._exit, [9]))


def take_in(drop: Path, out: Path, work: Work, progress=None) -> str:
    source = open_source("folder", drop)
    report = ingest(source, out / "s", out / "q", pseudonym_key=b"k" * 32, work=work, progress=progress)
    assert report.received == report.used + len(report.quarantined) == 48
    assert len(set(report.study_ids)) == report.used
    return sha256_of_tree(out)


def test_a_store_made_on_two_nodes_has_the_bytes_of_one_made_here_though_one_dies_and_one_clock_is_ahead(
    work, nodes, tmp_path
):
    drop = cohort(tmp_path / "drop", 48)
    broken = next(drop.rglob("*.dcm"))
    broken.write_bytes(broken.read_bytes()[:500])
    alone = take_in(drop, tmp_path / "alone", IN_THIS_PROCESS)
    assert take_in(drop, tmp_path / "cluster", work) == alone

    def kill_in_the_middle(done: int, total: int) -> None:
        if done == total // 4:
            nodes.kill_second()

    assert take_in(drop, tmp_path / "killed", work, kill_in_the_middle) == alone
    (tmp_path / "sitecustomize.py").write_text(CLOCK_AHEAD)
    nodes.start_second({"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    clocks = list(work.run(time_at, range(40)))
    assert max(clocks) - min(clocks) > 3000
    assert take_in(drop, tmp_path / "clocks", work) == alone


def test_patients_rendered_on_two_nodes_have_the_bytes_of_those_rendered_here(work, tmp_path):
    config = CohortConfig(4, 21)
    write_cohort(tmp_path / "alone", config)
    write_cohort(tmp_path / "cluster", config, work=work)
    assert sha256_of_tree(tmp_path / "cluster") == sha256_of_tree(tmp_path / "alone")


def connect_with(variables: dict[str, str], address: str) -> "subprocess.CompletedProcess[str]":
    code = "import sys; from orchestration.cluster.connection import connect; connect(sys.argv[1])"
    command = [sys.executable, "-c", code, address]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "variables", [{"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_TOKEN": ""}, {"RAY_AUTH_MODE": "disabled"}]
)
def test_a_wrong_token_a_missing_one_and_none_at_all_are_refused(nodes, variables, tmp_path):
    found = connect_with(variables | {"HOME": str(tmp_path)}, nodes.address)
    assert "CLUSTER_TOKEN_WRONG" in found.stderr and "RAY_AUTH_TOKEN_PATH" in found.stderr
    assert found.returncode == 1


def test_the_right_token_connects(nodes):
    assert connect_with({}, nodes.address).returncode == 0

"""A fit on two nodes, with one process on each: placement, the fit itself, and a lost node."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestration.cluster import fit_on_nodes
from orchestration.cluster.fit_on_nodes import NodeLost, Placement, placement_of, wait_until_free
from orchestration.dagster import ray_fits
from orchestration.dagster.ray_fits import resource_of
from orchestration.environment import RAY_ADDRESS_VARIABLE
from spine.errors import ClusterRefused
from tests.ray_nodes import ROOT, TwoNodes, free_port
from tests.training.drawn_cohort import write_drawn_dataset


@pytest.mark.parametrize(
    ("processes", "free", "nodes", "each"),
    [(1, [0, 1], 1, 1), (4, [4, 8], 1, 4), (8, [4, 4], 2, 4), (6, [4, 4, 2], 2, 3), (8, [2, 3, 2, 2], 4, 2)],
)
def test_a_group_has_the_fewest_nodes_with_equal_shares(processes, free, nodes, each):
    assert placement_of(processes, "GPU", free) == Placement(nodes, each, "GPU")


@pytest.mark.parametrize(("processes", "free"), [(1, []), (5, [4, 4]), (8, [4, 3])])
def test_a_cluster_without_room_is_refused(processes, free):
    with pytest.raises(ClusterRefused, match="CLUSTER_TOO_SMALL"):
        placement_of(processes, "GPU", free)


def test_a_fit_waits_only_for_nodes_that_the_cluster_still_has(monkeypatch):
    """Ray lists a dead node for some seconds; a placement on it would wait for half an hour."""
    looks = []

    def nothing_ready(waiting, timeout):
        looks.append(timeout)
        return [], waiting

    monkeypatch.setattr("ray.wait", nothing_ready)
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": len(looks) < 3, "Resources": {"GPU": 2.0}}] * 2)
    with pytest.raises(NodeLost):
        wait_until_free(Placement(2, 2, "GPU"), None)
    assert len(looks) == 3
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"GPU": 2.0}}] * 2)
    monkeypatch.setattr(fit_on_nodes, "_FREE_WITHIN_S", 0.0)
    with pytest.raises(ClusterRefused, match="CLUSTER_BUSY"):
        wait_until_free(Placement(2, 2, "GPU"), None)


@pytest.mark.parametrize(
    ("device", "gpus", "resource"),
    [("auto", 2, "GPU"), ("auto", 0, "CPU"), ("cpu", 2, "CPU"), ("cuda", 2, "GPU"), ("cuda", 0, "GPU")],
)
def test_a_fit_that_asks_for_gpus_does_not_fall_back_to_cores(device, gpus, resource, capsys):
    """Cores would take days. A cluster without GPUs refuses ``cuda``, and ``auto`` says what it uses."""
    assert resource_of(device, gpus) == resource
    assert ("uses a core" in capsys.readouterr().err) == (device == "auto" and not gpus)


class Jobs:
    """A cluster with one job of an earlier run."""

    def __init__(self, *, stops: bool) -> None:
        self.stops = stops
        self.stopped: list[str] = []

    def list_jobs(self):
        running = SimpleNamespace(is_terminal=lambda: False)
        return [SimpleNamespace(metadata={"plumbline/fit": "group"}, status=running, submission_id="earlier")]

    def stop_job(self, name):
        self.stopped.append(name)

    def get_job_status(self, _):
        return SimpleNamespace(is_terminal=lambda: self.stops)


def test_a_job_of_an_earlier_run_that_does_not_stop_is_named(monkeypatch):
    monkeypatch.setattr(ray_fits, "_STOPPED_WITHIN_S", 0.0)
    jobs = Jobs(stops=True)
    ray_fits.stop_earlier_jobs(jobs, "group")
    assert jobs.stopped == ["earlier"]
    with pytest.raises(ClusterRefused, match=r"FIT_STILL_RUNS.*ray job stop earlier"):
        ray_fits.stop_earlier_jobs(Jobs(stops=False), "group")
    ray_fits.stop_earlier_jobs(Jobs(stops=False), "another")


RUN = SimpleNamespace(run=SimpleNamespace(run_id="run"), log=SimpleNamespace(warning=print))


def test_a_fit_on_a_cluster_that_does_not_answer_is_refused(monkeypatch, tmp_path):
    pytest.importorskip("dagster_ray", reason="the extra `ray` is not installed")
    monkeypatch.setenv(RAY_ADDRESS_VARIABLE, f"127.0.0.1:{free_port()}")
    with pytest.raises(ClusterRefused, match="CLUSTER_NOT_REACHED"):
        ray_fits.launch_on_cluster(RUN, tmp_path / "group" / "request.json", 2)


def launch_where_the_run_fails(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Jobs:
    """Prepare a cluster with one job of an earlier run, whose next job fails with an error."""
    dagster_ray = pytest.importorskip("dagster_ray", reason="the extra `ray` is not installed")
    jobs = Jobs(stops=True)

    def run(context, submit_job_params):
        assert jobs.stopped == ["earlier"], "the earlier job was stopped first"
        assert submit_job_params["metadata"] == {"plumbline/fit": "group"}
        raise error

    monkeypatch.setenv(RAY_ADDRESS_VARIABLE, "head:6379")
    monkeypatch.setattr(ray_fits, "require_cluster", lambda address: None)
    monkeypatch.setattr(dagster_ray, "PipesRayJobClient", lambda address: SimpleNamespace(client=jobs, run=run))
    return jobs


def test_a_head_that_dies_during_a_fit_is_refused_and_the_next_run_ends_the_job(monkeypatch):
    requests = pytest.importorskip("requests")
    jobs = launch_where_the_run_fails(monkeypatch, requests.exceptions.ConnectionError("refused"))
    with pytest.raises(ClusterRefused, match=r"CLUSTER_NOT_REACHED.*head:6379"):
        ray_fits.launch_on_cluster(RUN, Path("group/request.json"), 2)
    assert jobs.stopped == ["earlier"]


def test_an_interrupted_run_stops_its_job_wherever_the_interrupt_meets_it(monkeypatch):
    jobs = launch_where_the_run_fails(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        ray_fits.launch_on_cluster(RUN, Path("group/request.json"), 2)
    assert [name[:8] for name in jobs.stopped] == ["earlier", "fit-run-"]


@pytest.mark.slow
def test_two_nodes_fit_one_model_and_a_lost_node_costs_only_what_follows_the_checkpoint(nodes: TwoNodes, tmp_path):
    write_drawn_dataset(tmp_path / "drawn", (12, 3, 2))
    out, group, log = tmp_path / "candidate", tmp_path / "group", tmp_path / "log"
    command = [sys.executable, "-m", "tests.orchestration.cluster.fit_as_asset"]
    with log.open("wb") as output:
        folders = [str(tmp_path / "drawn"), str(out), str(group)]
        fit = subprocess.Popen([*command, *folders], cwd=ROOT, stdout=output, stderr=output)
    try:
        while not list(out.glob("checkpoints/*")):
            assert fit.poll() is None, log.read_text()[-3000:]
            time.sleep(0.2)
        nodes.kill_second()
        assert not (out / "candidate.json").exists()
        nodes.start_second()
        assert fit.wait(240) == 0, log.read_text()[-3000:]
    finally:
        fit.kill()
        fit.wait()
    found = json.loads((group / "found.json").read_text())
    assert found["success"] and found["stages"] == [[2, 12]]
    assert found["last"] == [1000, 1000]
    assert any("fitted 100 %" in text for text in found["messages"])
    assert json.loads((out / "candidate.json").read_text())

"""A fit on two nodes, with one process on each: placement, the fit itself, and a lost node."""

import json
import subprocess
import sys
import time

import pytest

from orchestration.cluster.fit_on_nodes import Placement, placement_of
from spine.errors import ClusterRefused
from tests.ray_nodes import ROOT, TwoNodes
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

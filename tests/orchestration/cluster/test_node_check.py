"""A node without the shared folder, or with other code, is refused by its name."""

import socket
from dataclasses import replace

import pytest

from orchestration.cluster.node_check import prepare_check, require_same
from spine.errors import ClusterRefused


def test_the_same_machine_fulfils_the_check_and_a_later_run_asks_the_same(tmp_path):
    check = prepare_check(tmp_path / "shared")
    require_same(check)
    assert prepare_check(tmp_path / "shared") == check


@pytest.mark.parametrize("fault", ["absent", "another"])
def test_a_node_without_the_folder_is_refused_by_name(tmp_path, fault):
    check = replace(prepare_check(tmp_path / "here"), folder=str(tmp_path / "there"))
    if fault == "another":
        prepare_check(tmp_path / "there")
    with pytest.raises(ClusterRefused, match=f"NODE_SEES_NO_WORKSPACE.*{socket.gethostname()}"):
        require_same(check)


def test_a_node_with_other_code_is_refused(tmp_path):
    with pytest.raises(ClusterRefused, match="NODE_RUNS_OTHER_CODE"):
        require_same(replace(prepare_check(tmp_path), code="0" * 64))

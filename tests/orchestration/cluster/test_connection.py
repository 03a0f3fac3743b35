"""A cluster that cannot be used is refused with its reason, and one machine never loads Ray."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from orchestration.cluster.connection import cluster_address, connect
from orchestration.cluster.ray_work import RayWork
from orchestration.environment import RAY_ADDRESS_VARIABLE, quiet_environment
from orchestration.pipeline.work import work_of
from orchestration.pipeline.workspace import Workspace
from spine.errors import ClusterRefused
from spine.work import LocalWork
from tests.ray_nodes import free_port


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "head:x", "head:99999", "ray://head:"])
def test_an_address_without_host_and_port_is_refused(address, monkeypatch):
    monkeypatch.setenv(RAY_ADDRESS_VARIABLE, address)
    with pytest.raises(ClusterRefused, match="CLUSTER_ADDRESS_INVALID"):
        cluster_address()


def test_the_work_is_on_the_cluster_only_where_one_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv(RAY_ADDRESS_VARIABLE, raising=False)
    assert isinstance(work_of(Workspace(tmp_path)), LocalWork)
    monkeypatch.setenv(RAY_ADDRESS_VARIABLE, "10.0.0.1:6379")
    assert work_of(Workspace(tmp_path)) == RayWork("10.0.0.1:6379", tmp_path / "state")


def test_a_cluster_that_is_not_there_is_refused():
    if find_spec("ray") is None:
        pytest.skip("the extra `ray` is not installed")
    code = "import sys; from orchestration.cluster.connection import connect; connect(sys.argv[1])"
    command = [sys.executable, "-c", code, f"127.0.0.1:{free_port()}"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "CLUSTER_NOT_REACHED" in found.stderr and "ray start --address" in found.stderr


def test_a_machine_without_ray_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterRefused, match=r"CLUSTER_NOT_INSTALLED.*plumbline\[ray\]"):
        connect("127.0.0.1:1")


def test_one_machine_loads_nothing_of_ray():
    code = """if True:
        import sys
        import orchestration.cli.main, orchestration.cluster.ray_work, orchestration.pipeline.steps
        import orchestration.dagster.definitions
        assert not {"ray", "dagster_ray"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_token_is_asked_for_unless_the_site_decides_otherwise(monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    assert quiet_environment()["RAY_AUTH_MODE"] == "token"
    monkeypatch.setenv("RAY_AUTH_MODE", "k8s")
    assert quiet_environment()["RAY_AUTH_MODE"] == "k8s"

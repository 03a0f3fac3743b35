"""The deployment files parse and agree with the code; they cannot be run here (no container engine)."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from orchestration.dagster.instance import CONCURRENCY, RUN_MONITORING, RUN_RETRIES
from orchestration.environment import WORKSPACE_VARIABLE, quiet_environment
from orchestration.services.up import LOCATION

INFRA = Path(__file__).parents[2] / "infra"


def load(name: str) -> dict:
    return yaml.safe_load((INFRA / name).read_text())


def test_both_dagster_instances_have_the_same_limits():
    deployed = load("dagster.yaml")
    assert deployed["telemetry"] == {"enabled": False}
    assert deployed["concurrency"] == CONCURRENCY
    assert deployed["run_monitoring"] == RUN_MONITORING
    assert deployed["run_retries"] == RUN_RETRIES
    assert deployed["storage"]["postgres"]["postgres_db"]["scheme"] == "postgresql+psycopg2"


def test_the_code_location_has_the_name_of_make_up():
    (location,) = load("workspace.yaml")["load_from"]
    assert location["grpc_server"]["location_name"] == LOCATION
    assert f"--location-name {LOCATION}" in load("compose.yaml")["services"]["code"]["command"]


def test_compose_publishes_on_this_machine_only():
    services = load("compose.yaml")["services"]
    assert set(services) == {"postgres", "objects", "mlflow", "code", "web", "daemon"}
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_web_server_shows_the_output_that_the_code_server_writes():
    services, folder = load("compose.yaml")["services"], load("dagster.yaml")["compute_logs"]["config"]["base_dir"]
    for name in ("code", "web"):
        assert any(folder.startswith(volume.split(":")[1]) for volume in services[name]["volumes"]), name


@pytest.mark.parametrize("name", ["compose.yaml", "dagster.yaml"])
def test_every_postgres_address_names_psycopg2(name):
    settings = re.sub(r"#.*", "", (INFRA / name).read_text())
    assert "postgresql+psycopg2" in settings
    assert not re.search(r"postgres(ql)?://", settings)


def test_named_volumes_and_files_exist():
    compose = load("compose.yaml")
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (INFRA / source).exists(), volume
    users = {identity["name"] for identity in json.loads((INFRA / "s3.json").read_text())["identities"]}
    assert users == {"plumbline"}


def test_the_image_sets_the_environment_variables_of_the_code():
    text = (INFRA / "Dockerfile").read_text()
    block = text[text.index("ENV ") : text.index("RUN useradd")]
    set_there = dict(re.findall(r"(\w+)=(\S*?)\s*\\?\n", block.removeprefix("ENV ")))
    assert set_there.items() >= quiet_environment().items()
    assert WORKSPACE_VARIABLE in set_there


def test_the_systemd_unit_is_valid_and_starts_what_make_up_starts(tmp_path):
    unit = (INFRA / "plumbline.service").read_text()
    start = re.search(r"^ExecStart=(\S+) (.*)$", unit, re.MULTILINE)
    recipe = re.search(r"-m (orchestration\.services\.up .*)", (INFRA.parent / "Makefile").read_text())
    assert re.findall(r"-\S+|orchestration\S+", start[2])[1:] == re.findall(r"--\S+|orchestration\S+", recipe[1])
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    (tmp_path / "plumbline.service").write_text(unit.replace(start[1], sys.executable))
    verify = ["systemd-analyze", "verify", str(tmp_path / "plumbline.service")]
    done = subprocess.run(verify, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), "an unknown key is only a message"


def test_constraints_name_no_host_and_pin_everything():
    lines = (INFRA / "constraints.txt").read_text().splitlines()
    pins = [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    assert pins
    assert not [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+", pin)]
    text = "\n".join(lines)
    assert "://" not in text
    assert "+cpu" not in text
    assert not re.search(r"--(extra-)?index-url|--find-links|^-[fi] ", text, re.MULTILINE)

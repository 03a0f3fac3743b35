"""The deployment files parse and agree with the code; they cannot be run here (no container engine)."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from orchestration.environment import DAGSTER_DB_VARIABLE, WEB_TOKEN_VARIABLE, WORKSPACE_VARIABLE, quiet_environment
from orchestration.services.up import LOCATION

INFRA = Path(__file__).parents[2] / "infra"


def load(name: str) -> dict:
    return yaml.safe_load((INFRA / name).read_text())


def test_the_code_location_has_the_name_of_make_up():
    (location,) = load("workspace.yaml")["load_from"]
    assert location["grpc_server"]["location_name"] == LOCATION
    assert f"--location-name {LOCATION}" in load("compose.yaml")["services"]["code"]["command"]


def test_compose_publishes_on_this_machine_only():
    services = load("compose.yaml")["services"]
    assert set(services) == {"postgres", "objects", "mlflow", "init", "code", "web", "daemon"}
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_dagsters_programs_share_the_workspace_with_the_instance_that_init_writes():
    services, image = load("compose.yaml")["services"], (INFRA / "Dockerfile").read_text()
    assert "DAGSTER_HOME=/workspace/state/dagster" in image
    assert "orchestration.dagster.instance /workspace" in services["init"]["command"]
    for name in ("code", "web", "daemon"):
        assert "workspace:/workspace" in services[name]["volumes"], name
        assert services[name]["depends_on"]["init"] == {"condition": "service_completed_successfully"}
        assert services[name]["environment"][DAGSTER_DB_VARIABLE].endswith("/dagster")


def test_compose_is_valid():
    """The package checks the file against the specification, as `docker compose config` does."""
    compose = pytest.importorskip("compose_spec", reason="compose-spec is not installed (extra `dev`)").PyCompose
    content = load("compose.yaml")
    known = compose.from_yaml(yaml.safe_dump(content))
    assert set(known.service_names()) == set(content["services"])
    content["services"]["code"]["dependson"] = []
    with pytest.raises(ValueError, match="dependson"):
        compose.from_yaml(yaml.safe_dump(content))


def manifests() -> list[dict]:
    """The objects of infra/kubernetes, in the order of its kustomization."""
    files = yaml.safe_load((INFRA / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    assert {*files, "kustomization.yaml"} == {path.name for path in (INFRA / "kubernetes").glob("*.yaml")}
    return [m for name in files for m in yaml.safe_load_all((INFRA / "kubernetes" / name).read_text())]


def test_kubernetes_manifests_are_valid():
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed (extra `dev`)")
    version = validate.latest_version()
    for manifest in manifests():
        validate.validate(manifest, version, strict=True)
    wrong = next(m for m in manifests() if m["kind"] == "Deployment")
    wrong["spec"]["template"]["spec"]["containers"][0]["comand"] = []
    with pytest.raises(validate.ValidationError, match="comand"):
        validate.validate(wrong, version, strict=True)


def test_kustomize_builds_every_object():
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(["kubectl", "kustomize", INFRA / "kubernetes"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert len(built) == len(manifests())
    assert {m["metadata"]["namespace"] for m in built} == {"plumbline"}


def containers() -> dict[str, dict]:
    """DEPLOYMENT/CONTAINER -> container, with the containers that run before the others."""
    pods = {m["metadata"]["name"]: m["spec"]["template"]["spec"] for m in manifests() if m["kind"] == "Deployment"}
    return {
        f"{name}/{c['name']}": c
        for name, pod in pods.items()
        for c in (*pod["containers"], *pod.get("initContainers", ()))
    }


def test_kubernetes_starts_the_programs_of_compose_without_privileges_and_secrets():
    known, compose = containers(), load("compose.yaml")["services"]
    assert {"ray-head/ray", "ray-worker/ray"} <= known.keys()
    for name in ("mlflow/mlflow", "dagster/init", "dagster/code", "dagster/web", "dagster/daemon"):
        words = " ".join([*known[name]["command"], *known[name].get("args", ())])
        written = compose[name.rpartition("/")[2]]["command"].replace("'", "")
        same = re.findall(r"-m \S+|--app-name \S+|--location-name \S+|-w \S+", written)
        assert same and all(part in words for part in same), name
    for name, container in known.items():
        assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
        assert {"secretRef": {"name": "plumbline"}} in container["envFrom"], name
        assert "limits" in container["resources"], name
    (settings,) = (m["data"] for m in manifests() if m["kind"] == "ConfigMap")
    secret = dict(re.findall(r"^(\w+)=(.*)$", (INFRA / "kubernetes" / "secret.env.example").read_text(), re.MULTILINE))
    assert settings["RAY_AUTH_MODE"] == "token" and "RAY_AUTH_TOKEN" in secret
    assert not {*settings} & {*secret}
    assert {DAGSTER_DB_VARIABLE, "PLUMBLINE_HISTORY_DB", "MLFLOW_BACKEND_STORE_URI", "AWS_SECRET_ACCESS_KEY"} <= {
        *secret
    }
    assert {WEB_TOKEN_VARIABLE, "MLFLOW_TRACKING_TOKEN"} <= {*secret} & {*compose["code"]["environment"]}


def test_dagster_finds_rays_head_by_the_name_of_its_service(monkeypatch):
    """The launcher keeps the first address that Ray gives it, which without the variable is the one of a pod."""
    dashboard = pytest.importorskip("ray.dashboard.utils", reason="the extra `ray` is not installed")
    (settings,) = (m["data"] for m in manifests() if m["kind"] == "ConfigMap")
    services = {m["metadata"]["name"]: m["spec"] for m in manifests() if m["kind"] == "Service"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    found = dashboard.get_address_for_submission_client(settings["PLUMBLINE_RAY_ADDRESS"])
    _, name, port = re.fullmatch(r"(http)://([\w-]+):(\d+)", found).groups()
    assert {"name": "dashboard", "port": int(port)} in services[name]["ports"]
    assert {name, settings["PLUMBLINE_RAY_ADDRESS"].split(":")[0]} == {"ray-head"}


def test_the_command_of_the_page_runs_on_a_node_of_ray_with_every_variable():
    (pod,) = re.findall(r"kubectl\s-n plumbline exec deploy/(\S+) -- plumbline run", (INFRA / "README.md").read_text())
    (node,) = (container for name, container in containers().items() if name.startswith(f"{pod}/"))
    assert node["command"][:3] == ["ray", "start", "--address"]
    assert node["command"][node["command"].index("--num-cpus") + 1] != "0"
    assert {"configMapRef": {"name": "plumbline"}} in node["envFrom"]


def test_the_workspace_is_one_volume_for_all_nodes():
    (claim,) = (m for m in manifests() if m["kind"] == "PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for name, container in containers().items():
        places = {v["name"]: v["mountPath"] for v in container.get("volumeMounts", ())}
        assert name == "mlflow/mlflow" or places[claim["metadata"]["name"]] == "/workspace"


@pytest.mark.parametrize("name", ["compose.yaml", "env.example", "kubernetes/secret.env.example"])
def test_every_postgres_address_names_psycopg2(name):
    settings = re.sub(r"#.*", "", (INFRA / name).read_text())
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


@pytest.mark.parametrize(
    ("user", "status", "said", "calls"),
    [("1000", 0, "only root", 0), ("0", 1, "could not be installed", 2), ("0", 0, "", 1)],
)
def test_programs_of_tests_are_installed_quietly_and_never_fail(tmp_path, user, status, said, calls):
    for name, body in (("id", f"echo {user}"), ("apt-get", f'echo "$@" >> {tmp_path}/calls; exit {status}')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    for name in ("sh", "timeout", "chmod", "rm", "printf", "test"):
        (tmp_path / name).symlink_to(shutil.which(name) or "/bin/true")
    policy = tmp_path / "policy-rc.d"
    environment = {"PATH": str(tmp_path), "POLICY_RC_D": str(policy)}
    done = subprocess.run(
        ["sh", INFRA / "test-programs.sh"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout
    assert bool(said) == bool(done.stdout)
    assert not policy.exists()
    called = (tmp_path / "calls").read_text().splitlines() if calls else []
    assert len(called) == calls
    assert "test-programs.sh" in (INFRA.parent / "Makefile").read_text()


def test_constraints_name_no_host_and_pin_everything():
    lines = (INFRA / "constraints.txt").read_text().splitlines()
    pins = [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    assert pins
    assert not [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+", pin)]
    text = "\n".join(lines)
    assert "://" not in text
    assert "+cpu" not in text
    assert not re.search(r"--(extra-)?index-url|--find-links|^-[fi] ", text, re.MULTILINE)


def test_no_secret_and_no_data_are_copied_into_the_image():
    ignored = set((INFRA.parent / ".dockerignore").read_text().splitlines())
    assert {".venv*", "data", "state", "infra/.env", "infra/kubernetes/secret.env"} <= ignored

"""Supervised processes: they start, their end is noticed, and none is left behind."""

import errno
import http.client
import json
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from functools import partial

import psutil
import pytest
import yaml

from orchestration.environment import quiet_environment
from orchestration.links import TO_DAGSTER, TO_MLFLOW, run_page
from orchestration.log_rotation import rotate
from orchestration.pipeline.lock import services_lock
from orchestration.pipeline.params import Params, write_params
from orchestration.pipeline.workspace import Workspace
from orchestration.services.processes import (
    Service,
    ServiceFailed,
    Supervised,
    accepts,
    answers,
    free_port,
    require_free_port,
)
from orchestration.services.up import environment_of, main, services_of
from spine.errors import ParametersRejected

SERVE = "import http.server, sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()"  # noqa: E501
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = f"import subprocess, sys, time; c = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], stdout=-1); c.stdout.readline(); print(c.pid, flush=True); time.sleep(60)"  # noqa: E501


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def python(name: str, code: str, *arguments: str, **service) -> Service:
    return Service(name, (sys.executable, "-u", "-c", code, *arguments), **service)


def wait_for(condition, timeout_s: float = 10.0):
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


def test_waits_until_it_answers_and_stops(tmp_path):
    port = free_port()
    service = python("web", SERVE, str(port), health=f"http://127.0.0.1:{port}/")
    with Supervised([service], tmp_path, {}) as running:
        running.wait_until_up(20)
        assert answers(f"http://127.0.0.1:{port}/")
    assert not answers(f"http://127.0.0.1:{port}/")


def test_the_next_starts_when_the_first_accepts(tmp_path):
    port = free_port()
    first = python("first", SERVE, str(port), wait_for=port)
    connect = f"import socket; socket.create_connection(('127.0.0.1', {port})); print('met'); time.sleep(60)"
    with Supervised([first, python("second", connect)], tmp_path, {}) as running:
        assert accepts(port)
        wait_for(lambda: "met" in running.log_of("second").read_text())


def test_a_first_service_that_dies_is_reported_and_nothing_else_is_started(tmp_path):
    dying = python("frail", "raise SystemExit('cannot import')", wait_for=free_port())
    with pytest.raises(ServiceFailed, match="cannot import"):
        Supervised([dying, python("next", "pass")], tmp_path, {}).__enter__()
    assert not (tmp_path / "next.log").exists()


@pytest.mark.slow
def test_grandchildren_go_too(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestration.services.processes.GRACE_S", 0.5)
    with Supervised([python("parent", PARENT)], tmp_path, {}) as running:
        grandchild = int(wait_for(lambda: running.log_of("parent").read_text().splitlines()[1:])[0])
        assert alive(grandchild)
    assert not alive(grandchild), "who looks at the locks now sees that nobody holds them"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_services_end_with_a_killed_supervisor(tmp_path):
    supervise = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from orchestration.services.processes import Service, Supervised
        command = (sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)")
        with Supervised([Service("child", command)], Path(sys.argv[1]), {}):
            time.sleep(60)
    """)
    supervisor = subprocess.Popen([sys.executable, "-c", supervise, str(tmp_path)])
    log = tmp_path / "child.log"
    child = int(wait_for(lambda: log.exists() and log.read_text().splitlines()[1:])[0])
    supervisor.kill()
    supervisor.wait()
    wait_for(lambda: not alive(child))


def test_stubborn_process_is_forced(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestration.services.processes.GRACE_S", 0.5)
    started = time.monotonic()
    with Supervised([python("stubborn", STUBBORN)], tmp_path, {}) as running:
        wait_for(lambda: "up" in running.log_of("stubborn").read_text())
    assert time.monotonic() - started < 15


def test_logs_are_appended_and_rotated_while_the_service_writes(tmp_path, monkeypatch):
    talking = "import time\nfor i in range(9999): print('line', i, flush=True); time.sleep(0.01)"
    with Supervised([python("talking", talking)], tmp_path, {}) as running:
        wait_for(lambda: running.log_of("talking").read_text().count("line 9\n") == 1)
    assert (tmp_path / "talking.log").read_text().count("plumbline starts talking") == 1
    with Supervised([python("talking", talking)], tmp_path, {}) as running:
        wait_for(lambda: running.log_of("talking").read_text().count("line 9\n") == 2)
        monkeypatch.setattr("orchestration.services.processes.rotate", partial(rotate, limit_bytes=100))
        running.rotate_logs()
        kept = (tmp_path / "talking.log.1").read_text()
        first = wait_for(lambda: (tmp_path / "talking.log").read_text().split("\n")[0])
    assert kept.count("plumbline starts talking") == 2
    assert first.startswith("line "), "the service writes on, at the beginning of the emptied file"


def test_only_the_last_files_are_kept(tmp_path):
    for number in range(7):
        (tmp_path / "a.log").write_text(str(number))
        assert rotate(tmp_path / "a.log", limit_bytes=0)
    assert not rotate(tmp_path / "a.log", limit_bytes=0), "it is empty"
    assert {p.name: p.read_text() for p in tmp_path.glob("a.log.*")} == {f"a.log.{i}": str(7 - i) for i in range(1, 5)}


@pytest.mark.parametrize(
    ("code", "seconds", "message"),
    [
        ("raise SystemExit('no database')", 20, "SERVICE_DIED.*no database"),
        ("import time; time.sleep(60)", 0.3, "SERVICE_LATE"),
    ],
)
def test_a_service_that_dies_or_does_not_answer_is_reported(tmp_path, code, seconds, message):
    service = python("frail", code, health="http://127.0.0.1:9/")
    with Supervised([service], tmp_path, {}) as running, pytest.raises(ServiceFailed, match=message):
        running.wait_until_up(seconds)


def test_taken_port_is_a_clear_refusal():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ParametersRejected, match=r"PORT_TAKEN.*--mlflow-port"):
            require_free_port(taken.getsockname()[1], "--mlflow-port")


@pytest.mark.parametrize("ports", [("0", "5000"), ("3000", "70000"), ("3000", "web"), ("3000", "3000")])
def test_up_refuses_ports_that_cannot_be(workspace, capsys, ports):
    with pytest.raises(SystemExit, match="2"):
        main(["--workspace", str(workspace.root), "--dagster-port", ports[0], "--mlflow-port", ports[1]])
    assert "; expected " in capsys.readouterr().err.splitlines()[-1]


def dead(running: Supervised, name: str) -> None:
    wait_for(lambda: running._running[name].poll() is not None)


def test_a_service_that_dies_is_started_again_after_a_pause(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestration.services.processes.FIRST_PAUSE_S", 0.1)
    steady, frail = python("steady", "import time; time.sleep(60)"), python("frail", "import time; time.sleep(60)")
    with Supervised([steady, frail], tmp_path, {}) as running:
        before = {name: process.pid for name, process in running._running.items()}
        assert running.restart_dead() == []
        psutil.Process(before["frail"]).kill()
        dead(running, "frail")
        assert wait_for(running.restart_dead) == ["frail"]
        after = {name: process.pid for name, process in running._running.items()}
        assert after["steady"] == before["steady"] and after["frail"] != before["frail"]
        assert running.restart_dead() == []
    assert not any(alive(pid) for pid in (*before.values(), *after.values()))


def test_a_service_that_dies_again_and_again_ends_everything_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestration.services.processes.FIRST_PAUSE_S", 0.01)
    hopeless = python("hopeless", "raise SystemExit('disk full')")

    def supervise() -> None:
        while True:
            running.restart_dead()
            time.sleep(0.01)

    with Supervised([hopeless], tmp_path, {}) as running, pytest.raises(ServiceFailed) as failed:
        supervise()
    assert failed.value.code == "SERVICE_DIED"
    assert "died 6 times in 10 min" in str(failed.value) and "disk full" in str(failed.value)


@pytest.mark.parametrize("keeps", [True, False])
def test_runs_of_a_dead_code_server_live_on_and_stop_with_everything(tmp_path, monkeypatch, keeps):
    monkeypatch.setattr("orchestration.services.processes.FIRST_PAUSE_S", 0.01)
    child = "import subprocess, sys, time; c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print(c.pid, flush=True); time.sleep(60)"  # noqa: E501
    with Supervised([python("code", child, keeps_children=keeps)], tmp_path, {}) as running:
        run = int(wait_for(lambda: running.log_of("code").read_text().splitlines()[1:])[0])
        running._running["code"].kill()
        dead(running, "code")
        wait_for(running.restart_dead)
        wait_for(lambda: alive(run) == keeps)
    wait_for(lambda: not alive(run))


def test_up_refuses_what_is_no_workspace(tmp_path, capsys):
    assert main(["--workspace", str(tmp_path)]) == 2
    assert "PARAMS_MISSING" in capsys.readouterr().err


def test_up_names_a_folder_that_cannot_be_written(workspace, capsys, monkeypatch):
    def read_only(workspace):
        raise OSError(errno.EROFS, "Read-only file system", str(workspace.state / "services.lock"))

    monkeypatch.setattr("orchestration.services.up.services_lock", read_only)
    ports = ["--dagster-port", str(free_port()), "--mlflow-port", str(free_port())]
    assert main(["--workspace", str(workspace.root), *ports]) == 1
    assert capsys.readouterr().err.startswith("plumbline: SYSTEM_ERROR: Read-only file system: ")


def test_up_refuses_a_second_time(workspace, capsys):
    with services_lock(workspace):
        ports = ["--dagster-port", str(free_port()), "--mlflow-port", str(free_port())]
        assert main(["--workspace", str(workspace.root), *ports]) == 4
    assert "SERVICES_RUNNING" in capsys.readouterr().err


def test_services_stay_on_this_machine_and_quiet(workspace, tmp_path):
    mlflow, code, web, daemon = services_of(workspace, 3999, 5999, tmp_path / "code")
    assert code.command[code.command.index("--socket") + 1] == str(code.wait_for) == str(tmp_path / "code")
    assert "-p" not in code.command
    location = yaml.safe_load((workspace.dagster_home / "workspace.yaml").read_text())["load_from"][0]["grpc_server"]
    assert location == {"socket": str(tmp_path / "code"), "location_name": "plumbline"}
    assert mlflow.command[mlflow.command.index("--host") + 1] == "127.0.0.1"
    assert web.command[web.command.index("-h") + 1] == "127.0.0.1"
    assert mlflow.command[mlflow.command.index("--allowed-hosts") + 1] == "127.0.0.1:5999,localhost:5999"
    assert mlflow.command[mlflow.command.index("--workers") + 1] == "1"
    assert daemon.health is None
    environment = environment_of(workspace, 5999, 3999)
    assert environment.items() >= quiet_environment().items()
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["PLUMBLINE_WORKSPACE"] == str(workspace.root)


@pytest.mark.slow
def test_up_for_real(tmp_path):
    """Both servers answer, what is killed comes back, one SIGTERM ends everything within 10 s and nothing is left."""
    workspace = Workspace(tmp_path / "ws")
    workspace.prepare()
    write_params(Params(), workspace.params_file)
    dagster, mlflow = free_port(), free_port()
    command = [sys.executable, "-m", "orchestration.services.up", "--workspace", str(workspace.root)]
    command += ["--dagster-port", str(dagster), "--mlflow-port", str(mlflow)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        lines = [process.stdout.readline() for _ in range(6)]
        assert f"http://127.0.0.1:{dagster}" in lines[1], "".join(lines)
        assert f"http://127.0.0.1:{mlflow}" in lines[2]
        assert answers(f"http://127.0.0.1:{mlflow}/health")
        wait_for(lambda: '"plumbline"' in locations(dagster), 60)
        run = run_page("3", "f")
        assert redirected(f"http://127.0.0.1:{dagster}{TO_MLFLOW}/{run}") == f"http://127.0.0.1:{mlflow}/#/{run}"
        assert redirected(f"http://127.0.0.1:{mlflow}{TO_DAGSTER}/runs/f") == f"http://127.0.0.1:{dagster}/runs/f"
        for module, name in (
            ("orchestration.dagster.web_server", "web"),
            ("code-server", "code"),
            ("mlflow", "mlflow"),
        ):
            kill_service(process.pid, module)
            assert name in process.stdout.readline()
        wait_for(lambda: answers(f"http://127.0.0.1:{mlflow}/health"), 60)
        wait_for(lambda: answers(f"http://127.0.0.1:{dagster}/server_info"), 60)
        wait_for(lambda: '"LOADED"' in locations(dagster), 60)
        children = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        assert len(children) >= 3
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert rest.strip().endswith("stopped")
    assert process.returncode == 0
    wait_for(lambda: not [pid for pid in children if alive(pid)])


def kill_service(supervisor: int, part: str) -> None:
    (service,) = (p for p in psutil.Process(supervisor).children() if part in p.cmdline())
    service.kill()


def redirected(address: str) -> str | None:
    """Where the server sends a browser that opens the address."""
    host, _, path = address.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("GET", f"/{path}")
    answer = connection.getresponse()
    connection.close()
    assert answer.status == 307
    return answer.getheader("Location")


def locations(port: int) -> str:
    query = {"query": "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }"}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", json.dumps(query).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as response:
        return response.read().decode()

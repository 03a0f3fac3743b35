"""The real web servers of ``make up`` against hostile pages: nothing is launched, and their own pages work."""

import http.client
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from orchestration.dagster.instance import open_instance
from orchestration.environment import quiet_environment
from orchestration.pipeline.params import Params, write_params
from orchestration.pipeline.workspace import Workspace
from orchestration.services.processes import Supervised, free_port
from orchestration.services.up import LOCATION, environment_of, pages_of, services_of
from tests.browser.chromium import browser, needs_chromium

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]

EVIL = "http://evil.example"
JSON = {"Content-Type": "application/json"}
SELECTOR = f'{{repositoryLocationName: "{LOCATION}", repositoryName: "__repository__", jobName: "promotion"}}'
LAUNCH = f"""mutation {{ launchRun(executionParams: {{selector: {SELECTOR}, mode: "default", runConfigData: {{}} }}) {{
    __typename ... on PythonError {{ message }} ... on LaunchRunSuccess {{ run {{ runId }} }} }} }}"""


@dataclass(frozen=True)
class Desk:
    workspace: Workspace
    dagster: int
    mlflow: int

    def runs(self) -> int:
        with open_instance(self.workspace) as instance:
            return instance.get_runs_count()

    def ask(
        self, method: str, path: str, body: str = "", *, port: int | None = None, **headers: str
    ) -> tuple[int, str]:
        port = port or self.dagster
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body or None, {"Host": f"127.0.0.1:{port}"} | named)
        answer = connection.getresponse()
        try:
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, empty_mlflow_database: Path) -> Iterator[Desk]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in quiet_environment().items():
            patch.setenv(name, value)
        workspace = Workspace(tmp_path_factory.mktemp("desk"))
        workspace.prepare()
        shutil.copy(empty_mlflow_database, workspace.state / "mlflow" / "mlflow.db")
        write_params(Params(), workspace.params_file)
        dagster, mlflow = free_port(), free_port()
        with (
            open_instance(workspace),
            Supervised(
                services_of(workspace, dagster, mlflow, workspace.root / "code")[
                    :3
                ],  # no daemon: launched runs stay queued
                workspace.state / "logs",
                environment_of(workspace, mlflow, dagster),
            ) as running,
        ):
            running.wait_until_up()
            yield Desk(workspace, dagster, mlflow)


def test_no_hostile_request_launches_a_run(desk: Desk) -> None:
    mutation = json.dumps({"query": LAUNCH})
    by_get = f"/graphql?query={quote(LAUNCH)}"
    assert desk.ask("POST", "/graphql", mutation, Content_Type="application/json", Origin=EVIL)[0] == 403
    assert desk.ask("POST", "/graphql", mutation, Content_Type="application/json", Origin="null")[0] == 403
    assert desk.ask("POST", "/graphql", mutation, Content_Type="application/json", Host="evil.example")[0] == 403
    assert desk.ask("POST", "/graphql", mutation, Content_Type="text/plain")[0] == 415
    assert desk.ask("POST", "/graphql", LAUNCH, Content_Type="application/graphql")[0] == 415
    assert desk.ask("POST", by_get, "", Content_Type="multipart/form-data; boundary=x")[0] == 415
    assert (
        desk.ask("POST", by_get, f"query={quote(LAUNCH)}", Content_Type="application/x-www-form-urlencoded")[0] == 415
    )
    assert desk.ask("GET", by_get)[0] == desk.ask("GET", by_get, Accept="text/html")[0] == 405
    assert desk.ask("GET", by_get, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403
    assert desk.ask("OPTIONS", "/graphql", Origin=EVIL, Access_Control_Request_Method="POST")[0] == 403
    forged = "/report_asset_check/verdict?check_name=gate_promotes&passed=true"
    assert desk.ask("POST", forged)[0] == 415
    assert desk.ask("POST", forged, "{}", Content_Type="application/json", Origin=EVIL)[0] == 403
    assert desk.runs() == 0


def test_a_websocket_launches_no_run(desk: Desk) -> None:
    """A foreign page opens no socket, and even an own page sends no mutation over one."""
    address = f"ws://127.0.0.1:{desk.dagster}/graphql"
    opened = partial(connect, address, subprotocols=["graphql-ws"], proxy=None)
    with pytest.raises(InvalidStatus):
        opened(origin=EVIL)
    with opened(origin=f"http://127.0.0.1:{desk.dagster}") as socket:
        socket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(socket.recv(timeout=20))["type"] == "connection_ack"
        socket.send(json.dumps({"type": "start", "id": "1", "payload": {"query": LAUNCH, "variables": {}}}))
        assert json.loads(socket.recv(timeout=20))["type"] == "error"
    assert desk.runs() == 0


def test_mlflow_follows_the_same_rules(desk: Desk) -> None:
    make = partial(desk.ask, "POST", body='{"name": "evil"}', port=desk.mlflow)
    for path in (
        "/api/2.0/mlflow/registered-models/create",
        "/ajax-api/2.0/mlflow/registered-models/create",
        "/graphql",
    ):
        for origin in (EVIL, "null", f"http://127.0.0.1:{desk.dagster}", "http://localhost:8888"):
            assert make(path, Content_Type="application/json", Origin=origin)[0] == 403, (path, origin)
        assert make(path, Content_Type="application/json", Host="evil.example")[0] == 403, path
    assert desk.ask("GET", "/health", port=desk.mlflow, Host="evil.example")[0] == 403
    search = "/api/2.0/mlflow/registered-models/search"
    status, text = desk.ask("GET", search, port=desk.mlflow, Origin=f"http://127.0.0.1:{desk.mlflow}")
    assert status == 200 and "evil" not in text


def test_only_the_two_web_servers_listen(desk: Desk) -> None:
    """Programs of other accounts on the machine reach the two guarded ports only."""
    import psutil

    ours = [process for child in psutil.Process().children() for process in (child, *child.children(recursive=True))]
    listening = [c.laddr for p in ours if p.is_running() for c in p.net_connections("inet") if c.status == "LISTEN"]
    assert sorted((address.ip, address.port) for address in listening) == sorted(
        [("127.0.0.1", desk.dagster), ("127.0.0.1", desk.mlflow)]
    )


def hostile(desk: Desk) -> str:
    """A page that tries to launch the job in every way that a browser offers."""
    at, query = f"http://127.0.0.1:{desk.dagster}/graphql", json.dumps(LAUNCH)
    return f"""<title>evil</title><iframe name=sink></iframe>
<form method=post target=sink enctype=text/plain action="{at}?query={quote(LAUNCH)}"><input name=x></form>
<script>
const query = {query}, body = JSON.stringify({{query}}), at = {json.dumps(at)};
document.forms[0].submit();
new Image().src = at + '?query=' + encodeURIComponent(query);
const done = [];
for (const type of ['text/plain', 'application/json'])
    for (const mode of ['no-cors', 'cors'])
        done.push(fetch(at, {{method: 'POST', mode, body, headers: {{'Content-Type': type}}}}).catch(() => 0));
done.push(fetch(at + '?query=' + encodeURIComponent(query), {{mode: 'no-cors'}}).catch(() => 0));
done.push(new Promise(end => {{
    const socket = new WebSocket(at.replace('http', 'ws'), 'graphql-ws');
    socket.onopen = () => {{ window.opened = true; end(); }};
    socket.onerror = socket.onclose = end;
}}));
Promise.all(done).then(() => setTimeout(() => document.title = 'tried', 1000));
</script>"""


@needs_chromium
def test_a_hostile_page_in_the_browser_launches_nothing_and_our_own_page_works(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(hostile(desk))
    pages = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with browser() as page:
            page.open(f"http://127.0.0.1:{server.server_port}/index.html")
            page.wait_for("document.title == 'tried'")
            assert not page.evaluate("window.opened === true")
            assert desk.runs() == 0
            page.console.clear()
            page.open(pages_of(desk.dagster, desk.mlflow)["Dagster"])
            page.wait_for("document.body.innerText.includes('retrain') && document.body.innerText.includes('Lineage')")
            launched: Any = page.evaluate(
                "fetch('/graphql', {method: 'POST', headers: {'Content-Type': 'application/json'},"
                f" body: JSON.stringify({{query: {json.dumps(LAUNCH)}}})}}).then(answer => answer.text())"
            )
            assert "LaunchRunSuccess" in launched
            page.open(pages_of(desk.dagster, desk.mlflow)["MLflow"])
            page.wait_for("document.body.innerText.includes('Experiments')")
            assert not [line for line in page.console if "403" in line or "405" in line or "415" in line], page.console
    finally:
        server.shutdown()
        server.server_close()
    with open_instance(desk.workspace) as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.QUEUED]

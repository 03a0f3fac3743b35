"""Alerts are written once, reach the webhook, and never fail."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from orchestration.alerts import TIMEOUT_S, alert, alerts_since
from orchestration.environment import ALERT_WEBHOOK_VARIABLE
from orchestration.pipeline.workspace import Workspace

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Hook(http.server.BaseHTTPRequestHandler):
    answer = 200
    wait_s = 0.0
    got: list[dict[str, str]] = []  # noqa: RUF012 - one list for all requests

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        time.sleep(self.wait_s)
        self.send_response(self.answer)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hook]]:
    kind = type("OneHook", (Hook,), {"got": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(ALERT_WEBHOOK_VARIABLE, f"http://127.0.0.1:{server.server_port}/hook")
    yield kind
    server.shutdown()
    server.server_close()


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path)


def test_the_same_alert_is_written_and_sent_once_a_day(workspace, hook, caplog):
    assert alert(workspace, "drift", "PSI 0.4") and not alert(workspace, "drift", "PSI 0.4")
    assert alert(workspace, "drift", "PSI 0.5")
    assert [(a["kind"], a["text"]) for a in hook.got] == [("drift", "PSI 0.4"), ("drift", "PSI 0.5")]
    assert [a.text for a in alerts_since(workspace, LONG_AGO)] == ["PSI 0.4", "PSI 0.5"]
    assert "drift: PSI 0.4" in caplog.text
    old = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    workspace.alerts.write_text(json.dumps({"kind": "drift", "text": "PSI 0.4", "at": old}) + "\n{cut of")
    assert alert(workspace, "drift", "PSI 0.4"), "a day later it is said again"


@pytest.mark.parametrize("answer", [302, 307, 404, 500])
def test_a_webhook_that_refuses_or_redirects_breaks_nothing(workspace, hook, caplog, answer):
    hook.answer = answer
    assert alert(workspace, "run_failed", "x")
    assert len(hook.got) == 1 and "did not take" in caplog.text


def test_a_slow_webhook_is_given_up(workspace, hook, monkeypatch):
    monkeypatch.setattr("orchestration.alerts.TIMEOUT_S", 0.2)
    hook.wait_s = 1.0
    began = time.monotonic()
    assert alert(workspace, "run_failed", "x")
    assert time.monotonic() - began < 0.9 and TIMEOUT_S <= 10


@pytest.mark.parametrize(
    "address", ["http://example.org/x", "file:///etc/passwd", "ftp://127.0.0.1/", "127.0.0.1", "http://[", "https://"]
)
def test_other_addresses_get_nothing(workspace, monkeypatch, caplog, address):
    monkeypatch.setenv(ALERT_WEBHOOK_VARIABLE, address)
    monkeypatch.setattr("urllib.request.build_opener", lambda *_: pytest.fail("something was sent"))
    assert alert(workspace, "gate_refused", "x")
    assert "nothing was sent" in caplog.text


def test_nothing_listens_and_nothing_can_be_written(workspace, monkeypatch):
    monkeypatch.setenv(ALERT_WEBHOOK_VARIABLE, "http://127.0.0.1:9/")
    assert alert(workspace, "gate_refused", "x")
    workspace.alerts.unlink()
    workspace.alerts.mkdir()
    assert not alert(workspace, "gate_refused", "x")

"""The guard before Dagster's and MLflow's web servers: which requests reach the application."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from orchestration.environment import WEB_HOSTS_VARIABLE, WEB_TOKEN_VARIABLE
from orchestration.web_guard import COOKIE, Rules, WebGuard

HOST = {"Host": "127.0.0.1:3000"}
JSON = {"Content-Type": "application/json"}
OWN = {"Origin": "http://127.0.0.1:3000"}
DAGSTER = Rules(json_only=True, no_get=("/graphql",))


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"reached"})


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


def messages(scope: dict[str, Any], path: str, headers: Any, rules: Rules) -> list[dict[str, Any]]:
    """What the guarded application sends for one request."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    place, _, query = path.partition("?")
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    scope |= {
        "path": place,
        "raw_path": place.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "server": ("127.0.0.1", 3000),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
    }
    asyncio.run(WebGuard(application, rules)(scope, receive, send))  # type: ignore[arg-type]
    return sent


def ask(method: str, path: str, headers: Any, rules: Rules = DAGSTER) -> Answer:
    start, body = messages({"type": "http", "scheme": "http", "method": method}, path, headers, rules)
    names = {name.decode(): value.decode() for name, value in start["headers"]}
    answer = Answer(start["status"], names, body["body"].decode())
    assert (answer.text == "reached") == (answer.status == 200)
    return answer


def status(method: str, headers: dict[str, str], path: str = "/graphql", rules: Rules = DAGSTER) -> int:
    return ask(method, path, HOST | headers, rules).status


def opens(headers: dict[str, str], rules: Rules = DAGSTER) -> bool:
    (message,) = messages({"type": "websocket", "scheme": "ws"}, "/graphql", HOST | headers, rules)
    return message["type"] == "websocket.accept"


@pytest.mark.parametrize(
    "headers",
    [
        JSON,
        JSON | OWN,
        {"Content-Type": "application/json; charset=utf-8", "Sec-Fetch-Site": "same-origin"} | OWN,
        JSON | {"Host": "localhost:3000", "Origin": "http://localhost:3000"},
        JSON | {"Host": "[::1]:3000"},
    ],
)
def test_own_pages_and_programs_are_served(headers):
    assert status("POST", headers) == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "http://127.0.0.1:3001",
        "http://127.0.0.1",
        "http://localhost:3000",
        "http://127.0.0.1:3000.evil.example",
        "http://evil.example/127.0.0.1:3000",
        "http://me@127.0.0.1:3000",
        "file://127.0.0.1:3000",
        "http://[",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_foreign_origin_is_refused_for_every_method(origin, method):
    assert status(method, JSON | {"Origin": origin}, "/report_asset_check/verdict") == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3000", "127.0.0.1", "127.0.0.1:3001", "127.0.0.2:3000", ""]
)
def test_a_foreign_host_is_refused(host):
    assert status("GET", {"Host": host}, "/") == 403
    assert status("POST", JSON | {"Host": host, "Origin": f"http://{host}"}) == 403


def test_two_hosts_and_two_origins_are_refused():
    own, foreign = ("Host", "127.0.0.1:3000"), ("Host", "evil.example")
    assert ask("GET", "/", [own, foreign]).status == ask("GET", "/", [foreign, own]).status == 403
    origins = [("Origin", "http://127.0.0.1:3000"), ("Origin", "http://evil.example")]
    assert ask("GET", "/", [own, *origins]).status == 403
    assert ask("GET", "/", []).status == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/graphql?query=mutation{x}"])
def test_graphql_takes_post_only(method, path):
    assert status(method, JSON, path) == 405


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/graphql", ""],
)
@pytest.mark.parametrize("path", ["/graphql", "/report_asset_materialization/champion?x=1"])
def test_forms_and_other_types_are_refused(kind, path):
    assert status("POST", {"Content-Type": kind}, path) == 415


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_images_and_scripts_of_foreign_pages_get_nothing_but_links_work(site):
    assert status("GET", {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}, "/logs/a") == 403
    assert status("GET", {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}, "/runs/a") == 200
    assert status("POST", JSON | {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}) == 403


def test_pages_cannot_be_framed_by_others():
    assert ask("GET", "/", HOST).headers["x-frame-options"] == "SAMEORIGIN"


def test_websockets_follow_the_same_rules():
    assert opens(OWN) and opens({})
    for foreign in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example:3000"}):
        assert not opens(foreign)
    assert not opens(OWN, Rules(token="secret"))
    assert opens(OWN | {"Cookie": f"{COOKIE}=secret"}, Rules(token="secret"))


def test_configured_names_are_served():
    rules = Rules.of_environment({WEB_HOSTS_VARIABLE: "mlflow:5000, Desk.example.org"})
    assert status("GET", {"Host": "mlflow:5000"}, "/", rules) == 200
    proxied = {"Host": "desk.example.org", "Origin": "https://desk.example.org"}
    assert status("POST", JSON | proxied, "/graphql", rules) == 200
    assert status("GET", {"Host": "other.example.org"}, "/", rules) == 403
    assert status("POST", {"Content-Type": "text/plain"}, "/api", rules) == 200, "json_only is Dagster's rule"


def test_a_token_is_asked_for_everywhere_but_at_health_checks():
    rules = Rules.of_environment({WEB_TOKEN_VARIABLE: "secret"})
    assert status("GET", {"Cookie": "a=b"}, "/", rules) == status("POST", JSON, "/graphql", rules) == 401
    assert status("GET", {"Authorization": "Bearer wrong"}, "/", rules) == 401
    assert status("GET", {"Cookie": f"{COOKIE}=sécret".encode().decode("latin-1")}, "/", rules) == 401
    assert status("GET", {"Authorization": "Bearer secret"}, "/", rules) == 200
    assert status("GET", {}, "/health", rules) == 200
    assert status("POST", JSON, "/health", rules) == 401
    assert status("POST", JSON | {"Origin": "http://evil.example", "Cookie": f"{COOKIE}=secret"}, "/", rules) == 403


def test_one_visit_with_the_token_sets_a_cookie_and_hides_the_token():
    rules = Rules(token="secret")
    assert ask("GET", "/runs?token=wrong", HOST, rules).status == 401
    first = ask("GET", "/runs?a=1&token=secret", HOST, rules)
    assert (first.status, first.headers["location"]) == (303, "/runs?a=1")
    assert "HttpOnly" in first.headers["set-cookie"] and "SameSite=strict" in first.headers["set-cookie"]
    assert status("GET", {"Cookie": first.headers["set-cookie"].split(";")[0]}, "/runs?a=1", rules) == 200
    away = ask("GET", "//evil.example/?token=secret", HOST, rules)
    assert away.headers["location"] == "/evil.example/"

"""Refuses requests of foreign pages and hosts before they reach Dagster's or MLflow's web server.

Contract: a request is passed on only if its Host is this server's own loopback address or a configured name
(``PLUMBLINE_WEB_HOSTS``), and no page of another origin made it. This holds for every method and for WebSockets: a
browser lets any page send requests to 127.0.0.1, and DNS rebinding gives a foreign page a loopback address
(https://owasp.org/www-community/attacks/csrf). With a token (``PLUMBLINE_WEB_TOKEN``) a request must also carry it.
"""

import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestration.environment import WEB_HOSTS_VARIABLE, WEB_TOKEN_VARIABLE

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

COOKIE = "plumbline_token"
"""Browsers send a cookie to every port of a host, so one visit with the token opens Dagster and MLflow."""

HEALTH = ("/server_info", "/health", "/version")
"""Pages for health checks, which need no token. They contain version numbers only."""

_READING = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Rules:
    """What a server accepts.

    Attributes:
        hosts: further values of the Host header, with the port if a browser sends one.
        token: the token that every request must carry; "" for none.
        json_only: whether a request that changes something must have the content type ``application/json``.
        no_get: paths that are refused for every method but POST.
    """

    hosts: Sequence[str] = ()
    token: str = ""
    json_only: bool = False
    no_get: Sequence[str] = ()

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] | None = None, **more: Any) -> Self:
        """The rules with the hosts and the token of the environment variables."""
        values = os.environ if environment is None else environment
        hosts = [name.strip().lower() for name in values.get(WEB_HOSTS_VARIABLE, "").split(",") if name.strip()]
        return cls(hosts=hosts, token=values.get(WEB_TOKEN_VARIABLE, ""), **more)


class WebGuard:
    """An ASGI layer that applies the rules before the application."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with the reason as text."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        answer = self._answer(scope, Headers(scope=scope))
        if answer is None:
            await self._app(scope, receive, _unframed(send) if scope["type"] == "http" else send)
        elif scope["type"] == "http":
            await answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})

    def _answer(self, scope: Scope, headers: Headers) -> Response | None:
        """The refusal, or the redirect after a visit with the token; None to pass the request on."""
        refused = (
            self._wrong_host(scope, headers)
            or _foreign_origin(scope, headers)
            or (self._wrong_form(scope, headers) if scope["type"] == "http" else None)
        )
        if refused is not None:
            return refused
        return self._without_token(scope, headers) if self._rules.token else None

    def _wrong_host(self, scope: Scope, headers: Headers) -> Response | None:
        given = [value.lower() for value in headers.getlist("host")]
        if len(given) == 1 and given[0] in {*_own_names(scope), *self._rules.hosts}:
            return None
        remedy = f"use http://127.0.0.1, or list the name in {WEB_HOSTS_VARIABLE}"
        return _refusal(403, "WEB_HOST_REFUSED", f"Host {', '.join(given)!r}", "a name of this server", remedy)

    def _wrong_form(self, scope: Scope, headers: Headers) -> Response | None:
        method, kind = scope["method"], headers.get("content-type", "").split(";")[0].strip().lower()
        if scope["path"].rstrip("/") in self._rules.no_get and method != "POST":
            return _refusal(405, "WEB_METHOD_REFUSED", method, "POST", "send queries by POST as application/json")
        if self._rules.json_only and method not in _READING and kind != "application/json":
            found = f"content type {kind!r}"
            return _refusal(415, "WEB_TYPE_REFUSED", found, "application/json", "send the request as JSON")
        return None

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"] in HEALTH:
            return None
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if any(_same(value, self._rules.token) for value in (bearer, _cookie(headers))):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        opened = scope["type"] == "http" and scope["method"] == "GET"
        if opened and any(name == "token" and _same(value, self._rules.token) for name, value in query):
            return self._with_cookie(scope, [(name, value) for name, value in query if name != "token"])
        remedy = "open the address with ?token=... once, or send Authorization: Bearer ..."
        return _refusal(401, "WEB_TOKEN_MISSING", "no valid token", f"the token of {WEB_TOKEN_VARIABLE}", remedy)

    def _with_cookie(self, scope: Scope, query: list[tuple[str, str]]) -> Response:
        """A redirect to the same page without the token in its address, which the browser's history would keep."""
        # A single slash: "//host" would lead to another server.
        page = "/" + scope["path"].lstrip("/\\") + (f"?{urlencode(query)}" if query else "")
        answer = RedirectResponse(page, status_code=303)
        answer.set_cookie(COOKIE, self._rules.token, httponly=True, samesite="strict")
        return answer


def _own_names(scope: Scope) -> set[str]:
    server = scope.get("server") or (None, None)
    return {f"{name}:{server[1]}" for name in LOOPBACK} | (set(LOOPBACK) if server[1] == 80 else set())


def _foreign_origin(scope: Scope, headers: Headers) -> Response | None:
    """A refusal if a page of another origin made the request; a link that a person follows is no such request."""
    host, origins = headers.get("host", "").lower(), headers.getlist("origin")
    if origins:
        own = len(origins) == 1 and _netloc(origins[0]) == host
        found = f"Origin {', '.join(origins)!r}"
    else:
        # Browsers send no Origin with images, scripts and links, but this header (https://www.w3.org/TR/fetch-metadata/).
        site = headers.get("sec-fetch-site", "none")
        followed = scope["type"] == "http" and scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        own, found = site in ("none", "same-origin") or followed, f"a request of a {site} page"
    if own:
        return None
    return _refusal(403, "WEB_ORIGIN_REFUSED", found, "a request of this server's own pages", "open this server's page")


def _netloc(origin: str) -> str | None:
    """Host and port of an origin; None for ``null`` and for what is no origin of a web page."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return None
    bare = parts.scheme in ("http", "https") and not (parts.path or parts.query or parts.fragment or parts.username)
    return parts.netloc if bare and parts.netloc else None


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), token.encode())


def _refusal(status: int, code: str, found: str, expected: str, remedy: str) -> Response:
    text = f"{code}: found {found}; expected {expected}; {remedy}\n"
    return PlainTextResponse(text, status_code=status, headers={"X-Content-Type-Options": "nosniff"})


def _unframed(send: Send) -> Send:
    """Send, with a header that keeps the page out of frames of other origins (clickjacking)."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("X-Frame-Options", "SAMEORIGIN")
        await send(message)

    return sending

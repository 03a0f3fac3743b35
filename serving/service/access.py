"""Who may use the service: clients with a key, or persons whom a trusted proxy names.

Contract: the check comes before the body is read. A key is compared in constant time with every key. A key comes as
``Authorization: Bearer KEY``, as ``X-API-Key: KEY``, or as the password of ``Authorization: Basic``, which browsers ask
for. The name of the client stands in ``request.state.identity``. A browser's request from a page of another origin is
refused, because browsers add passwords to such requests
(https://owasp.org/www-community/attacks/csrf).
"""

import base64
import binascii
import hmac
import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.service.problems import problem
from serving.service.settings import Access, ServiceSettings
from spine.errors import GateRefused, ParametersRejected

OPEN_PATHS = ("/healthz", "/readyz")
"""Paths that need no key. They name no patient and no file."""

SHORTEST_KEY = 20
"""Characters. ``openssl rand -hex 16`` gives 32."""


def read_keys(path: Path) -> dict[str, str]:
    """Name -> key, from a file with ``NAME KEY`` on each line; ``#`` begins a comment.

    Raises:
        ParametersRejected: ``KEYS_INVALID``; the message contains no key.
    """
    keys: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or len(words[1]) < SHORTEST_KEY or words[0] in keys:
            raise _keys_invalid(
                f"line {number}, which is not a new name and a key of {SHORTEST_KEY} characters or more"
            )
        keys[words[0]] = words[1]
    if not keys:
        raise _keys_invalid("a file without keys")
    return keys


def _keys_invalid(found: str) -> ParametersRejected:
    expected = "NAME KEY on each line"
    remedy = "write a line for each client, e.g. with `openssl rand -hex 16` as its key"
    return ParametersRejected("KEYS_INVALID", found, expected, remedy)


class AccessGuard:
    """An ASGI layer that passes on the requests of known clients and answers all others."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app = app
        self._access = settings.access
        self._hosts = settings.hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with the name of its client, or refuse it."""
        if scope["type"] == "lifespan" or scope.get("path") in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        try:
            identity = self._identity(scope, headers)
        except GateRefused as error:
            scope["state"]["facts"]["code"] = error.code
            await problem(error, scope["state"]["request_id"])(scope, receive, send)
            return
        scope["state"]["identity"] = identity
        await self._app(scope, receive, send)

    def _identity(self, scope: Scope, headers: Headers) -> str:
        _require_own_page(headers)
        identity = _named_by_proxy(self._access, scope, headers) or _named_by_key(self._access, headers)
        if identity:
            return identity
        if self._access.without_keys:
            self._require_own_host(headers)
            return "anybody"
        given = _keys_in(headers)
        raise GateRefused(
            "KEY_WRONG" if given else "KEY_MISSING",
            found="a key that no client has" if given else "a request without a key",
            expected="the key of a client of this service",
            remedy="send the header Authorization: Bearer KEY with the key that the service's operator gave you",
        )

    def _require_own_host(self, headers: Headers) -> None:
        """Without keys, DNS rebinding would let any page of a browser on this machine use the service."""
        host = headers.get("host", "").lower()
        name = host if host in self._hosts else host.rpartition(":")[0]
        if name not in self._hosts:
            expected, remedy = "an address of this machine", "use http://127.0.0.1, or start the service with keys"
            raise GateRefused("HOST_REFUSED", "another Host header", expected, remedy)


def _require_own_page(headers: Headers) -> None:
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    if origin == "null":  # also of our own pages' forms, because these pages send no referrer
        own = site == "same-origin"
    elif origin is not None:
        own = urlsplit(origin).netloc == headers.get("host", "") != ""
    else:
        own = site in ("none", "same-origin") or headers.get("sec-fetch-mode") == "navigate"
    if not own:
        found, remedy = "a request that a page of another origin made", "use the pages of this service"
        raise GateRefused("ORIGIN_REFUSED", found, "a request of its own pages or of a program", remedy)


def _named_by_proxy(access: Access, scope: Scope, headers: Headers) -> str:
    """The person that a trusted proxy names; "" if no proxy does."""
    given = headers.getlist(access.identity_header) if access.identity_header else []
    peer = scope.get("client")
    if len(given) != 1 or not peer:
        return ""
    try:
        address = ipaddress.ip_address(peer[0])
    except ValueError:
        return ""
    trusted = any(address in network for network in access.trusted_proxies)
    return given[0].strip()[:200] if trusted and given[0].isprintable() else ""


def _named_by_key(access: Access, headers: Headers) -> str:
    """The name of the client with the given key; "" if no key fits. Every key is compared, in constant time."""
    found = ""
    for given in _keys_in(headers):
        for name, key in access.keys.items():
            if hmac.compare_digest(given, key.encode()):
                found = name
    return found


def _keys_in(headers: Headers) -> list[bytes]:
    kind, _, value = headers.get("authorization", "").partition(" ")
    given = [headers.get("x-api-key", "").encode()]
    if kind.lower() == "bearer":
        given.append(value.strip().encode())
    elif kind.lower() == "basic":
        try:
            given.append(base64.b64decode(value, validate=True).partition(b":")[2])
        except (binascii.Error, ValueError):
            given.append(b"?")
    return [key for key in given if key]

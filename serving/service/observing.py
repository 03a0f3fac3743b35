"""The outermost layer of the service: gives a request its id, counts and logs it, and answers unexpected errors.

Contract: a request is logged once, when it has ended, by its route and not by its address. An unexpected error is
logged with its class and the place in the code, without its text.
"""

import logging
import secrets
import time
import traceback
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.service.metrics import ServiceMetrics
from serving.service.pool import ClientGoneError
from serving.service.problems import unexpected

REQUEST_ID_HEADER = "Plumbline-Request"
_PROBES = ("/healthz", "/readyz", "/metrics")
"""Routes that machines ask every few seconds; the log has their failures only."""
_log = logging.getLogger("plumbline.service")


class Observed:
    """An ASGI layer around all others."""

    def __init__(self, app: ASGIApp, metrics: ServiceMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and log how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"], state["facts"] = secrets.token_hex(8), {}
        began, status = time.monotonic(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = state["request_id"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ClientGoneError:
            status = 499  # nginx's status for a client that did not wait
        except Exception as error:
            _log.error("unexpected error", extra={"fields": {"request": state["request_id"], **place_of(error)}})
            if not status:
                await unexpected(state["request_id"])(scope, receive, sending)
            status = 500
        self._note(scope, status, time.monotonic() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        state, route = scope["state"], route_of(scope)
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        if "code" in state["facts"]:
            self._metrics.refusals.labels(state["facts"]["code"]).inc()
        if route in _PROBES and status < 400:
            return
        fields = {"request": state["request_id"], "client": state.get("identity"), "route": route, "status": status}
        _log.info("request", extra={"fields": fields | {"seconds": round(seconds, 3)} | state["facts"]})


def route_of(scope: Scope) -> str:
    """The route's path, e.g. ``/correction/{study}``; never the address itself, which may name a patient."""
    route = scope.get("route")
    return str(getattr(route, "path", "")) or "none"


def place_of(error: BaseException) -> dict[str, Any]:
    """The class of an error and the places in the code that it passed, without its text."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return {"error": type(error).__name__, "places": [f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in frames]}

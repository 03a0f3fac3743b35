"""The limits on the body of a request: its size, counted as the bytes arrive, and the time until it is complete.

Contract: a body is refused when its length is announced, or as soon as the limit is passed, and never kept. After a
refusal the rest is read and dropped for a moment, because a client that still writes would not see the answer.
"""

import asyncio
import json
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.service.problems import problem
from serving.service.settings import Limits
from spine.errors import InputRejected

DEEPEST_JSON = 32
"""Levels of arrays and objects in a JSON body."""
_DROP_S = 1.0


class BodyLimits:
    """An ASGI layer that limits the body of every request."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a body that raises ``InputRejected`` at the limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_json = headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
        most = min(self._limits.json_bytes, self._limits.body_bytes) if is_json else self._limits.body_bytes
        body = _LimitedBody(receive, most, self._limits.body_s)
        body.complete = "content-length" not in headers and "transfer-encoding" not in headers
        sending = _Answer(send, body)
        announced = headers.get("content-length", "0")
        try:
            if not announced.isdigit() or int(announced[:19]) > most:
                raise too_large(most)
            await self._app(scope, body, sending)
        except InputRejected as error:
            if sending.started:
                raise
            scope["state"]["facts"]["code"] = error.code
            await problem(error, scope["state"]["request_id"])(scope, receive, sending)


class _Answer:
    """``send`` of a request. If the body is not complete, the connection is closed after the answer."""

    def __init__(self, send: Send, body: "_LimitedBody") -> None:
        self._send, self._body = send, body
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if not self._body.complete:
                MutableHeaders(scope=message)["Connection"] = "close"
        elif not message.get("more_body", False) and not self._body.complete:
            await self._send({**message, "more_body": True})
            await self._body.drop()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)


class _LimitedBody:
    """``receive`` of a request, with the limits."""

    def __init__(self, receive: Receive, most: int, seconds: float) -> None:
        self._receive, self._most, self._seconds = receive, most, seconds
        self._read, self.complete = 0, False
        self._until: float | None = None

    async def __call__(self) -> Message:
        if self.complete:
            return await self._receive()
        loop = asyncio.get_running_loop()
        self._until = self._until or loop.time() + self._seconds
        try:
            message = await asyncio.wait_for(self._receive(), self._until - loop.time())
        except TimeoutError:
            raise too_slow(self._seconds) from None
        self._read += len(message.get("body", b""))
        if self._read > self._most:
            raise too_large(self._most)
        self.complete = not message.get("more_body", False)
        return message

    async def drop(self) -> None:
        """Read and drop what arrives within a moment."""

        async def dropping() -> None:
            while (message := await self._receive())["type"] == "http.request" and message.get("more_body", False):
                pass

        with suppress(TimeoutError):
            await asyncio.wait_for(dropping(), _DROP_S)


def too_large(most: int) -> InputRejected:
    """The error for a body above the limit."""
    expected = f"at most {most} bytes"
    return InputRejected("BODY_TOO_LARGE", "a larger body", expected, "send the radiographs of one study only")


def too_slow(seconds: float) -> InputRejected:
    """The error for a body that does not arrive."""
    found, expected = f"a body that is not complete after {seconds:g} s", "a complete body within this time"
    return InputRejected("BODY_TOO_SLOW", found, expected, "send the request again over a better connection")


async def json_body(request: Request) -> Any:
    """The body of a request as JSON values.

    Raises:
        InputRejected: ``JSON_INVALID``, also for a body that is nested too deeply; ``TYPE_UNSUPPORTED``.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        expected, remedy = "application/json", "send the request as JSON"
        raise InputRejected("TYPE_UNSUPPORTED", "another content type", expected, remedy)
    try:
        value = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise _json_invalid(f"a body that is not JSON ({type(error).__name__})") from None
    _require_shallow(value)
    return value


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST_JSON):
        inner = [v for each in level for v in (each.values() if isinstance(each, dict) else each)]
        level = [each for each in inner if isinstance(each, dict | list)] if inner else []
        if not level:
            return
    raise _json_invalid(f"JSON with more than {DEEPEST_JSON} levels")


def _json_invalid(found: str) -> InputRejected:
    return InputRejected("JSON_INVALID", found, f"JSON with at most {DEEPEST_JSON} levels", "see /openapi.json")


async def gone(request: Request) -> None:
    """Return when the client has closed the connection; the body must be complete."""
    with suppress(ClientDisconnect):
        while (await request.receive())["type"] != "http.disconnect":
            pass

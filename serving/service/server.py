"""Runs the service with uvicorn in this process until SIGTERM or SIGINT.

Contract: a connection whose headers do not arrive in time is closed. At a signal no more connections are accepted, and
running requests are finished.
"""

import asyncio
import signal
import socket
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.service.logs import log_as_json_lines
from serving.service.settings import Limits
from spine.errors import ParametersRejected

_MORE_CONNECTIONS = 64
"""Connections beside those of requests with a place: health checks, pages, refused requests."""


def serve_until_stopped(app: FastAPI, listening: socket.socket, limits: Limits) -> None:
    """Serve until the process is told to stop. It must run in the main thread."""
    log_as_json_lines()
    # The command's own rule for SIGTERM, to end within seconds in any case, must not end running requests.
    signal.set_wakeup_fd(-1)
    make_server(app, limits).run(sockets=[listening])


def make_server(app: FastAPI, limits: Limits) -> uvicorn.Server:
    """The server, which ends when ``should_exit`` is set, or at a signal in the main thread."""
    config = uvicorn.Config(
        app,
        http=_protocol(limits.header_s),
        loop="asyncio",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # The address of a client must not come from a header, because a trusted proxy is known by it.
        proxy_headers=False,
        limit_concurrency=limits.workers + limits.queue + _MORE_CONNECTIONS,
        timeout_keep_alive=int(limits.header_s),
        timeout_graceful_shutdown=int(limits.stop_s),
    )
    return _Server(config)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ParametersRejected: ``ADDRESS_UNUSABLE``: it is in use, or it is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=256, reuse_port=False)
    except OSError as error:
        found = f"port {port}: {error.strerror or type(error).__name__}"
        remedy = "name another port with --port, or another address with --host"
        raise ParametersRejected("ADDRESS_UNUSABLE", found, "a free port of this machine", remedy) from error
    listening.set_inheritable(True)
    return listening


class _Server(uvicorn.Server):
    """Ends without raising the signal again, so that a stop that was asked for is exit code 0."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def _protocol(header_s: float) -> type[asyncio.Protocol]:
    class TimedProtocol(H11Protocol):
        """uvicorn's protocol, which by itself waits for ever for the first headers of a connection."""

        _headers_due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._headers_due = self.loop.call_later(header_s, transport.close)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            requested = self.cycle is not None and not self.cycle.response_complete
            if requested and self._headers_due is not None:
                self._headers_due.cancel()
                self._headers_due = None
            elif not requested and self._headers_due is None and not self.transport.is_closing():
                self._headers_due = self.loop.call_later(header_s, self.transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._headers_due is not None:
                self._headers_due.cancel()
            super().connection_lost(exc)

    return TimedProtocol

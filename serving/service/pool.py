"""The bounded queue in front of the threads that measure.

Contract: a request takes a place before its body is read, and has it until its work has ended. With all places taken,
the next request is refused at once. A request that waits too long is refused, and its place is free when its work ends,
because a thread cannot be stopped. All methods but the work itself run in the thread of the event loop.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from serving.service.settings import Limits
from spine.errors import GateRefused

Result = TypeVar("Result")


class ClientGoneError(Exception):
    """The client closed the connection before its answer was ready."""


class MeasuringPool:
    """Threads that measure, and the places of the requests that wait for them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.workers, thread_name_prefix="measuring")
        self.taken = 0
        """Requests that have a place: those that are measured, that wait, or whose body arrives."""
        self.running = 0
        self.seconds = 1.0
        """A running average of the time that one request keeps a worker busy."""

    @property
    def idle(self) -> bool:
        """Whether no request has a place."""
        return self.taken == 0

    @asynccontextmanager
    async def place(self) -> "AsyncIterator[Place]":
        """A place in the queue until the block and its work have ended.

        Raises:
            GateRefused: ``SERVICE_BUSY``.
        """
        if self.taken >= self._limits.workers + self._limits.queue:
            raise self._busy()
        place = Place(self, self._limits.request_s)
        self.taken += 1
        try:
            yield place
        finally:
            place.leave()

    def retry_after(self) -> int:
        """Seconds after which a place is probably free."""
        return max(1, math.ceil(self.seconds * self.taken / (2 * self._limits.workers)))

    def submit(self, work: Callable[[], Result]) -> "Future[Result]":
        """Have ``work`` done by the next free thread."""
        return self._threads.submit(self._timed, work)

    def close(self) -> None:
        """Start no more work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _timed(self, work: Callable[[], Result]) -> Result:
        self.running += 1
        began = time.monotonic()
        try:
            return work()
        finally:
            self.running -= 1
            self.seconds += 0.1 * (time.monotonic() - began - self.seconds)

    def _busy(self) -> GateRefused:
        return GateRefused(
            "SERVICE_BUSY",
            found=f"{self.taken} requests that are measured or wait",
            expected=f"at most {self._limits.workers + self._limits.queue}",
            remedy=f"send the request again in {self.retry_after()} s",
        )


class Place:
    """The place of one request."""

    def __init__(self, pool: MeasuringPool, limit_s: float) -> None:
        self._pool = pool
        self._limit_s = limit_s
        self._future: Future[Any] | None = None

    async def run(self, work: Callable[[], Result], gone: Callable[[], Awaitable[None]]) -> Result:
        """The result of ``work``, which a thread of the pool does.

        Args:
            gone: waits until the client has closed the connection.

        Raises:
            GateRefused: ``TIME_LIMIT``.
            ClientGoneError: the client did not wait.
        """
        future = self._pool.submit(work)
        self._future = future
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting any more
        client = asyncio.ensure_future(gone())
        both: set[asyncio.Future[Any]] = {waiting, client}
        try:
            done, _ = await asyncio.wait(both, timeout=self._limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            client.cancel()
        if waiting in done:
            return waiting.result()
        future.cancel()
        if client in done:
            raise ClientGoneError
        raise GateRefused(
            "TIME_LIMIT",
            found=f"no result after {self._limit_s:g} s",
            expected="a result within this time",
            remedy="send the request again when the service has less work",
        )

    def leave(self) -> None:
        """Give the place back, now or when the work has ended."""
        if self._future is None or self._future.done():
            self._free()
            return
        loop = asyncio.get_running_loop()
        self._future.add_done_callback(lambda _: loop.is_closed() or loop.call_soon_threadsafe(self._free))

    def _free(self) -> None:
        self._pool.taken -= 1

"""The clients of the service's benchmark: many at a time, bodies of a gigabyte, and clients that are slow."""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import repeat

import httpx
import psutil

GIGABYTE = 1_000_000_000


@dataclass(frozen=True)
class Asked:
    """One answered request: when it began, how long it took, its status (0 without an answer) and its model."""

    at: float
    seconds: float
    status: int
    model: str


@dataclass
class Load:
    """Clients that send the same study again and again.

    Attributes:
        address: of the service.
        key: of the client.
        files: view -> the DICOM file.
    """

    address: str
    key: str
    files: Mapping[str, bytes]
    asked: list[Asked] = field(default_factory=list)

    def send(self, requests: int, parallel: int) -> None:
        """Send the requests; each client has a connection of its own, and sends again after 503."""
        waiting: Iterator[None] = iter(repeat(None, requests))
        with ThreadPoolExecutor(parallel) as threads:
            for done in [threads.submit(self._client, waiting) for _ in range(parallel)]:
                done.result()

    def _client(self, waiting: Iterator[None]) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx.Client(base_url=self.address, headers=headers, timeout=180) as client:
            for _ in waiting:
                while self._ask(client).status == 503:
                    time.sleep(1.0)

    def _ask(self, client: httpx.Client) -> Asked:
        began = time.monotonic()
        try:
            answer = client.post("/measure", files={view: (view, each) for view, each in self.files.items()})
            status, model = answer.status_code, answer.headers.get("plumbline-model", "")
        except httpx.TransportError:
            status, model = 0, ""
        asked = Asked(began, time.monotonic() - began, status, model)
        self.asked.append(asked)
        return asked


@dataclass
class Memory:
    """The memory of a process and its children, in MB, taken every second until ``stop`` is set."""

    process: psutil.Process
    samples: list[float] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.stop.wait(1.0):
            self.samples.append(self.now())

    def now(self) -> float:
        return sum(each.memory_info().rss for each in [self.process, *self.process.children(recursive=True)]) / 1e6


def send_gigabyte(port: int, key: str, *, chunked: bool) -> tuple[str, float, int]:
    """The status line of the answer to a body of a gigabyte, the seconds until it, and the bytes that were sent."""
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {GIGABYTE}"
    head = f"POST /measure HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n{length}\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    begin = b'--x\r\nContent-Disposition: form-data; name="frontal"; filename="a"\r\n\r\n'
    piece = b"0" * (1 << 20)
    first, more = (b"%x\r\n%s\r\n" % (len(each), each) if chunked else each for each in (begin, piece))
    began, sent = time.monotonic(), 0
    with closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as connection:
        connection.sendall(head.encode() + first)
        connection.setblocking(False)
        while sent < GIGABYTE:
            try:
                answer = connection.recv(4096)
                return answer.split(b"\r\n")[0].decode(), time.monotonic() - began, sent
            except BlockingIOError:
                connection.setblocking(True)
                connection.sendall(more)
                connection.setblocking(False)
                sent += len(piece)
    return "the whole body was read", time.monotonic() - began, sent


def be_slow(port: int, key: str) -> float:
    """Send a body of one byte every half second; the seconds until the connection is closed."""
    head = f"POST /measure HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nContent-Length: 100000\r\n"
    began = time.monotonic()
    with closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as connection:
        part = b'--x\r\nContent-Disposition: form-data; name="frontal"; filename="a"\r\n\r\n'
        connection.sendall(head.encode() + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + part)
        try:
            while time.monotonic() - began < 60:
                connection.sendall(b"-")
                time.sleep(0.5)
        except OSError:
            pass
    return time.monotonic() - began

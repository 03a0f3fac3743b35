"""Decoding in a child process: a decoder that crashes, eats memory or never ends takes nobody with it.

Contract: one child a process, started on the first compressed image and used again; its memory is bounded by an
address space limit that follows the image's size, its time by a timeout; when it dies the image is refused, the
next one gets a new child.

Protocol, both ways: 8 bytes little endian length, then that many bytes. A request is a JSON header, a zero
byte and the file; an answer is a JSON header, a zero byte and the pixels.
"""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from spine.errors import DicomRejected
from spine.radiograph.header import PixelLayout
from spine.radiograph.tags import refuse

TIMEOUT_S = 60.0
_LENGTH_BYTES = 8


class _Child:
    """One decoding process."""

    def __init__(self) -> None:
        environment = {k: v for k, v in os.environ.items() if k in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from spine.radiograph.decode_child import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: bytes, timeout_s: float) -> bytes | None:
        """The answer, or None when the child died or was ended for taking too long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(timeout_s, self._process.kill)
        timer.start()
        try:
            write_message(self._process.stdin, request)
            return read_message(self._process.stdout)
        except BrokenPipeError:
            return None
        finally:
            timer.cancel()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                # Closing flushes; the rest of a request the child did not live to read cannot be sent.
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


class _Keeper:
    """The process's one child, shared by its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._owner = 0

    def ask(self, request: bytes, timeout_s: float) -> bytes | None:
        with self._lock:
            if self._child is None or self._owner != os.getpid() or not self._child.is_alive:
                # A forked process must not share its parent's pipes.
                self._child, self._owner = _Child(), os.getpid()
                atexit.register(self._child.end)
            answer = self._child.ask(request, timeout_s)
            if answer is None:
                atexit.unregister(self._child.end)
                self._child.end()
                self._child = None
            return answer


_KEEPER = _Keeper()


def write_message(stream: IO[bytes], message: bytes) -> None:
    """Send one message."""
    stream.write(len(message).to_bytes(_LENGTH_BYTES, "little"))
    stream.write(message)
    stream.flush()


def read_message(stream: IO[bytes]) -> bytes | None:
    """Receive one message; None at the end of the stream."""
    head = stream.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "little")
    body = stream.read(length)
    return body if len(body) == length else None


def decode_in_child(
    payload: bytes, layout: PixelLayout, decoders: tuple[str, ...], timeout_s: float = TIMEOUT_S
) -> NDArray[np.generic]:
    """Decode one checked file: (H, W) or (H, W, 3) integers.

    Raises:
        DicomRejected: ``DECODE_FAILED``, ``DECODE_KILLED`` (memory, crash or timeout), ``CODESTREAM_MISMATCH``.
    """
    pixels = layout.shape[0] * layout.shape[1] * layout.samples
    header = json.dumps({"pixels": pixels, "decoders": decoders}).encode()
    answer = _KEEPER.ask(header + b"\0" + payload, timeout_s)
    if answer is None:
        refuse("DECODE_KILLED", "pixels whose decoder died or ran too long", "pixels", "have the file examined")
    head, _, body = answer.partition(b"\0")
    result: dict[str, Any] = json.loads(head)
    if "error" in result:
        refuse("DECODE_FAILED", f"pixels that do not decode ({result['error']})", "pixels", "export the image again")
    shape = tuple(result["shape"])
    if shape != layout.shape + ((3,) if layout.samples == 3 else ()):
        raise DicomRejected(
            "CODESTREAM_MISMATCH", found=f"decoded {shape}", expected=f"{layout.shape}", remedy="export the image again"
        )
    return np.frombuffer(body, dtype=np.dtype(result["dtype"])).reshape(shape)

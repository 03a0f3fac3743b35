"""Decoding in a child process: if a decoder crashes, uses too much memory or never ends, only one image is lost.

Contract: each process has at most one child, which starts with the first compressed image and is used again. A limit on
the address space, which depends on the size of the image, bounds its memory. A timeout bounds its time. If the child
dies, the image is refused and the next image gets a new child.

Protocol, both ways: 8 bytes little endian length, then that many bytes. A request is a JSON header, a zero byte and the
file; an answer is a JSON header, a zero byte and the pixels.
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
from spine.radiograph.tags import EXPORT_AGAIN

TIMEOUT_S = 60.0
_LENGTH_BYTES = 8


class _DecoderProcess:
    """One child process."""

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

    def answer(self, request: bytes, timeout_s: float) -> bytes | None:
        """The answer, or None when the child died or exceeded the timeout and was killed."""
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
                # Closing flushes, and the rest of a request cannot be sent to a dead child.
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


class _SharedDecoder:
    """The one child of this process, which all threads share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: _DecoderProcess | None = None
        self._owner = 0

    def answer(self, request: bytes, timeout_s: float) -> bytes | None:
        with self._lock:
            if self._child is None or self._owner != os.getpid() or not self._child.is_alive:
                # A forked process must not share its parent's pipes.
                self._child, self._owner = _DecoderProcess(), os.getpid()
                atexit.register(self._child.end)
            answer = self._child.answer(request, timeout_s)
            if answer is None:
                atexit.unregister(self._child.end)
                self._child.end()
                self._child = None
            return answer


_DECODER = _SharedDecoder()


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

    Args:
        payload: the bytes of the file.
        layout: the pixel layout that its header claims.
        decoders: names as in ``decoders.Syntax``, in the order to try.
        timeout_s: seconds after which the child is killed.

    Raises:
        DicomRejected: ``DECODE_FAILED``, ``DECODER_KILLED`` (memory, crash or timeout), ``CODESTREAM_MISMATCH``.
    """
    pixels = layout.shape[0] * layout.shape[1] * layout.samples
    header = json.dumps({"pixels": pixels, "decoders": decoders}).encode()
    answer = _DECODER.answer(header + b"\0" + payload, timeout_s)
    if answer is None:
        found = "pixels whose decoder crashed, ran out of memory or took too long"
        raise DicomRejected("DECODER_KILLED", found=found, expected="pixels that decode", remedy=EXPORT_AGAIN)
    head, _, body = answer.partition(b"\0")
    result: dict[str, Any] = json.loads(head)
    if "error" in result:
        found = f"pixels that do not decode ({result['error']})"
        raise DicomRejected("DECODE_FAILED", found=found, expected="pixels that decode", remedy=EXPORT_AGAIN)
    shape = tuple(result["shape"])
    if shape != layout.shape + ((3,) if layout.samples == 3 else ()):
        found = f"decoded pixels of shape {shape}"
        raise DicomRejected("CODESTREAM_MISMATCH", found=found, expected=f"{layout.shape}", remedy=EXPORT_AGAIN)
    return np.frombuffer(body, dtype=np.dtype(result["dtype"])).reshape(shape)

"""Decodes images in a child process, so that a decoder that crashes or never ends affects only one image.

Contract: each process has at most one child, which is started for the first compressed image and is used for all later
images. The child has a limit on its address space, which depends on the size of the image, and a timeout. If the child
dies, the image is refused and the next image gets a new child.

Protocol in both directions: a message is its length as 8 bytes (little endian), followed by its bytes. A request is two
messages, a JSON header and the file. A reply is two messages, a JSON header and the pixels. The child sends one empty
message when it is ready.
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

START_TIMEOUT_S = 60.0
"""For the start of the child, which imports its libraries."""
TIMEOUT_S = 8.0
TIMEOUT_S_PER_SAMPLE = 1e-6
"""For decoding. JPEG 2000, the slowest, takes 0.13 microseconds a sample of a noisy image."""
_LENGTH_BYTES = 8


class _Decoder:
    """The one child of this process, which all threads share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = 0

    @property
    def pid(self) -> int | None:
        """Process id of the child, or None before the first compressed image."""
        return self._child.pid if self._child is not None else None

    def reply(self, request: tuple[bytes, bytes], timeout_s: float) -> list[bytes] | None:
        """The reply to a request, or None if the child died or was killed at the timeout."""
        with self._lock:
            if self._child is None or self._owner != os.getpid() or self._child.poll() is not None:
                # A forked process must not share its parent's pipes.
                self._child, self._owner = _start(), os.getpid()
                atexit.register(_end, self._child)
                _exchange(self._child, (), START_TIMEOUT_S, replies=1)
            reply = _exchange(self._child, request, timeout_s)
            if reply is None:
                _end(self._child)
                self._child = None
            return reply


def _start() -> subprocess.Popen[bytes]:
    environment = {k: v for k, v in os.environ.items() if k in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME")}
    return subprocess.Popen(
        [sys.executable, "-c", "from spine.radiograph.decode_child import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )


def _exchange(
    child: subprocess.Popen[bytes], request: tuple[bytes, ...], timeout_s: float, replies: int = 2
) -> list[bytes] | None:
    assert child.stdin is not None
    assert child.stdout is not None
    timer = threading.Timer(timeout_s, child.kill)
    timer.start()
    try:
        for part in request:
            write_message(child.stdin, part)
        received = [message for _ in range(replies) if (message := read_message(child.stdout)) is not None]
        return received if len(received) == replies else None
    except BrokenPipeError:
        return None
    finally:
        timer.cancel()


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    # Leaving the block closes the pipes. The rest of a request cannot be sent to a dead child.
    with contextlib.suppress(BrokenPipeError), child:
        pass


_DECODER = _Decoder()


def child_pid() -> int | None:
    """Process id of the child of this process, for measurements of its memory; None without a child."""
    return _DECODER.pid


def write_message(stream: IO[bytes], message: bytes | memoryview) -> None:
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
    """(H, W) integers of one checked file, from the first of the ``decoders`` that can decode the file.

    Raises:
        DicomRejected: ``DECODE_FAILED``, ``DECODER_KILLED`` (memory, crash or timeout), ``CODESTREAM_MISMATCH``.
    """
    samples = layout.shape[0] * layout.shape[1] * layout.samples
    order = json.dumps({"samples": samples, "decoders": decoders}).encode()
    reply = _DECODER.reply((order, payload), timeout_s + TIMEOUT_S_PER_SAMPLE * samples)
    if reply is None:
        found = "pixels whose decoder crashed, ran out of memory or took too long"
        raise DicomRejected("DECODER_KILLED", found, "pixels that can be decoded", EXPORT_AGAIN)
    result: dict[str, Any] = json.loads(reply[0])
    if "error" in result:
        found = f"pixels that cannot be decoded ({result['error']})"
        raise DicomRejected("DECODE_FAILED", found, "pixels that can be decoded", EXPORT_AGAIN)
    shape = tuple(result["shape"])
    if shape != layout.shape:
        raise DicomRejected("CODESTREAM_MISMATCH", f"decoded pixels of shape {shape}", f"{layout.shape}", EXPORT_AGAIN)
    return np.frombuffer(reply[1], dtype=np.dtype(result["dtype"])).reshape(shape)

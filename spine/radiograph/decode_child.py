"""The child process that decodes compressed pixels; ``sandbox`` starts it and describes the protocol.

Contract: the process reads requests until its input ends. It replies to each request with pixels or the name of an
error. It never sends the text of an error, which may quote the file.
"""

import io
import json
import os
import resource
import sys
import warnings
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.pixels.utils import pixel_array

from spine.radiograph.sandbox import read_message, write_message

BASE_BYTES = 1536 * 2**20
BYTES_PER_PIXEL = 24
"""Address space of the interpreter with its libraries, and of openjpeg per pixel (32 bits a sample, several planes)."""


def main() -> None:
    """Reply to requests on the standard input until it ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while (request := read_message(sys.stdin.buffer)) is not None:
        write_message(sys.stdout.buffer, _reply(request))


def _reply(request: bytes) -> bytes:
    head, _, payload = request.partition(b"\0")
    order: dict[str, Any] = json.loads(head)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = BASE_BYTES + BYTES_PER_PIXEL * int(order["pixels"])
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    try:
        return _decoded(payload, order["decoders"])
    except Exception as error:
        # A decoder may raise anything. Without a reply the parent would wait until the timeout.
        return json.dumps({"error": type(error).__name__}).encode() + b"\0"


def _by_gdcm(payload: bytes, dataset: Any) -> Any:
    """(H, W) grey pixels from gdcm's file reader. The reader needs a path, which leads to a file in memory."""
    import gdcm  # an optional decoder

    handle = os.memfd_create("radiograph")
    try:
        with os.fdopen(os.dup(handle), "wb") as stream:
            stream.write(payload)
        reader = gdcm.ImageReader()
        reader.SetFileName(f"/proc/self/fd/{handle}")
        if not reader.Read() or dataset.SamplesPerPixel != 1:
            raise ValueError("not read")
        buffer = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    finally:
        os.close(handle)
    kind = f"<{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}"
    return np.frombuffer(buffer, dtype=kind).reshape(dataset.Rows, dataset.Columns)


def _decoded(payload: bytes, decoders: list[str]) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(io.BytesIO(payload))
        for position, decoder in enumerate(decoders):
            try:
                if decoder == "gdcm-file":
                    pixels = _by_gdcm(payload, dataset)
                else:
                    pixels = np.ascontiguousarray(pixel_array(dataset, decoding_plugin=decoder))
                break
            except Exception:
                if position == len(decoders) - 1:
                    raise
    header = json.dumps({"shape": pixels.shape, "dtype": pixels.dtype.str})
    body: bytes = pixels.tobytes()
    return header.encode() + b"\0" + body

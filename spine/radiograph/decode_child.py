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
from pydicom.pixels.decoders.base import get_decoder

from spine.radiograph.pixel_grid import grey_of
from spine.radiograph.sandbox import read_message, write_message

BASE_BYTES = 512 * 2**20
BYTES_PER_SAMPLE = 12
BYTES_PER_FILE_BYTE = 4
"""Bounds of the address space: for the interpreter with its libraries (200 MiB), for each sample (openjpeg has 4 bytes,
gdcm 8, the result 2), and for the copies of the file that pydicom and gdcm make. ``benchmarks.radiograph_memory``
measures at most 991 MiB for 60 million pixels, of which 506 MB are in use."""


def main() -> None:
    """Reply to requests on the standard input until it ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    write_message(sys.stdout.buffer, b"")
    while (request := read_message(sys.stdin.buffer)) is not None:
        payload = read_message(sys.stdin.buffer)
        if payload is None:
            break
        header, pixels = _reply(json.loads(request), payload)
        write_message(sys.stdout.buffer, json.dumps(header).encode())
        write_message(sys.stdout.buffer, memoryview(pixels).cast("B"))


def _reply(order: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], Any]:
    """(header, contiguous pixels); after an error the pixels are empty."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = BASE_BYTES + BYTES_PER_SAMPLE * int(order["samples"]) + BYTES_PER_FILE_BYTE * len(payload)
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    try:
        pixels = _decoded(payload, order["decoders"])
        return {"shape": pixels.shape, "dtype": pixels.dtype.str}, pixels
    except Exception as error:
        # A decoder may raise anything. Without a reply the parent would wait until the timeout.
        return {"error": type(error).__name__}, b""


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


def _decoded(payload: bytes, decoders: list[str]) -> Any:
    """(H, W) grey pixels from the first decoder that can decode the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(io.BytesIO(payload))
        for position, decoder in enumerate(decoders):
            try:
                if decoder == "gdcm-file":
                    return _by_gdcm(payload, dataset)
                return _by_plugin(dataset, decoder)
            except Exception:
                if position == len(decoders) - 1:
                    raise
    raise ValueError("no decoder")


def _by_plugin(dataset: Any, plugin: str) -> Any:
    # Without conversion to RGB, which would need 48 bytes a pixel in order to get the luma back.
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    pixels, properties = decoder.as_array(dataset, raw=True, decoding_plugin=plugin)
    if pixels.ndim == 3:
        return grey_of(pixels, str(properties["photometric_interpretation"]))
    return np.ascontiguousarray(pixels)

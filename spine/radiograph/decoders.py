"""Which transfer syntaxes are read, by which decoder, and the way from encoded to stored values.

Uncompressed pixels are read here, in process. Compressed ones are checked here (size named by the codestream
against size named by the header) and decoded in a child process with bounded memory and time (``sandbox``),
because image decoders are where malformed files do their harm. Every decoder has a permissive licence: gdcm
(BSD), openjpeg through pylibjpeg-openjpeg (BSD/MIT), Pillow (HPND), pydicom's RLE (MIT). pylibjpeg-libjpeg is
GPL and is not used even where it is installed.

Contract: ``stored_values`` gives integers of the header's shape or a named refusal.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spine.errors import DicomRejected
from spine.radiograph.header import PixelLayout
from spine.radiograph.tags import refuse

Stored = NDArray[np.generic]


@dataclass(frozen=True)
class Syntax:
    """A transfer syntax.

    Attributes:
        name: for people.
        decoders: pydicom's plug-in names in the order tried; empty for uncompressed pixels. ``gdcm-file`` is gdcm
            by its own reader: pydicom does not let it near 12-bit JPEG, which it decodes well.
    """

    name: str
    decoders: tuple[str, ...] = ()


_J = "1.2.840.10008.1.2.4."
SYNTAXES: Mapping[str, Syntax] = {
    "1.2.840.10008.1.2": Syntax("Implicit VR Little Endian"),
    "1.2.840.10008.1.2.1": Syntax("Explicit VR Little Endian"),
    "1.2.840.10008.1.2.1.99": Syntax("Deflated Explicit VR Little Endian"),
    "1.2.840.10008.1.2.2": Syntax("Explicit VR Big Endian"),
    "1.2.840.10008.1.2.5": Syntax("RLE Lossless", ("pydicom",)),
    _J + "50": Syntax("JPEG Baseline 8 bit", ("pillow", "gdcm")),
    _J + "51": Syntax("JPEG Extended 12 bit", ("gdcm-file",)),
    _J + "57": Syntax("JPEG Lossless P14", ("gdcm",)),
    _J + "70": Syntax("JPEG Lossless SV1", ("gdcm",)),
    _J + "80": Syntax("JPEG-LS Lossless", ("gdcm",)),
    _J + "81": Syntax("JPEG-LS Near-lossless", ("gdcm",)),
    _J + "90": Syntax("JPEG 2000 Lossless", ("pylibjpeg", "gdcm", "pillow")),
    _J + "91": Syntax("JPEG 2000", ("pylibjpeg", "gdcm", "pillow")),
    _J + "201": Syntax("HTJ2K Lossless", ("pylibjpeg",)),
    _J + "202": Syntax("HTJ2K Lossless RPCL", ("pylibjpeg",)),
    _J + "203": Syntax("HTJ2K", ("pylibjpeg",)),
}
_MODULES = {"pydicom": "pydicom", "pillow": "PIL", "gdcm": "gdcm", "gdcm-file": "gdcm", "pylibjpeg": "openjpeg"}
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}


def installed_decoders(uid: str) -> tuple[str, ...]:
    """Decoders of a compressed transfer syntax that are installed, in the order tried."""
    return tuple(d for d in SYNTAXES[uid].decoders if find_spec(_MODULES[d]) is not None)


def decoder_matrix() -> tuple[tuple[str, str, str], ...]:
    """(name, UID, what decodes it here) of every transfer syntax known."""
    return tuple((s.name, uid, _how(uid)) for uid, s in SYNTAXES.items())


def format_decoder_matrix() -> str:
    """The matrix as a table for a terminal."""
    rows = (("transfer syntax", "uid", "decoder"), *decoder_matrix())
    return "\n".join(f"{name:38}{uid:28}{how}" for name, uid, how in rows)


def _how(uid: str) -> str:
    if not SYNTAXES[uid].decoders:
        return "in process"
    return ", ".join(installed_decoders(uid)) or "none installed"


def stored_values(dataset: Any, layout: PixelLayout, payload: bytes) -> Stored:
    """(H, W) or (H, W, 3) integers as stored, bits above BitsStored cleared, sign extended.

    Args:
        dataset: the parsed pydicom data set.
        layout: its pixel description.
        payload: the file's bytes, for the child process.

    Raises:
        DicomRejected: ``TRANSFER_SYNTAX_UNSUPPORTED``, ``DECODER_MISSING``, ``TRUNCATED``,
            ``CODESTREAM_MISMATCH``, ``DECODE_FAILED``, ``DECODE_KILLED``, ``DECODE_TIMEOUT``.
    """
    syntax = SYNTAXES.get(layout.transfer_syntax)
    if syntax is None:
        expected = "one of " + ", ".join(s.name for s in SYNTAXES.values())
        refuse("TRANSFER_SYNTAX_UNSUPPORTED", "another transfer syntax", expected, "convert the image")
    if not syntax.decoders:
        return _significant(_native(dataset, layout), layout)
    installed = installed_decoders(layout.transfer_syntax)
    if not installed:
        refuse("DECODER_MISSING", f"{syntax.name} and no decoder", f"one of {syntax.decoders}", "install it")
    _check_codestream(dataset, layout)
    from spine.radiograph.sandbox import decode_in_child

    return _significant(decode_in_child(payload, layout, installed), layout)


def _native(dataset: Any, layout: PixelLayout) -> Stored:
    rows, columns = layout.shape
    subsampled = 2 if layout.photometric.endswith("_422") else layout.samples
    needed = rows * columns * subsampled * layout.bits_allocated // 8
    held = len(dataset.PixelData)
    if held < needed:
        refuse("TRUNCATED", f"{held} bytes of pixels", f"{needed} for {rows} x {columns}", "send the file again")
    try:
        pixels: Stored = dataset.pixel_array
    except (ValueError, AttributeError, NotImplementedError, RuntimeError, KeyError) as error:
        raise DicomRejected(
            "DECODE_FAILED", found=f"pixels that cannot be read ({type(error).__name__})", expected="pixels",
            remedy="export the image again",
        ) from error  # fmt: skip
    expected = layout.shape + ((3,) if layout.samples == 3 else ())
    if pixels.shape != expected:
        refuse(
            "FRAMES_UNSUPPORTED", f"pixels of shape {pixels.shape}", f"{expected}", "export each view as its own image"
        )
    return pixels


def _significant(pixels: Stored, layout: PixelLayout) -> Stored:
    """Clear what lies above BitsStored (old files keep overlays there), or extend the sign from it."""
    spare = layout.bits_allocated - layout.bits_stored
    if spare == 0 or pixels.dtype.itemsize * 8 != layout.bits_allocated:
        return pixels
    integers = pixels.astype(f"{'i' if layout.signed else 'u'}{layout.bits_allocated // 8}", copy=False)
    mask = np.array(2**layout.bits_stored - 1, dtype=integers.dtype)
    return np.asarray((integers << spare) >> spare if layout.signed else integers & mask)


def _check_codestream(dataset: Any, layout: PixelLayout) -> None:
    """Hold the size in a JPEG or JPEG 2000 codestream against the header before a decoder sees it."""
    from pydicom.encaps import generate_frames

    try:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    except (ValueError, StopIteration, struct.error) as error:
        raise DicomRejected(
            "DECODE_FAILED", found="compressed pixels without a frame", expected="one frame", remedy="export again"
        ) from error
    size = codestream_size(frame)
    if size is not None and size != layout.shape:
        found = f"{size[0]} x {size[1]} in the codestream, {layout.shape[0]} x {layout.shape[1]} in the header"
        refuse("CODESTREAM_MISMATCH", found, "one size", "export the image again")


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG, JPEG-LS or JPEG 2000 codestream, or None when none is found."""
    siz = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if siz >= 0 and len(frame) >= siz + 24:
        width, height, left, top = struct.unpack_from(">IIII", frame, siz + 8)
        return height - top, width - left
    at = 2
    while frame[:2] == b"\xff\xd8" and at + 9 <= len(frame) and frame[at] == 0xFF:
        marker, length = frame[at + 1], struct.unpack_from(">H", frame, at + 2)[0]
        if marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", frame, at + 5)
            return height, width
        at += 1 if marker == 0xFF else 2 + length
    return None

"""The supported transfer syntaxes, their decoders, and the step from encoded to stored values.

Uncompressed pixels are read in this process. Malformed compressed pixels can crash an image decoder. Therefore, the
size in the codestream is first compared with the header. Then a child process with limited memory and time decodes the
pixels (``sandbox``). Every decoder has a permissive licence: gdcm (BSD), openjpeg through pylibjpeg-openjpeg (BSD/MIT),
Pillow (HPND), pydicom's RLE (MIT). pylibjpeg-libjpeg is GPL and is not used, even if it is installed.

Contract: ``stored_values`` returns integers of the header's shape or raises ``DicomRejected``.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import pixel_array

from spine.errors import DicomRejected
from spine.radiograph.elements import UNDEFINED_LENGTH
from spine.radiograph.header import PixelLayout
from spine.radiograph.pixel_grid import grey_of
from spine.radiograph.sandbox import decode_in_child
from spine.radiograph.tags import EXPORT_AGAIN

Stored = NDArray[np.generic]


@dataclass(frozen=True)
class Syntax:
    """A transfer syntax, and the pydicom plug-ins that are tried in order. Uncompressed pixels need no plug-in.

    ``gdcm-file`` is gdcm's own file reader. It is needed because pydicom does not use gdcm for 12-bit JPEG, although
    gdcm decodes 12-bit JPEG correctly.
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
    """The installed decoders of a transfer syntax, in the order to try."""
    return tuple(d for d in SYNTAXES[uid].decoders if find_spec(_MODULES[d]) is not None)


def decoder_matrix() -> tuple[tuple[str, str, str], ...]:
    """(name, UID, installed decoders) of every supported transfer syntax."""
    installed = {uid: ", ".join(installed_decoders(uid)) or "none installed" for uid in SYNTAXES}
    return tuple((s.name, uid, installed[uid] if s.decoders else "in process") for uid, s in SYNTAXES.items())


def stored_values(dataset: Any, layout: PixelLayout, payload: bytes) -> Stored:
    """(H, W) integers as stored, with the bits above BitsStored cleared or the sign extended; colour becomes grey.

    ``payload`` are the bytes of the file, which the child process decodes. Uncompressed pixels do not need them.

    Raises:
        DicomRejected: ``TRANSFER_SYNTAX_UNSUPPORTED``, ``DECODER_MISSING``, ``TRUNCATED``, ``FRAMES_UNSUPPORTED``,
            ``TRANSFER_SYNTAX_INVALID``, ``CODESTREAM_MISMATCH``, ``DECODE_FAILED``, ``DECODER_KILLED``.
    """
    syntax = SYNTAXES.get(layout.transfer_syntax)
    if syntax is None:
        expected = "one of " + ", ".join(s.name for s in SYNTAXES.values())
        remedy = "export the image in one of these transfer syntaxes"
        raise DicomRejected("TRANSFER_SYNTAX_UNSUPPORTED", "an unsupported transfer syntax", expected, remedy)
    if not syntax.decoders:
        return _significant(_native(dataset, layout), layout)
    installed = installed_decoders(layout.transfer_syntax)
    if not installed:
        found = f"no decoder for {syntax.name}"
        expected = f"one of {', '.join(syntax.decoders)}"
        raise DicomRejected("DECODER_MISSING", found, expected, "install one of these decoders")
    _check_codestream(dataset, layout)
    return _significant(decode_in_child(payload, layout, installed), layout)


def _native(dataset: Any, layout: PixelLayout) -> Stored:
    rows, columns = layout.shape
    if getattr(dataset.get_item("PixelData"), "length", 0) == UNDEFINED_LENGTH:
        found = "compressed pixels under a transfer syntax of uncompressed pixels"
        raise DicomRejected("TRANSFER_SYNTAX_INVALID", found, "the transfer syntax of the pixels", EXPORT_AGAIN)
    subsampled = 2 if layout.photometric.endswith("_422") else layout.samples
    needed = rows * columns * subsampled * layout.bits_allocated // 8
    size = len(_encoded(dataset))
    if size < needed:
        found = f"{size} bytes of pixels"
        raise DicomRejected("TRUNCATED", found, f"{needed} bytes for {rows} x {columns}", "send the file again")
    try:
        pixels: Stored = pixel_array(dataset, raw=True, view_only=True)
    except Exception as error:
        # pydicom may raise anything where the tags of the pixels have other types than it expects.
        found = f"pixel data that cannot be decoded ({type(error).__name__})"
        raise DicomRejected("DECODE_FAILED", found, "pixel data as the header describes it", EXPORT_AGAIN) from error
    expected_shape = layout.shape + ((3,) if layout.samples == 3 else ())
    if pixels.shape != expected_shape:
        found = f"pixels of shape {pixels.shape}"
        raise DicomRejected("FRAMES_UNSUPPORTED", found, f"{expected_shape}", "export each view separately")
    return grey_of(pixels, layout.photometric) if layout.samples == 3 else pixels


def _encoded(dataset: Any) -> bytes:
    value = dataset.get_item("PixelData").value  # as stored: pydicom fails on the bytes of another type
    if not isinstance(value, bytes):
        raise DicomRejected("DECODE_FAILED", "pixel data that are not bytes", "OB or OW", EXPORT_AGAIN)
    return value


def _significant(pixels: Stored, layout: PixelLayout) -> Stored:
    """Clear the bits above BitsStored, where old files keep overlays, or extend the sign into them."""
    if pixels.dtype.itemsize * 8 != layout.bits_allocated:
        found = f"decoded pixels of {pixels.dtype.itemsize * 8} bits, {layout.bits_allocated} in the header"
        raise DicomRejected("CODESTREAM_MISMATCH", found, "equal bits", EXPORT_AGAIN)
    spare = layout.bits_allocated - layout.bits_stored
    if spare == 0:
        return pixels
    integers = pixels.astype(f"{'i' if layout.signed else 'u'}{layout.bits_allocated // 8}", copy=False)
    if not layout.signed:
        return np.asarray(integers & np.array(2**layout.bits_stored - 1, dtype=integers.dtype))
    shifted = np.asarray(integers << spare)
    return np.right_shift(shifted, spare, out=shifted)


def _check_codestream(dataset: Any, layout: PixelLayout) -> None:
    """Compare the size in a JPEG or JPEG 2000 codestream with the header before the codestream is decoded."""
    try:
        frame = next(generate_frames(_encoded(dataset), number_of_frames=1))
    except (ValueError, StopIteration, struct.error) as error:
        raise DicomRejected("DECODE_FAILED", "compressed pixels without a frame", "one frame", EXPORT_AGAIN) from error
    size = codestream_size(frame)
    if size is not None and size != layout.shape:
        found = f"{size[0]} x {size[1]} in the codestream, {layout.shape[0]} x {layout.shape[1]} in the header"
        raise DicomRejected("CODESTREAM_MISMATCH", found, "equal sizes", EXPORT_AGAIN)


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG, JPEG-LS or JPEG 2000 codestream; None if the bytes contain no size."""
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

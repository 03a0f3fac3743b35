"""Reads a PNG or JPEG picture of a radiograph as an image in canonical orientation, or refuses it with a code.

A picture has no tags. Therefore, a person states the view, and the spacing if lengths are wanted. A frontal picture is
taken as stored, with the patient's right side at its left. The side to which the patient faces in a lateral picture is
stated, or the model reads it from the picture.

    PICTURE_UNREADABLE   the bytes are no complete picture
    PICTURE_UNSUPPORTED  the picture has several frames, transparency or a kind of pixel that is not grey or RGB
    VIEW_NOT_STATED      nobody stated the view
    SPACING_INVALID      the stated spacing is not plausible
    IMAGE_SIZE_UNSUPPORTED, FILE_TOO_LARGE, EMPTY_FILE, IMAGE_BLANK
"""

import hashlib
import io
import math
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spine.errors import DicomRejected
from spine.radiograph.header import MAX_PIXELS, MAX_SIDE, Identity, PixelLayout
from spine.radiograph.intensity import scale_intensity
from spine.radiograph.intensity_tags import IntensityTags
from spine.radiograph.orientation import GivenOrientation, Orientation
from spine.radiograph.pixel_grid import grey_of
from spine.radiograph.read import Radiograph
from spine.radiograph.spacing import HEIGHT_MM, SPACING_MM
from spine.radiograph.stored_grid import StoredGrid
from spine.radiograph.structure import MAX_FILE_BYTES

SIGNATURES = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"}
"""First bytes of a file -> the format."""
_GREY, _COLOUR = ("L", "I;16", "I;16B", "I;16L"), ("RGB",)


def is_picture(content: Path | bytes) -> bool:
    """Whether a file (a path, or its bytes) begins as a PNG or JPEG picture does."""
    if isinstance(content, Path):
        with content.open("rb") as file:
            return is_picture(file.read(8))
    return any(content.startswith(signature) for signature in SIGNATURES)


def read_picture(content: Path | bytes, given: GivenOrientation, spacing_mm: float | None = None) -> Radiograph:
    """Read one picture (a path, or its bytes). ``given.view`` names the view; ``spacing_mm`` is that of the patient.

    Grey values become an image as those of a secondary capture do (``intensity``); bone must be bright.

    Raises:
        DicomRejected: see the head of the module.
    """
    if given.view is None:
        found, remedy = "a picture, which has no tags that name its view", "state the view: --frontal or --lateral"
        raise DicomRejected("VIEW_NOT_STATED", found, "a view that a person states", remedy)
    payload = content.read_bytes() if isinstance(content, Path) else content
    stored, colour = _pixels(payload)
    _check_spacing(spacing_mm, stored.shape[0])
    facing = (given.facing or "unknown") if given.view == "lateral" else None
    bits = 8 * stored.dtype.itemsize
    layout = PixelLayout(stored.shape, 1, bits, bits, False, "MONOCHROME2", "")
    image, rule = scale_intensity(stored, layout, IntensityTags(1.0, 0.0, None, "LINEAR", False, False))
    orientation = Orientation(given.view, "", verified=False, flip_columns=facing == "right", facing=facing)
    uid = "2.25." + str(int(hashlib.sha256(payload).hexdigest()[:32], 16))
    return Radiograph(
        image=orientation.apply(image).astype(np.uint16, copy=False),
        view=given.view,
        spacing_mm=None if spacing_mm is None else (spacing_mm, spacing_mm),
        calibration="NONE" if spacing_mm is None else "STATED",
        geometry=None,
        offset_recorded=False,
        identity=Identity("", "", "", uid),
        facts={"picture": True, "intensity": rule, **({"colour": "turned to grey"} if colour else {})},
        orientation=orientation,
        grid=StoredGrid(stored.shape, stored.shape, orientation),
        remarks=("a picture without tags: the view is as stated, and bone is taken to be bright",),
    )


def _pixels(payload: bytes) -> tuple[NDArray[np.generic], bool]:
    """((H, W) grey values, whether they were RGB)."""
    from PIL import Image

    if not payload:
        raise DicomRejected("EMPTY_FILE", "an empty file", "a PNG or JPEG picture", "send the file again")
    if len(payload) > MAX_FILE_BYTES:
        remedy = "send a radiograph; no radiograph is this large"
        raise DicomRejected("FILE_TOO_LARGE", f"{len(payload)} bytes", f"at most {MAX_FILE_BYTES}", remedy)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is stricter
            picture = Image.open(io.BytesIO(payload), formats=tuple(SIGNATURES.values()))
            columns, rows = picture.size
            _check_size(rows, columns)
            _check_kind(picture.mode, getattr(picture, "n_frames", 1))
            picture.load()
            pixels = np.asarray(picture)
    except DicomRejected:
        raise
    except Exception as error:
        # Pillow's decoders may raise anything on malformed bytes; the refusal is the same for all.
        found = f"bytes that are no complete PNG or JPEG picture ({type(error).__name__})"
        raise DicomRejected("PICTURE_UNREADABLE", found, "a complete picture", "export the picture again") from error
    colour = pixels.ndim == 3
    grey = grey_of(pixels, "RGB") if colour else pixels
    return grey.astype(np.uint8 if grey.dtype == np.uint8 else np.uint16), colour


def _check_size(rows: int, columns: int) -> None:
    if not (2 <= rows <= MAX_SIDE and 2 <= columns <= MAX_SIDE and 3 * rows * columns <= MAX_PIXELS):
        expected = f"2 to {MAX_SIDE} pixels a side, at most {MAX_PIXELS // 3} in all"
        raise DicomRejected("IMAGE_SIZE_UNSUPPORTED", f"{rows} x {columns} pixels", expected, "send a radiograph")


def _check_kind(mode: str, frames: int) -> None:
    if frames != 1:
        raise DicomRejected("PICTURE_UNSUPPORTED", f"{frames} frames", "one frame", "export one picture for each view")
    if mode not in (*_GREY, *_COLOUR):
        found = f"pixels of the kind {mode}"
        raise DicomRejected(
            "PICTURE_UNSUPPORTED", found, "grey or RGB pixels without transparency", "convert it to grey"
        )


def _check_spacing(spacing_mm: float | None, rows: int) -> None:
    if spacing_mm is None:
        return
    plausible = math.isfinite(spacing_mm) and SPACING_MM[0] <= spacing_mm <= SPACING_MM[1]
    if not plausible or not HEIGHT_MM[0] <= rows * spacing_mm <= HEIGHT_MM[1]:
        found = f"a stated spacing of {spacing_mm:g} mm, which makes the picture {rows * spacing_mm:.0f} mm high"
        expected = f"{SPACING_MM[0]} to {SPACING_MM[1]} mm a pixel and {HEIGHT_MM[0]:.0f} to {HEIGHT_MM[1]:.0f} mm high"
        raise DicomRejected("SPACING_INVALID", found, expected, "state the size of a pixel in the patient, or none")

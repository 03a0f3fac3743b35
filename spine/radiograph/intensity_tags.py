"""The tags, other than the pixel layout, that turn stored values into intensities.

Contract: a rescale or a Modality LUT determines what a value means, so a malformed one is refused. A window or a VOI
LUT is for display only, so a malformed one is left out, and ``display_fault`` says so.
"""

import math
import struct
from dataclasses import dataclass

from spine.errors import DicomRejected
from spine.radiograph.header import PixelLayout
from spine.radiograph.lookup import LookupTable, read_table
from spine.radiograph.tags import CORRECT_TAG, TagReader

MAX_RESCALE = 1e9
WINDOW_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@dataclass(frozen=True)
class IntensityTags:
    """The tags, other than the pixel layout, that turn stored values into an image.

    Attributes:
        modality_table: the table that replaces slope and intercept, if the file has one.
        window: (centre, width), or None without a usable window.
        display_fault: why the window or the VOI LUT is not used although the file has one; else empty.
        padding: the lowest and the highest stored value that is padding.
        intensity_sign: PixelIntensityRelationshipSign: 1, -1, or 0 if it is not given.
    """

    slope: float
    intercept: float
    window: tuple[float, float] | None
    window_function: str
    inverse_shape: bool
    for_processing: bool
    modality_table: LookupTable | None = None
    voi_table: LookupTable | None = None
    display_fault: str = ""
    padding: tuple[int, int] | None = None
    intensity_sign: int = 0


def read_intensity_tags(tags: TagReader, layout: PixelLayout, *, for_processing: bool) -> IntensityTags:
    """Read the tags that turn stored values into intensities.

    ``for_processing`` says whether the image is "For Processing". A window or VOI LUT that is malformed is left out,
    because it is for display only; a rescale or Modality LUT that is malformed is refused.

    Raises:
        DicomRejected: ``RESCALE_INVALID``, ``MODALITY_LUT_INVALID``, ``TAG_INVALID``.
    """
    slope, intercept = _rescale(tags)
    table = read_table(tags, "ModalityLUTSequence", "MODALITY_LUT_INVALID")
    if table is not None and (slope, intercept) != (1.0, 0.0):
        # PS3.3 C.11.1: each is present only without the other. A rescale that changes nothing is no contradiction.
        found = "a Modality LUT and a rescale"
        raise DicomRejected("MODALITY_LUT_INVALID", found, "one of them", CORRECT_TAG)
    window, window_fault = _window(tags)
    voi_table, voi_fault = _voi_table(tags)
    return IntensityTags(
        slope=slope,
        intercept=intercept,
        window=window,
        window_function=tags.text("VOILUTFunction") or "LINEAR",
        inverse_shape=tags.text("PresentationLUTShape") == "INVERSE",
        for_processing=for_processing,
        modality_table=table,
        voi_table=voi_table,
        display_fault=window_fault or voi_fault,
        padding=_padding(tags, layout),
        intensity_sign=_intensity_sign(tags),
    )


def _rescale(tags: TagReader) -> tuple[float, float]:
    slope = tags.decimal("RescaleSlope", "RESCALE_INVALID")
    intercept = tags.decimal("RescaleIntercept", "RESCALE_INVALID") or 0.0
    if slope is not None and not 1 / MAX_RESCALE <= abs(slope) <= MAX_RESCALE:
        raise DicomRejected("RESCALE_INVALID", f"RescaleSlope {slope:.4g}", "a slope other than 0", CORRECT_TAG)
    if abs(intercept) > MAX_RESCALE:
        found = f"RescaleIntercept {intercept:.4g}"
        raise DicomRejected("RESCALE_INVALID", found, f"at most {MAX_RESCALE:.0g}", CORRECT_TAG)
    return 1.0 if slope is None else slope, intercept


def _window(tags: TagReader) -> tuple[tuple[float, float] | None, str]:
    """((centre, width) or None, why it is not used although the file has one)."""
    if not tags.texts("WindowCenter") and not tags.texts("WindowWidth"):
        return None, ""
    numbers = [_display_number(tags, keyword) for keyword in ("WindowCenter", "WindowWidth")]
    known = (tags.text("VOILUTFunction") or "LINEAR") in WINDOW_FUNCTIONS
    centre, width = numbers
    if centre is None or width is None or width <= 0 or not known:
        return None, "window malformed"
    return (centre, width), ""


def _display_number(tags: TagReader, keyword: str) -> float | None:
    """The first number of a tag, or None if it is absent or malformed, e.g. with a decimal comma."""
    try:
        number = float((tags.texts(keyword) or ("",))[0])
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) <= MAX_RESCALE else None


def _voi_table(tags: TagReader) -> tuple[LookupTable | None, str]:
    try:
        return read_table(tags, "VOILUTSequence", "WINDOW_INVALID"), ""
    except DicomRejected:
        return None, "VOI table malformed"


def _padding(tags: TagReader, layout: PixelLayout) -> tuple[int, int] | None:
    """The range of the padding (PS3.3 C.7.5.1.1.2), which only grey images have, as stored values are compared.

    The tags are US or SS, as PixelRepresentation says. Some writers name the other type; the bytes are the same.
    """
    if layout.samples != 1:
        return None
    ends = [_stored_value(*tags.raw(keyword), layout) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    first, limit = ends
    if first is None:
        return None
    return (first, first) if limit is None else (min(first, limit), max(first, limit))


def _stored_value(value: bytes, little: bool, layout: PixelLayout) -> int | None:
    """Two bytes as a stored value with the bits above BitsStored cleared, or the sign extended into them."""
    if len(value) < 2:
        return None
    number = struct.unpack_from("<H" if little else ">H", value)[0] & (2**layout.bits_stored - 1)
    negative = layout.signed and number >> (layout.bits_stored - 1)
    return int(number - 2**layout.bits_stored if negative else number)


def _intensity_sign(tags: TagReader) -> int:
    value, little = tags.raw("PixelIntensityRelationshipSign")
    sign = struct.unpack_from("<h" if little else ">h", value)[0] if len(value) >= 2 else 0
    return sign if sign in (-1, 1) else 0

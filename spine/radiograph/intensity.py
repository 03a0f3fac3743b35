"""Converts stored values to an image: (H, W) uint16 in 0..4095, bone bright.

The first applicable rule of this table is used, and its name is recorded with the image:

    window       For Presentation (or a secondary capture) with WindowCenter/Width: the first window, with its
                 VOI LUT function (LINEAR, LINEAR_EXACT, SIGMOID; Part 3, C.11.2.1)
    voi table    For Presentation with a VOI LUT sequence instead: its first table
    stored       unsigned, at most 12 bits, no rescale: the stored range is mapped to 0..4095, equally for every image
    percentiles  anything else: the 0.05th and 99.95th percentile of the modality values are mapped to 0 and 4095

A window or table that would make all pixels equal is not used. If it is a window, the recorded name of the rule says
so. Values are inverted once: for MONOCHROME1, or for MONOCHROME2 with presentation shape INVERSE. Therefore, a
radiograph gives the same image whether it is stored as MONOCHROME1 or as MONOCHROME2.
"""

import numpy as np
from numpy.typing import NDArray

from spine.errors import DicomRejected
from spine.radiograph.header import IntensityTags, PixelLayout
from spine.radiograph.tags import CORRECT_TAG, EXPORT_AGAIN

MAXIMUM = 4095
PERCENTILES = (0.05, 99.95)
Stored = NDArray[np.generic]
Image = NDArray[np.uint16]


def scale_intensity(
    stored: Stored, layout: PixelLayout, tags: IntensityTags, voi_table: Stored | None
) -> tuple[Image, str]:
    """((H, W) image, name of the rule that was used) from (H, W) stored values.

    ``voi_table`` are the (H, W) values after the VOI LUT sequence, or None if the file has no such sequence.

    Raises:
        DicomRejected: ``IMAGE_BLANK`` if all pixels are equal, ``WINDOW_INVALID`` for an unknown VOI LUT function.
    """
    if stored.min() == stored.max():
        raise DicomRejected("IMAGE_BLANK", "an image in which all pixels are equal", "a radiograph", EXPORT_AGAIN)
    inverted = layout.photometric == "MONOCHROME1" or (tags.inverse_shape and layout.photometric == "MONOCHROME2")
    image, rule = _scaled(stored, layout, tags, voi_table)
    return np.subtract(MAXIMUM, image, dtype=np.uint16) if inverted else image, rule


def _scaled(stored: Stored, layout: PixelLayout, tags: IntensityTags, voi_table: Stored | None) -> tuple[Image, str]:
    note = ""
    if not tags.for_processing:
        if tags.window is not None and _is_identity_window(tags, layout):
            return stored.astype(np.uint16), "window"
        if tags.window is not None:
            image = _windowed(_modality(stored, tags), tags.window, tags.window_function)
            if image.min() < image.max():
                return image, "window"
            note = " (window gives one value)"
        elif voi_table is not None and voi_table.min() < voi_table.max():
            return _between(voi_table, float(voi_table.min()), float(voi_table.max())), "voi table"
    if layout.bits_stored <= 12 and not layout.signed and _no_rescale(tags):
        top = 2**layout.bits_stored - 1
        image = stored.astype(np.uint16) if top == MAXIMUM else _between(stored, 0.0, float(top))
        return image, "stored" + note
    values = _modality(stored, tags)
    low, high = (float(p) for p in np.percentile(values, PERCENTILES))
    if low >= high:
        low, high = float(values.min()), float(values.max())
    return _between(values, low, high), "percentiles" + note


def _no_rescale(tags: IntensityTags) -> bool:
    return tags.slope == 1.0 and tags.intercept == 0.0


def _is_identity_window(tags: IntensityTags, layout: PixelLayout) -> bool:
    """Whether the window of a 12-bit image shows exactly 0..4095, so that nothing has to be computed."""
    plain = _no_rescale(tags) and not layout.signed and layout.bits_stored == 12
    return plain and tags.window_function == "LINEAR" and tags.window == (2048.0, 4096.0)


def _modality(stored: Stored, tags: IntensityTags) -> NDArray[np.float32]:
    return stored.astype(np.float32) * np.float32(tags.slope) + np.float32(tags.intercept)


def _between(values: Stored, low: float, high: float) -> Image:
    """Map low..high to 0..4095, clipped."""
    scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(MAXIMUM / (high - low))
    image: Image = np.rint(np.clip(scaled, 0, MAXIMUM)).astype(np.uint16)
    return image


def _windowed(values: NDArray[np.float32], window: tuple[float, float], function: str) -> Image:
    """Apply one window (Part 3, C.11.2.1.2 and C.11.2.1.3)."""
    centre, width = window
    if function == "SIGMOID":
        exponent = np.clip(-4.0 * (values - np.float32(centre)) / np.float32(width), -60.0, 60.0)
        return _between(1.0 / (1.0 + np.exp(exponent)), 0.0, 1.0)
    if function == "LINEAR_EXACT":
        return _between(values, centre - width / 2, centre + width / 2)
    if function != "LINEAR":
        found = "an unknown VOILUTFunction"
        raise DicomRejected("WINDOW_INVALID", found, "LINEAR, LINEAR_EXACT or SIGMOID", CORRECT_TAG)
    if width <= 1:
        return np.where(values > centre - 0.5, MAXIMUM, 0).astype(np.uint16)
    low = centre - 0.5 - (width - 1) / 2
    return _between(values, low, low + width - 1)

"""From stored values to an image: (H, W) uint16 in 0..4095, bone bright.

The policy, in order; the line that applied is recorded with the image:

    window       For Presentation (or a secondary capture) with WindowCenter/Width: the first window, with its
                 VOI LUT function (LINEAR, LINEAR_EXACT, SIGMOID; Part 3, C.11.2.1)
    voi table    For Presentation with a VOI LUT sequence instead: its first table
    stored       unsigned, at most 12 bits, no rescale: the stored range to 0..4095, the same for every image
    percentiles  anything else: the 0.05th and 99.95th percentile of the modality values to 0 and 4095

A window or table that leaves nothing to see is passed over for the next line, and that is recorded. Values are
inverted once: for MONOCHROME1, or for a presentation shape of INVERSE on MONOCHROME2, so an image and its MONOCHROME1
twin come out equal.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spine.radiograph.header import IntensityTags, PixelLayout
from spine.radiograph.tags import refuse

MAXIMUM = 4095
PERCENTILES = (0.05, 99.95)
Stored = NDArray[np.generic]
Image = NDArray[np.uint16]


@dataclass(frozen=True)
class Brightness:
    """An image and the policy line it came by."""

    image: Image
    policy: str
    inverted: bool


def brightness(stored: Stored, layout: PixelLayout, tags: IntensityTags, voi_table: Stored | None) -> Brightness:
    """Turn (H, W) stored values into an image.

    Args:
        stored: integers as stored, unused bits cleared.
        layout: their layout.
        tags: rescale, window and presentation shape.
        voi_table: (H, W) the values after the VOI LUT sequence, where there is one.

    Raises:
        DicomRejected: ``IMAGE_BLANK``: all pixels are equal.
    """
    if stored.min() == stored.max():
        refuse("IMAGE_BLANK", "an image of one value", "a radiograph", "have the exposure or export checked")
    inverted = layout.photometric == "MONOCHROME1" or (tags.inverse_shape and layout.photometric == "MONOCHROME2")
    image, policy = _scaled(stored, layout, tags, voi_table)
    return Brightness(np.subtract(MAXIMUM, image, dtype=np.uint16) if inverted else image, policy, inverted)


def _scaled(stored: Stored, layout: PixelLayout, tags: IntensityTags, voi_table: Stored | None) -> tuple[Image, str]:
    passed_over = ""
    if not tags.for_processing:
        if tags.window is not None and _is_identity_window(tags, layout):
            return stored.astype(np.uint16), "window"
        if tags.window is not None:
            image = _windowed(_modality(stored, tags), tags.window, tags.window_function)
            if image.min() < image.max():
                return image, "window"
            passed_over = " (window shows nothing)"
        elif voi_table is not None and voi_table.min() < voi_table.max():
            return _between(voi_table, float(voi_table.min()), float(voi_table.max())), "voi table"
    if layout.bits_stored <= 12 and not layout.signed and _no_rescale(tags):
        top = 2**layout.bits_stored - 1
        image = stored.astype(np.uint16) if top == MAXIMUM else _between(stored, 0.0, float(top))
        return image, "stored" + passed_over
    values = _modality(stored, tags)
    low, high = (float(p) for p in np.percentile(values, PERCENTILES))
    if low >= high:
        low, high = float(values.min()), float(values.max())
    return _between(values, low, high), "percentiles" + passed_over


def _no_rescale(tags: IntensityTags) -> bool:
    return tags.slope == 1.0 and tags.intercept == 0.0


def _is_identity_window(tags: IntensityTags, layout: PixelLayout) -> bool:
    """The window of a 12-bit image that shows exactly 0..4095 changes nothing and need not be computed."""
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
        refuse("WINDOW_INVALID", "an unknown VOI LUT function", "LINEAR, LINEAR_EXACT or SIGMOID", "correct the tag")
    if width <= 1:
        return np.where(values > centre - 0.5, MAXIMUM, 0).astype(np.uint16)
    low = centre - 0.5 - (width - 1) / 2
    return _between(values, low, low + width - 1)

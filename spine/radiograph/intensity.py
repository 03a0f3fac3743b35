"""Converts stored values to an image: (H, W) uint16 in 0..4095, bone bright.

The Modality LUT or the rescale applies first (PS3.3 C.11.1). Then the first applicable rule of this table is used, and
its name is recorded with the image:

    window       For Presentation (or a secondary capture) with WindowCenter/Width: the first window, with its
                 VOI LUT function (LINEAR, LINEAR_EXACT, SIGMOID; PS3.3 C.11.2.1)
    voi table    For Presentation with a VOI LUT sequence instead: its first table
    stored       unsigned, at most 12 bits, no rescale and no Modality LUT: the stored range is mapped to 0..4095,
                 equally for every image
    percentiles  anything else: the 0.05th and 99.95th percentile of the modality values are mapped to 0 and 4095

A window or table that is malformed, or would make all pixels equal, is not used, because it is meant for display only.
The recorded name of the rule says so.

Padding (PixelPaddingValue, with PixelPaddingRangeLimit a range; PS3.3 C.7.5.1.1.2) is no part of the image: no rule
counts it, and it becomes 0, the background.

Values are inverted at most once: for MONOCHROME1, or for MONOCHROME2 with presentation shape INVERSE. Therefore, a
radiograph gives the same image whether it is stored as MONOCHROME1 or as MONOCHROME2. A For Processing image without
these is not meant for display. There PixelIntensityRelationshipSign decides: 1 means that lower values are less X-ray
intensity (PS3.3 C.8.11.3.1.2), so bone is dark in it.
"""

import numpy as np
from numpy.typing import NDArray

from spine.errors import DicomRejected
from spine.radiograph.grey_levels import GreyLevels, Stored, quantiles
from spine.radiograph.header import PixelLayout
from spine.radiograph.intensity_tags import IntensityTags
from spine.radiograph.tags import EXPORT_AGAIN

MAXIMUM = 4095
PERCENTILES = (0.05, 99.95)
_SMALLEST_RANGE = 1e-9
Image = NDArray[np.uint16]
Values = NDArray[np.float64]


def scale_intensity(stored: Stored, layout: PixelLayout, tags: IntensityTags) -> tuple[Image, str]:
    """((H, W) image, name of the rule that was used) from (H, W) stored values.

    Raises:
        DicomRejected: ``IMAGE_BLANK`` if all pixels, or all but padding, are equal.
    """
    if _is_shown_as_stored(layout, tags) and stored.min() < stored.max():
        return stored.astype(np.uint16), "window"
    levels = GreyLevels.of(stored)
    shown = ~_is_padding(levels, tags)
    if np.count_nonzero(shown) < 2:
        raise DicomRejected("IMAGE_BLANK", "an image in which all pixels are equal", "a radiograph", EXPORT_AGAIN)
    values = _modality(levels.values[shown].astype(np.float64), layout, tags)
    scaled, rule = _scaled(values, levels.counts[shown], layout, tags)
    grey = np.zeros(len(levels.values), dtype=np.uint16)
    grey[shown] = MAXIMUM - scaled if _inverted(values, layout, tags) else scaled
    return levels.image(stored, grey), rule


def _is_shown_as_stored(layout: PixelLayout, tags: IntensityTags) -> bool:
    """Whether the image is 0..4095 already and its window shows just this, as in most files: nothing is computed."""
    return (
        (layout.photometric, layout.bits_stored, layout.signed) == ("MONOCHROME2", 12, False)
        and (tags.window, tags.window_function) == ((2048.0, 4096.0), "LINEAR")
        and (tags.slope, tags.intercept, tags.modality_table, tags.padding) == (1.0, 0.0, None, None)
        and not tags.inverse_shape
        and not tags.for_processing
    )


def _is_padding(levels: GreyLevels, tags: IntensityTags) -> NDArray[np.bool_]:
    if tags.padding is None:
        return np.zeros(len(levels.values), dtype=np.bool_)
    return (levels.values >= tags.padding[0]) & (levels.values <= tags.padding[1])


def _modality(stored: Values, layout: PixelLayout, tags: IntensityTags) -> Values:
    if tags.modality_table is not None:
        return tags.modality_table.apply(stored, signed=layout.signed)
    return stored * tags.slope + tags.intercept


def _inverted(values: Values, layout: PixelLayout, tags: IntensityTags) -> bool:
    if layout.photometric == "MONOCHROME1":
        return True
    if layout.photometric != "MONOCHROME2":
        return False
    if tags.inverse_shape:
        return True
    # The sign is that of the stored values. A rescale or a table that falls has turned them round already.
    falls = values[0] > values[-1]
    return tags.for_processing and tags.intensity_sign != 0 and (tags.intensity_sign > 0) != falls


def _scaled(values: Values, counts: NDArray[np.int64], layout: PixelLayout, tags: IntensityTags) -> tuple[Values, str]:
    """((N,) grey values, name of the rule) of (N,) modality values, each of which ``counts`` pixels have."""
    note = ""
    if not tags.for_processing:
        note = f" ({tags.display_fault})" if tags.display_fault else ""
        if tags.window is not None:
            grey = _windowed(values, tags.window, tags.window_function)
            if _varies(grey):
                return grey, "window"
            note = " (window gives one value)"
        if tags.voi_table is not None:
            shown = tags.voi_table.apply(values, signed=bool(values.min() < 0))
            if _varies(shown):
                return _between(shown, float(shown.min()), float(shown.max())), "voi table" + note
    plain = tags.modality_table is None and tags.slope == 1.0 and tags.intercept == 0.0
    if layout.bits_stored <= 12 and not layout.signed and plain:
        return _between(values, 0.0, 2.0**layout.bits_stored - 1), "stored" + note
    low, high = quantiles(values, counts, (PERCENTILES[0] / 100, PERCENTILES[1] / 100))
    if low >= high:
        low, high = float(values.min()), float(values.max())
    if low >= high:
        found = "an image whose rescale or Modality LUT gives all pixels one value"
        raise DicomRejected("IMAGE_BLANK", found, "a radiograph", EXPORT_AGAIN)
    return _between(values, low, high), "percentiles" + note


def _varies(grey: Values) -> bool:
    return bool(grey.min() < grey.max())


def _between(values: Values, low: float, high: float) -> Values:
    """Map low..high to 0..4095, clipped; a step if they are equal but for rounding."""
    if high - low < _SMALLEST_RANGE:
        return np.where(values > low, float(MAXIMUM), 0.0)
    return np.rint(np.clip((values - low) * (MAXIMUM / (high - low)), 0, MAXIMUM))


def _windowed(values: Values, window: tuple[float, float], function: str) -> Values:
    """Apply one window (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    centre, width = window
    if function == "SIGMOID":
        return _between(1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -60.0, 60.0))), 0.0, 1.0)
    if function == "LINEAR_EXACT":
        return _between(values, centre - width / 2, centre + width / 2)
    if width <= 1:
        return np.where(values > centre - 0.5, float(MAXIMUM), 0.0)
    low = centre - 0.5 - (width - 1) / 2
    return _between(values, low, low + width - 1)

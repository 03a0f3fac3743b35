"""Modality LUT, VOI LUT, windows, padding and inversion: every kind ends as the same image, bone bright."""

import numpy as np
import pydicom
import pytest

from spine.radiograph.grey_levels import quantiles
from spine.radiograph.read import read_radiograph
from spine.radiograph.sop_classes import CR, DX_FOR_PROCESSING
from tests.spine.radiograph.constructed_radiographs import edited, gradient, with_pixels, with_raw
from tests.spine.refusals import code_of

WINDOW = ("WindowCenter", "WindowWidth")
RESCALE = ("RescaleSlope", "RescaleIntercept")
SIGNED = {"PixelRepresentation": 1}
TRUE = gradient()


def table_item(descriptor, data, vr="US"):
    item = pydicom.Dataset()
    item.add_new(0x00283002, vr, descriptor)
    item.add_new(0x00283006, "OW", data)
    return item


def stored_through(table):
    """Stored values, the positions in ``table`` whose entries are nearest to the image."""
    return np.argmin(np.abs(table[:, None].astype(int) - np.arange(4096)), axis=0)[TRUE].astype(np.uint16)


FALLING = np.rint(4095 * ((4095 - np.arange(4096)) / 4095) ** 2).astype("<u2")
"""A table that is not linear and turns the order round."""


def alike(image, wanted=TRUE, tolerance=4):
    np.testing.assert_allclose(image.astype(int), wanted.astype(int), atol=tolerance)


# --- Modality LUT


@pytest.mark.parametrize("window", [("2048", "4096"), None])
@pytest.mark.parametrize("sop_class", [None, CR])
def test_a_modality_lut_goes_before_the_window(original, window, sop_class):
    tags = {"ModalityLUTSequence": [table_item([4096, 0, 16], FALLING.tobytes())]}
    tags |= {"WindowCenter": window[0], "WindowWidth": window[1]} if window else {}
    tags |= {"SOPClassUID": sop_class} if sop_class else {}
    path = with_pixels(original, stored_through(FALLING), without=() if window else WINDOW, **tags)
    read = read_radiograph(path)
    assert read.facts["intensity"] == ("window" if window else "percentiles")
    if window:
        alike(read.image)
    else:
        assert np.corrcoef(read.image.ravel(), TRUE.ravel())[0, 1] > 0.9999


@pytest.mark.parametrize("vr", ["US", "SS"])
def test_a_signed_first_value(original, vr):
    stored = stored_through(FALLING).astype(np.int16) - 2000
    first = 65536 - 2000 if vr == "US" else -2000
    count = 4096
    item = table_item([count, first, 16], FALLING.tobytes(), vr)
    path = with_pixels(original, stored, BitsStored=16, HighBit=15, ModalityLUTSequence=[item], **SIGNED)
    alike(read_radiograph(path).image)


def test_zero_entries_mean_65536(original):
    table = np.rint(np.linspace(4095, 0, 65536)).astype("<u2")
    stored = (65535 - TRUE.astype(int) * 16).astype(np.uint16)
    item = table_item([0, 0, 16], table.tobytes())
    path = with_pixels(original, stored, BitsStored=16, HighBit=15, ModalityLUTSequence=[item])
    alike(read_radiograph(path).image)


@pytest.mark.parametrize("packed", [True, False])
def test_entries_of_eight_bits_in_bytes_or_in_words(original, packed):
    entries = (np.arange(4096) // 16).astype(np.uint8)
    data = entries.tobytes() if packed else entries.astype("<u2").tobytes()
    item = table_item([4096, 0, 8], data)
    path = with_pixels(original, TRUE, WindowCenter="128", WindowWidth="256", ModalityLUTSequence=[item])
    alike(read_radiograph(path).image, tolerance=17)


def test_values_beyond_the_table_have_its_last_entries(original):
    table = np.arange(1000, 3001, dtype="<u2")
    path = with_pixels(original, TRUE, ModalityLUTSequence=[table_item([2001, 1000, 16], table.tobytes())])
    alike(read_radiograph(path).image, np.clip(TRUE, 1000, 3000), 1)


@pytest.mark.parametrize(
    ("descriptor", "size"), [([4096, 0, 16], 8000), ([4096, 0, 16], 0), ([4096, 0, 0], 8192), ([4096, 0, 17], 8192)]
)
def test_a_malformed_modality_lut_is_refused(original, descriptor, size):
    item = table_item(descriptor, bytes(size))
    assert code_of(read_radiograph, edited(original, ModalityLUTSequence=[item])) == "MODALITY_LUT_INVALID"


def test_a_modality_lut_and_a_rescale_contradict_each_other(original):
    item = table_item([4096, 0, 16], FALLING.tobytes())
    path = edited(original, ModalityLUTSequence=[item], RescaleSlope="2")
    assert code_of(read_radiograph, path) == "MODALITY_LUT_INVALID"
    # A rescale that changes nothing, which DX asks for, does not.
    path = with_pixels(original, stored_through(FALLING), ModalityLUTSequence=[item], RescaleSlope="1")
    alike(read_radiograph(path).image)


def test_a_lut_that_gives_one_value_is_a_blank_image(original):
    item = table_item([4096, 0, 16], bytes(8192))
    assert code_of(read_radiograph, edited(original, ModalityLUTSequence=[item])) == "IMAGE_BLANK"


# --- the display


@pytest.mark.parametrize("bits", [12, 16])
def test_a_voi_lut_with_fewer_bits_than_announced_fills_the_range(original, bits):
    item = table_item([4096, 0, bits], np.arange(4096, dtype="<u2").tobytes())
    read = read_radiograph(edited(original, without=WINDOW, VOILUTSequence=[item]))
    assert read.facts["intensity"] == "voi table"
    assert read.image.min() == 0 and read.image.max() == 4095


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (0x00281050, b"2047,5"),
        (0x00281050, b"abc"),
        (0x00281050, b"nan"),
        (0x00281050, b"1e400"),
        (0x00281051, b"-4096"),
        (0x00281051, b"0"),
        (0x00281051, b"inf"),
        (0x00281051, b""),
        (0x00281056, b"CUBIC"),
    ],
)
def test_a_malformed_window_is_left_out_and_told(original, tag, value):
    read = read_radiograph(with_raw(original, tag, "CS" if tag == 0x00281056 else "DS", value))
    np.testing.assert_array_equal(read.image, TRUE)
    assert read.facts["intensity"] == "stored (window malformed)"
    assert any("malformed" in remark for remark in read.remarks)


@pytest.mark.parametrize(("descriptor", "size"), [([4096, 0, 16], 100), ([4096, 0, 12], 0)])
def test_a_malformed_voi_lut_is_left_out_and_told(original, descriptor, size):
    item = table_item(descriptor, bytes(size))
    read = read_radiograph(edited(original, without=WINDOW, VOILUTSequence=[item]))
    np.testing.assert_array_equal(read.image, TRUE)
    assert read.facts["intensity"] == "stored (VOI table malformed)"


@pytest.mark.parametrize("width", ["1e-12", "1", "1.0000000001", "1e9"])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_extreme_windows_end_as_an_image(original, width, function):
    read = read_radiograph(edited(original, WindowCenter="2000", WindowWidth=width, VOILUTFunction=function))
    assert read.image.min() < read.image.max() <= 4095


# --- padding


def padded(value, dtype=np.uint16):
    """The image with a broad margin of padding."""
    image = TRUE.astype(dtype)
    image[:30], image[:, :10] = value, value
    inside = np.zeros(image.shape, dtype=bool)
    inside[30:, 10:] = True
    return image, inside


def with_padding(path, value, limit=None, vr="US"):
    def change(ds):
        ds.add_new(0x00280120, vr, value)
        if limit is not None:
            ds.add_new(0x00280121, vr, limit)

    return edited(path, change)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (65000, {"BitsStored": 16, "HighBit": 15}),
        (0, {"BitsStored": 16, "HighBit": 15}),
        (-32768, {"BitsStored": 16, "HighBit": 15, **SIGNED}),
        (-2000, {"BitsStored": 16, "HighBit": 15, **SIGNED}),
    ],
)
def test_padding_is_background_and_eats_no_grey_range(original, photometric, value, tags):
    image, inside = padded(value, np.int16 if value < 0 else np.uint16)
    if photometric == "MONOCHROME1":
        image[inside] = 4095 - image[inside]
    vr = "SS" if value < 0 else "US"
    path = with_pixels(original, image, WINDOW, PhotometricInterpretation=photometric, **tags)
    read = read_radiograph(with_padding(path, value, vr=vr)).image
    assert read[~inside].max() == 0
    low, high = np.percentile(TRUE[inside], [0.05, 99.95])
    alike(read[inside], np.clip((TRUE[inside] - low) / (high - low) * 4095, 0, 4095), 1)


@pytest.mark.parametrize("ends", [(60000, 65535), (65535, 60000)])
def test_padding_may_be_a_range(original, ends):
    image, inside = padded(0)
    image[~inside] = np.linspace(60000, 65535, np.count_nonzero(~inside)).astype(np.uint16)
    path = with_padding(with_pixels(original, image, WINDOW, BitsStored=16, HighBit=15), *ends)
    read = read_radiograph(path).image
    assert read[~inside].max() == 0 and read[inside].max() == 4095


def test_a_window_leaves_padding_in_the_background(original):
    image, inside = padded(4095)
    read = read_radiograph(with_padding(with_pixels(original, image), 4095)).image
    assert read[~inside].max() == 0
    np.testing.assert_array_equal(read[inside], TRUE[inside])


def test_an_image_of_padding_and_one_value_is_blank(original):
    image, inside = padded(9)
    image[inside] = 700
    assert code_of(read_radiograph, with_padding(with_pixels(original, image), 9)) == "IMAGE_BLANK"


def test_padding_of_the_other_value_representation_counts_by_its_bytes(original):
    image, inside = padded(-2000, np.int16)
    path = with_pixels(original, image, WINDOW, BitsStored=16, HighBit=15, **SIGNED)
    assert read_radiograph(with_padding(path, 65536 - 2000)).image[~inside].max() == 0


# --- inversion


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("sign", [1, -1, None])
@pytest.mark.parametrize("intent", ["class", "tag"])
def test_a_raw_image_ends_with_bone_bright(original, sign, falling, intent):
    """1: lower values are less X-ray, so bone is dark as stored (PS3.3 C.8.11.3.1.2). A rescale may turn this round."""
    stored = 4095 - TRUE if sign == 1 else TRUE
    tags = {"SOPClassUID": DX_FOR_PROCESSING} if intent == "class" else {"PresentationIntentType": "FOR PROCESSING"}
    if sign is not None:
        tags["PixelIntensityRelationshipSign"] = sign
    if falling:
        tags |= {"RescaleSlope": "-1", "RescaleIntercept": "4095"}
    without = () if sign is not None else ("PixelIntensityRelationshipSign",)
    image = read_radiograph(with_pixels(original, stored, without, **tags)).image
    seen = np.corrcoef(image.ravel(), TRUE.ravel())[0, 1]
    if sign is None and falling:
        assert seen < -0.999, "nothing but the rescale says how it is to be shown"
    else:
        assert seen > 0.999


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    "tags",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_tags_for_display_invert_once_and_go_before_the_sign(original, sign, tags, raw):
    tags = tags | {"PixelIntensityRelationshipSign": sign} | ({"SOPClassUID": DX_FOR_PROCESSING} if raw else {})
    np.testing.assert_array_equal(read_radiograph(with_pixels(original, 4095 - TRUE, **tags)).image, TRUE)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_sign_says_nothing_of_an_image_for_display(original, sign):
    np.testing.assert_array_equal(read_radiograph(edited(original, PixelIntensityRelationshipSign=sign)).image, TRUE)


# --- levels


def test_quantiles_of_levels_are_those_of_the_pixels():
    values, counts = np.array([5.0, -3.0, 9.5, 2.0]), np.array([3, 1, 40, 7])
    pixels, shares = np.repeat(values, counts), (0.0, 0.0005, 0.13, 0.5, 0.9995, 1.0)
    np.testing.assert_allclose(quantiles(values, counts, shares), np.quantile(pixels, shares))

"""PNG and JPEG pictures of radiographs: read with a stated view, or refused with a code."""

import io

import numpy as np
import pytest
from PIL import Image

from spine.errors import DicomRejected
from spine.radiograph.orientation import GivenOrientation
from spine.radiograph.picture import is_picture, read_picture
from spine.study import LENGTHS_ALLOWED

RAMP = np.arange(600 * 300, dtype=np.int64).reshape(600, 300)
GREY8 = (RAMP * 255 // RAMP.max()).astype(np.uint8)
GREY16 = (RAMP * 65535 // RAMP.max()).astype(np.uint16)
FRONTAL, LATERAL = GivenOrientation("frontal"), GivenOrientation("lateral", "right")


def encoded(pixels, form="PNG", **options):
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, form, **options)
    return written.getvalue()


def test_grey_values_become_those_of_a_secondary_capture():
    read = read_picture(encoded(GREY8), FRONTAL)
    np.testing.assert_allclose(read.image, GREY8 * (4095 / 255), atol=0.51)
    assert (read.view, read.spacing_mm, read.calibration, read.geometry) == ("frontal", None, "NONE", None)
    assert read.calibration not in LENGTHS_ALLOWED and read.remarks


def test_sixteen_bits_colour_and_jpeg_are_read():
    deep = read_picture(encoded(GREY16), FRONTAL).image
    assert np.abs(deep.astype(int) - GREY16 / 65535 * 4095).max() < 8
    colour = read_picture(encoded(np.stack([GREY8] * 3, axis=-1)), FRONTAL)
    np.testing.assert_array_equal(colour.image, read_picture(encoded(GREY8), FRONTAL).image)
    assert colour.facts["colour"] == "turned to grey"
    lossy = read_picture(encoded(GREY8, "JPEG", quality=95), FRONTAL).image
    assert np.abs(lossy.astype(int) - GREY8 * (4095 / 255)).mean() < 40


def test_the_stated_direction_mirrors_a_lateral_and_its_grid_undoes_it():
    read = read_picture(encoded(GREY8), LATERAL)
    np.testing.assert_array_equal(read.image, read_picture(encoded(GREY8), FRONTAL).image[:, ::-1])
    np.testing.assert_allclose(read.grid.to_stored(np.array([0.0, 4.0])), [299, 4])
    assert read_picture(encoded(GREY8), GivenOrientation("lateral")).orientation.facing == "unknown"


def test_a_stated_spacing_allows_lengths():
    read = read_picture(encoded(GREY8), FRONTAL, 0.8)
    assert read.spacing_mm == (0.8, 0.8) and read.calibration in LENGTHS_ALLOWED


def test_a_path_is_read_like_its_bytes(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(GREY8))
    assert is_picture(path) and is_picture(encoded(GREY8, "JPEG")) and not is_picture(b"DICM")
    np.testing.assert_array_equal(read_picture(path, FRONTAL).image, read_picture(encoded(GREY8), FRONTAL).image)


PNG = encoded(GREY8)
HUGE = encoded(np.zeros((1, 20001), np.uint8))
REFUSED = [
    ("VIEW_NOT_STATED", PNG, GivenOrientation(), None),
    ("PICTURE_UNREADABLE", PNG[:400], FRONTAL, None),
    ("PICTURE_UNREADABLE", b"\xff\xd8\xff" + bytes(100), FRONTAL, None),
    ("PICTURE_UNSUPPORTED", encoded(np.zeros((300, 300, 4), np.uint8)), FRONTAL, None),
    ("IMAGE_SIZE_UNSUPPORTED", HUGE, FRONTAL, None),
    ("IMAGE_BLANK", encoded(np.zeros((300, 300), np.uint8)), FRONTAL, None),
    ("SPACING_INVALID", PNG, FRONTAL, 40.0),
    ("SPACING_INVALID", PNG, FRONTAL, float("nan")),
    ("SPACING_INVALID", PNG, FRONTAL, 0.05),
    ("EMPTY_FILE", b"", FRONTAL, None),
]


@pytest.mark.parametrize(("code", "content", "given", "spacing"), REFUSED)
def test_what_is_no_radiograph_is_refused_with_a_code(code, content, given, spacing):
    with pytest.raises(DicomRejected) as refused:
        read_picture(content, given, spacing)
    assert refused.value.code == code

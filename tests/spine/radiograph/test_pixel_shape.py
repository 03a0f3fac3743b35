"""Pixels that are not square: angles are right whichever tag says so, or the image is refused."""

import numpy as np
import pytest

from spine.radiograph.pixel_grid import grey_of, with_square_pixels
from spine.radiograph.read import read_radiograph
from tests.spine.radiograph.constructed_radiographs import edited, with_pixels, with_raw
from tests.spine.refusals import code_of

CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
GEOMETRY: tuple[str, ...] = ("PixelSpacing", "ImagerPixelSpacing", "PixelSpacingCalibrationType")
GEOMETRY += ("DistanceSourceToDetector", "DistanceSourceToPatient", "DistanceSourceToIsocenter")
HEIGHT, WIDTH = 200, 120


def square_image():
    """A smooth image with a bright point at row 140, column 40, in square pixels."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    spot = 3000 * np.exp(-((rows - 140) ** 2 + (columns - 40) ** 2) / 300)
    return (500 + spot + columns).astype(np.uint16)


def squeezed(image, rows, columns):
    """The image sampled anew with other numbers of rows and columns of the same field."""
    y = (np.arange(rows) + 0.5) * image.shape[0] / rows - 0.5
    x = (np.arange(columns) + 0.5) * image.shape[1] / columns - 0.5
    across = np.array([np.interp(x, np.arange(image.shape[1]), line) for line in image.astype(float)])
    return np.rint([np.interp(y, np.arange(image.shape[0]), line) for line in across.T]).T.astype(np.uint16)


def spot_of(image, spacing=None):
    """(row, column) of the brightest place, in units of a column."""
    weight = np.clip(image.astype(float) - 2500, 0, None)
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    across = 1.0 if spacing is None else spacing[0] / spacing[1]
    return (rows * weight).sum() / weight.sum() * across, (columns * weight).sum() / weight.sum()


@pytest.mark.parametrize("ratio", [["5", "4"], ["4", "5"], ["10", "9"], ["1", "1"]])
@pytest.mark.parametrize("sop_class", [None, CAPTURE])
def test_a_ratio_alone_gives_square_pixels(original, ratio, sop_class):
    tall = int(ratio[0]) / int(ratio[1])
    shape = (round(HEIGHT / tall), WIDTH) if tall >= 1 else (HEIGHT, round(WIDTH * tall))
    tags = {"PixelAspectRatio": ratio} | ({"SOPClassUID": sop_class} if sop_class else {})
    read = read_radiograph(with_pixels(original, squeezed(square_image(), *shape), GEOMETRY, **tags))
    assert read.image.shape == (HEIGHT, WIDTH)
    assert (read.spacing_mm, read.calibration) == (None, "NONE")
    np.testing.assert_allclose(spot_of(read.image), spot_of(square_image()), atol=0.3)
    assert bool(read.remarks) == (tall != 1) == ("pixels" in read.facts)


def test_the_ratio_belongs_to_the_stored_axes(original):
    # A lying image: the body runs along its rows, and its rows become columns.
    stored = squeezed(square_image(), HEIGHT, round(WIDTH * 0.8)).T
    tags = {"PixelAspectRatio": ["5", "4"], "PatientOrientation": ["F", "L"]}
    read = read_radiograph(with_pixels(original, stored, GEOMETRY, **tags))
    assert read.image.shape == (HEIGHT, WIDTH)
    np.testing.assert_allclose(spot_of(read.image), spot_of(square_image()), atol=0.3)


@pytest.mark.parametrize("tag", ["PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"])
@pytest.mark.parametrize("sop_class", [None, CAPTURE])
@pytest.mark.parametrize("spacing", [["2.5", "2.0"], ["2.0", "2.5"], ["2.2", "2"]])
def test_every_spacing_carries_the_shape_of_a_pixel(original, tag, sop_class, spacing):
    row, column = map(float, spacing)
    shape = (round(HEIGHT * 2 / row), round(WIDTH * 2 / column))
    tags = {tag: spacing} | ({"SOPClassUID": sop_class} if sop_class else {})
    read = read_radiograph(with_pixels(original, squeezed(square_image(), *shape), GEOMETRY, **tags))
    assert read.spacing_mm == (row, column)
    assert read.calibration in ("UNKNOWN", "PROJECTION"), "no length in the patient"
    found = np.multiply(spot_of(read.image), (read.spacing_mm[0], read.spacing_mm[1]))
    np.testing.assert_allclose(found, np.multiply(spot_of(square_image()), 2.0), atol=1.2)


@pytest.mark.parametrize("ratio", [b"2\\1", b"1\\2", b"0\\1", b"-5\\-4", b"5", b"5\\4\\3", b"5,4", b"abc"])
def test_an_impossible_ratio_is_refused(original, ratio):
    path = with_raw(edited(original, without=GEOMETRY), 0x00280034, "IS", ratio)
    assert code_of(read_radiograph, path) == "ASPECT_INVALID"


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"PixelSpacing": ["2", "2"], "PixelAspectRatio": ["5", "4"]}, "ASPECT_CONFLICT"),
        ({"NominalScannedPixelSpacing": ["2", "2"], "PixelAspectRatio": ["5", "4"]}, "ASPECT_CONFLICT"),
        (
            {"SOPClassUID": CAPTURE, "PixelSpacing": ["2", "2"], "NominalScannedPixelSpacing": ["2.4", "2"]},
            "ASPECT_CONFLICT",
        ),
        ({"NominalScannedPixelSpacing": ["2", "1"]}, "SPACING_INVALID"),
        ({"NominalScannedPixelSpacing": ["0", "0"]}, "SPACING_INVALID"),
    ],
)
def test_tags_that_state_different_shapes_are_refused(original, tags, code):
    assert code_of(read_radiograph, edited(original, without=GEOMETRY, **tags)) == code


@pytest.mark.parametrize("tags", [{"PixelAspectRatio": ["5", "4"]}, {"PixelAspectRatio": ["1", "1"]}])
def test_a_ratio_beside_the_spacing_it_agrees_with_changes_nothing(original, tags):
    path = edited(original, without=GEOMETRY, PixelSpacing=["2.5", "2"], **tags)
    read = read_radiograph(path)
    assert read.spacing_mm == (2.5, 2.0) and not read.remarks


@pytest.mark.parametrize("aspect", [1.25, 1.1, 0.8, 0.9])
def test_square_pixels_keep_the_field_and_the_values(aspect):
    image = square_image()
    square = with_square_pixels(image, aspect)
    assert square.dtype == np.uint16 and image.min() <= square.min() < square.max() <= image.max()
    assert square.shape == ((round(HEIGHT * aspect), WIDTH) if aspect > 1 else (HEIGHT, round(WIDTH / aspect)))
    ramp = np.repeat(np.arange(0, 400, 2, dtype=np.uint16)[:, None], 50_000, axis=1)  # several blocks of rows
    stretched = with_square_pixels(ramp, 1.25)
    expected = np.clip(((np.arange(250) + 0.5) / 1.25 - 0.5) * 2, 0, 398)
    np.testing.assert_allclose(stretched[:, 7], expected, atol=0.51)


def test_colour_becomes_its_luma():
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 256, (700, 90, 3), dtype=np.uint8)
    np.testing.assert_allclose(grey_of(rgb, "RGB"), rgb @ np.array([0.299, 0.587, 0.114]), atol=0.51)
    np.testing.assert_array_equal(grey_of(rgb, "YBR_FULL"), rgb[..., 0])

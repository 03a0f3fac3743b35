"""The affine, the warp and the grey values."""

import numpy as np
import pytest

from inference.contract import Normalisation
from inference.preprocessing import GREY_LIMIT, Affine, letterbox, prepare
from spine.errors import ContractViolation

SHAPES = [(512, 256), (480, 256), (300, 1100), (1700, 413), (5018, 1896)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spacing", [None, (0.5, 0.5), (0.8, 0.5), (0.3, 0.45)])
def test_points_map_both_ways(shape: tuple[int, int], spacing: tuple[float, float] | None) -> None:
    affine = letterbox(shape, (256, 192), spacing)
    points = np.random.default_rng(0).uniform(-20, 5000, (50, 2))
    np.testing.assert_allclose(affine.inverse.apply(affine.apply(points)), points, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_whole_image_fits_centred_and_touches_two_edges(shape: tuple[int, int]) -> None:
    height, width = 256, 192
    affine = letterbox(shape, (height, width))
    corners = affine.apply(np.array([[-0.5, -0.5], [shape[1] - 0.5, shape[0] - 0.5]]))
    low, high = corners
    assert (low >= -0.5 - 1e-9).all()
    assert (high <= np.array([width - 0.5, height - 0.5]) + 1e-9).all()
    np.testing.assert_allclose((low + high) / 2, [(width - 1) / 2, (height - 1) / 2], atol=1e-9)
    assert np.isclose(low + 0.5, 0, atol=1e-9).any()


def test_a_smaller_scale_shrinks_the_image_about_the_centre_of_the_input() -> None:
    size = (512, 256)
    whole, half = letterbox((600, 200), size), letterbox((600, 200), size, scale=0.5)
    centre = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    corners = np.array([[0.0, 0.0], [199.0, 599.0]])
    assert np.allclose(half.apply(corners) - centre, (whole.apply(corners) - centre) / 2)
    image = np.random.default_rng(1).integers(1000, 3000, (600, 200)).astype(np.uint16)
    pixels = prepare(image, size, scale=0.5).pixels[0]
    assert (pixels != -1).any(axis=1).sum() == pytest.approx(size[0] / 2, abs=2)


def test_angles_survive_unequal_spacing() -> None:
    """45 degrees in the patient are 45 degrees in the input, though not in the stretched image."""
    row_mm, column_mm = 0.8, 0.5
    affine = letterbox((400, 300), (256, 192), (row_mm, column_mm))
    start = np.array([50.0, 60.0])
    end = start + np.array([40 / column_mm, 40 / row_mm])
    across, down = affine.apply(end) - affine.apply(start)
    assert np.degrees(np.arctan2(down, across)) == pytest.approx(45.0, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_dot_lies_where_its_point_goes(shape: tuple[int, int]) -> None:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    where = np.array([0.31 * shape[1], 0.72 * shape[0]])
    sigma = max(shape) / 90
    dot = 4000 * np.exp(-0.5 * ((columns - where[0]) ** 2 + (rows - where[1]) ** 2) / sigma**2)
    prepared = prepare(dot.astype(np.uint16), (256, 192), normalisation=Normalisation(0, 100))
    weights = prepared.pixels[0].astype(float) + 1
    assert prepared.pixels.shape == (1, 256, 192)
    r, c = np.mgrid[:256, :192]
    seen = np.array([(weights * c).sum(), (weights * r).sum()]) / weights.sum()
    np.testing.assert_allclose(seen, prepared.affine.apply(where), atol=0.1)


def test_an_extra_affine_is_part_of_the_returned_one() -> None:
    image = np.random.default_rng(0).integers(0, 4096, (200, 100)).astype(np.uint16)
    shift = Affine(np.array([[1.0, 0.0, 7.0], [0.0, 1.0, -4.0], [0.0, 0.0, 1.0]]))
    plain, moved = prepare(image, (128, 64)), prepare(image, (128, 64), extra=shift)
    point = np.array([33.0, 120.0])
    np.testing.assert_allclose(moved.affine.apply(point), plain.affine.apply(point) + [7, -4], atol=1e-9)
    np.testing.assert_allclose(moved.pixels[0, 10:100, 10:60], plain.pixels[0, 14:104, 3:53], atol=1e-4)


def test_greys_do_not_depend_on_gain_or_offset() -> None:
    image = np.random.default_rng(0).integers(0, 2000, (180, 90)).astype(np.uint16)
    other = (image * 7 + 900).astype(np.uint16)
    np.testing.assert_allclose(prepare(image, (128, 64)).pixels, prepare(other, (128, 64)).pixels, atol=1e-3)
    assert np.abs(prepare(image, (128, 64)).pixels).max() <= GREY_LIMIT


def test_a_blank_image_stays_finite() -> None:
    assert np.isfinite(prepare(np.full((80, 40), 500, np.uint16), (128, 64)).pixels).all()


@pytest.mark.parametrize(
    "image", [np.zeros((3, 40, 40), np.uint16), np.zeros((40, 40), np.float64), np.zeros((1, 40), np.uint16)]
)
def test_an_invalid_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ContractViolation, match="IMAGE_INVALID"):
        prepare(image, (128, 64))


@pytest.mark.parametrize("shape", [(40, 24), (17, 5), (1, 9)])
def test_numpy_and_scipy_warp_alike(shape: tuple[int, int]) -> None:
    """A training machine without scipy must make the same inputs as service."""
    from scipy import ndimage

    from inference.preprocessing import _warp_by_numpy, _warp_upright

    random = np.random.default_rng(4)
    image = random.normal(size=shape).astype(np.float32)
    for angle in (0.0, 0.2, -0.7):
        back = np.array(
            [[1.3 * np.cos(angle), -np.sin(angle), -3.1], [np.sin(angle), 0.9 * np.cos(angle), 2.7], [0, 0, 1.0]]
        )
        matrix, offset = back[:2, :2][::-1, ::-1], back[:2, 2][::-1]
        served = ndimage.affine_transform(image, matrix, offset, output_shape=(31, 23), order=1, cval=-1.0)
        np.testing.assert_allclose(_warp_by_numpy(image, back, (31, 23)), served, atol=2e-5)
        if angle == 0:
            np.testing.assert_allclose(_warp_upright(image, back, (31, 23)), served, atol=2e-5)

"""Decoding of heat maps with known answers."""

import numpy as np
import pytest

from inference.decoding import cell_centres, decode, expectation, normalised_from_pixels, pixels_from_normalised
from inference.preprocessing import Affine, letterbox
from spine.errors import ContractViolation

K, H, W = 3, 5, 7
INPUT = (20, 28)  # stride 4
NAMES = ("T1_sup", "S1_sup", "HIP_L")
SURE = np.full(K, 9.0, np.float32)


def _cells(*where: tuple[int, int]) -> np.ndarray:
    maps = np.zeros((K, H, W), np.float32)
    for k, (row, column) in enumerate(where):
        maps[k, row, column] = 1
    return maps


def test_a_cell_lies_at_the_middle_of_its_pixels() -> None:
    found = decode(_cells((0, 0), (4, 6), (2, 3)), SURE, NAMES, INPUT, Affine(np.eye(3)), INPUT)
    np.testing.assert_allclose(found.points["T1_sup"], [1.5, 1.5])  # pixels 0..3
    np.testing.assert_allclose(found.points["S1_sup"], [25.5, 17.5])
    np.testing.assert_allclose(found.points["HIP_L"], [13.5, 9.5])
    assert found.spread_px == {"T1_sup": 0.0, "S1_sup": 0.0, "HIP_L": 0.0}


def test_points_are_in_the_pixels_of_the_image() -> None:
    shape = (400, 210)
    affine = letterbox(shape, INPUT)
    truth = affine.inverse.apply(np.array([[13.5, 9.5]]))[0]
    found = decode(_cells((2, 3), (2, 3), (2, 3)), SURE, NAMES, INPUT, affine, shape)
    np.testing.assert_allclose(found.points["HIP_L"], truth)


def test_spread_is_the_standard_deviation_in_image_pixels() -> None:
    maps = _cells((2, 3), (2, 3), (2, 3))
    maps[0, 2, 3], maps[0, 2, 2], maps[0, 2, 4] = 0.0, 0.5, 0.5
    half = Affine(np.diag([0.5, 0.5, 1.0]))  # the image is twice the input's size
    found = decode(maps, SURE, NAMES, INPUT, half, (40, 56))
    assert found.spread_px["T1_sup"] == pytest.approx(2 * 4 / np.sqrt(2))


def test_invisible_undecided_and_outside_landmarks_are_absent() -> None:
    maps = _cells((2, 3), (2, 3), (0, 6))
    maps[1] = 1 / (H * W)
    logits = np.array([-2.0, 5.0, 5.0], np.float32)
    found = decode(maps, logits, NAMES, INPUT, Affine(np.eye(3)), (20, 20))
    assert found.points == {}
    assert found.visibility["T1_sup"] == pytest.approx(1 / (1 + np.exp(2)))
    assert set(found.visibility) == set(NAMES)


@pytest.mark.parametrize("damage", ["nan", "sum", "visibility", "shape"])
def test_broken_outputs_are_refused(damage: str) -> None:
    maps, logits = _cells((0, 0), (1, 1), (2, 2)), SURE.copy()
    if damage == "nan":
        maps[1, 0, 0] = np.nan
    elif damage == "sum":
        maps[1] *= 2
    elif damage == "visibility":
        logits[1] = np.inf
    else:
        maps = maps[:2]
    with pytest.raises(ContractViolation, match="MODEL_OUTPUT_INVALID"):
        decode(maps, logits, NAMES, INPUT, Affine(np.eye(3)), INPUT)


def test_normalised_and_pixel_coordinates_are_inverse() -> None:
    xy = np.random.default_rng(0).uniform(-1, 1, (9, 2))
    np.testing.assert_allclose(normalised_from_pixels(pixels_from_normalised(xy, (5, 7)), (5, 7)), xy, atol=1e-12)
    np.testing.assert_allclose(pixels_from_normalised(np.array([-1.0, 1.0]), (5, 7)), [-0.5, 4.5])


def test_expectation_and_variance_of_two_cells() -> None:
    maps = np.zeros((H, W))
    maps[1, 2], maps[1, 5] = 0.25, 0.75
    mean, variance = expectation(maps)
    x = cell_centres(W)
    np.testing.assert_allclose(mean, [0.25 * x[2] + 0.75 * x[5], cell_centres(H)[1]])
    np.testing.assert_allclose(variance, [0.25 * 0.75 * (x[5] - x[2]) ** 2, 0.0], atol=1e-12)

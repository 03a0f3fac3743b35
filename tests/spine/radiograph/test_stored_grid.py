"""Positions in the stored image: the exact inverse of the turn to canonical orientation."""

from itertools import product

import numpy as np
import pytest

from spine.radiograph.orientation import Orientation
from spine.radiograph.pixel_grid import with_square_pixels
from spine.radiograph.read import read_radiograph
from spine.radiograph.stored_grid import StoredGrid
from tests.spine.radiograph.constructed_radiographs import edited, sample_radiograph

SHAPE = (7, 5)
EIGHT = list(product((False, True), repeat=3))


def grid_of(transpose, rows, columns, shape=SHAPE, square=None):
    orientation = Orientation("frontal", "", True, transpose, flip_rows=rows, flip_columns=columns)
    return StoredGrid(shape, square or shape, orientation)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", EIGHT)
def test_every_pixel_is_found_again_where_the_file_stores_it(turn, mirrored):
    grid = grid_of(*turn)
    stored = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    canonical = grid.orientation.apply(stored)
    if mirrored:
        grid, canonical = grid.mirror(), canonical[:, ::-1]
    for row, column in np.ndindex(canonical.shape):
        there = grid.to_stored(np.array([column, row]))
        assert stored[int(there[1]), int(there[0])] == canonical[row, column]
        np.testing.assert_allclose(grid.to_canonical(there), [column, row], atol=1e-12)


@pytest.mark.parametrize("turn", EIGHT)
def test_dicom_counts_from_the_corner_of_the_first_stored_pixel(turn):
    grid = grid_of(*turn)
    points = np.array([[0.25, 3.5], [2.0, 1.75]])
    np.testing.assert_allclose(grid.to_dicom(points), grid.to_stored(points) + 0.5)
    np.testing.assert_allclose(grid.from_dicom(grid.to_dicom(points)), points, atol=1e-12)
    corners = grid.to_dicom(grid.to_canonical(np.array([[-0.5, -0.5], [SHAPE[1] - 0.5, SHAPE[0] - 0.5]])))
    np.testing.assert_allclose(corners, [[0, 0], [SHAPE[1], SHAPE[0]]], atol=1e-12)


@pytest.mark.parametrize(("aspect", "square"), [(1.25, (50, 24)), (0.8, (40, 30))])
def test_square_pixels_are_undone(aspect, square):
    """A ramp down the rows and one across the columns: the grey value of a place tells its stored position."""
    rows, columns = np.mgrid[0:40, 0:24] * 100
    for axis, ramp in ((1, rows), (0, columns)):
        resampled = with_square_pixels(ramp.astype(np.uint16), aspect)
        assert resampled.shape == square
        grid = grid_of(False, False, False, (40, 24), square)
        for place in ((10, 12), (17, 23), (5, 20)):
            assert abs(grid.to_stored(np.array(place, float))[axis] * 100 - resampled[place[1], place[0]]) <= 0.5


def test_a_file_carries_its_grid(tmp_path):
    original = sample_radiograph(tmp_path / "a.dcm")
    plain = read_radiograph(original)
    read = read_radiograph(edited(original, PatientOrientation=["R", "F"]))
    columns = read.image.shape[1]
    np.testing.assert_allclose(read.grid.to_stored(np.array([0.0, 2.0])), [columns - 1, 2])
    np.testing.assert_allclose(plain.grid.to_stored(np.array([0.0, 2.0])), [0, 2])


def test_bytes_are_read_like_the_file(tmp_path):
    path = sample_radiograph(tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_radiograph(path.read_bytes()).image, read_radiograph(path).image)

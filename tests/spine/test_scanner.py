"""Projection and triangulation against the equations, a ray-tracing oracle and each other."""

import numpy as np
import pytest

from spine.scanner import (
    NATIVE_SPACING_MM,
    SOURCE_TO_ISOCENTRE_MM,
    ViewGeometry,
    is_on_image,
    project_to_plane,
    triangulate,
)

F, G = SOURCE_TO_ISOCENTRE_MM["frontal"], SOURCE_TO_ISOCENTRE_MM["lateral"]


def geometries(shape=(640, 300), spacing=(1.5, 1.25), z0=40.0):
    return tuple(
        ViewGeometry(view, shape, spacing, SOURCE_TO_ISOCENTRE_MM[view], u0_mm=u0, z0_mm=z0)
        for view, u0 in (("frontal", 3.0), ("lateral", -7.0))
    )


def body_points(count=500):
    return np.random.default_rng(1).uniform([-170, -150, -450], [170, 150, 450], size=(count, 3))


def test_native_spacing_is_the_published_pixel():
    assert NATIVE_SPACING_MM == pytest.approx(0.179363, abs=5e-7)


def test_round_trip_through_both_images_is_exact():
    frontal, lateral = geometries()
    points = body_points()
    found = triangulate(frontal.project(points), lateral.project(points), frontal, lateral)
    assert np.abs(found.xyz_mm - points).max() < 1e-6
    assert np.abs(found.dz_mm).max() < 1e-9


def test_projection_meets_the_ray_from_the_source():
    """The plane coordinate is where the straight ray source -> point crosses the isocentre plane."""
    for view, source, axis in (("frontal", np.array([0.0, -F]), 1), ("lateral", np.array([-G, 0.0]), 0)):
        points = body_points(40)
        flat = points[:, :2]
        step = -source[axis] / (flat[:, axis] - source[axis])
        crossing = source + step[:, None] * (flat - source)
        found = project_to_plane(points, view, SOURCE_TO_ISOCENTRE_MM[view])
        np.testing.assert_allclose(found[:, 0], crossing[:, 1 - axis], atol=1e-9)
        np.testing.assert_array_equal(found[:, 1], points[:, 2])


def test_patient_motion_shows_as_height_difference():
    (frontal, lateral), point = geometries(), np.array([[20.0, 30.0, 100.0]])
    found = triangulate(frontal.project(point), lateral.project(point + [0, 0, 2.5]), frontal, lateral)
    assert found.dz_mm[0] == pytest.approx(-2.5)


def test_pixels_and_plane_use_row_and_column_spacing():
    frontal, _ = geometries()
    corner = frontal.plane_from_pixels(np.array([-0.5, -0.5]))
    np.testing.assert_allclose(corner, [3.0 - 150 * 1.25, 40.0 + 320 * 1.5])
    pixels = np.array([[12.25, 600.5], [0.0, 0.0]])
    np.testing.assert_allclose(frontal.pixels_from_plane(frontal.plane_from_pixels(pixels)), pixels, atol=1e-12)


def test_left_is_right_in_the_image_and_back_is_right_in_the_lateral():
    frontal, lateral = geometries()
    origin = np.zeros(3)
    assert frontal.project(np.array([10.0, 0, 0]))[0] > frontal.project(origin)[0]
    assert lateral.project(np.array([0, 10.0, 0]))[0] > lateral.project(origin)[0]
    assert frontal.project(np.array([0, 0, 10.0]))[1] < frontal.project(origin)[1]


def test_an_image_includes_pixel_edges_only():
    inside = is_on_image(np.array([[-0.5, -0.5], [6.5, 4.5], [6.51, 0.0], [0.0, -0.51]]), (5, 7))
    assert inside.tolist() == [True, True, False, False]


def test_points_behind_the_source_are_refused():
    with pytest.raises(ValueError, match="behind the frontal source"):
        project_to_plane(np.array([0.0, -1000.0, 0.0]), "frontal", F)

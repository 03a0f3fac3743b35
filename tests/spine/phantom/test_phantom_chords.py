"""Chords of soft parts against closed forms and against marching along the ray."""

import numpy as np
import pytest

from spine.phantom.chords import Rays, chord
from spine.phantom.soft_tissue import Ellipsoid, Loft
from spine.scanner import SOURCE_TO_ISOCENTRE_MM, ViewGeometry

VIEWS = {
    view: ViewGeometry(view, (46, 64), (5.0, 4.0), SOURCE_TO_ISOCENTRE_MM[view], 6.0, 9.0)
    for view in ("frontal", "lateral")
}


def rays_of(geometry: ViewGeometry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source (3,) but for z, unit directions (W, 2) and heights (H,), from the scanner's own equations."""
    height, width = geometry.shape
    u = geometry.plane_from_pixels(np.stack([np.arange(width), np.zeros(width)], axis=-1).astype(float))[:, 0]
    z = geometry.plane_from_pixels(np.stack([np.zeros(height), np.arange(height)], axis=-1).astype(float))[:, 1]
    f = geometry.source_to_isocentre_mm
    source = np.array([0.0, -f]) if geometry.view == "frontal" else np.array([-f, 0.0])
    target = np.stack([u, 0 * u] if geometry.view == "frontal" else [0 * u, u], axis=-1)
    direction = (target - source) / np.linalg.norm(target - source, axis=-1, keepdims=True)
    return source, direction, z


@pytest.mark.parametrize("view", ["frontal", "lateral"])
def test_a_sphere_has_the_chords_of_a_sphere(view) -> None:
    geometry, centre, radius = VIEWS[view], np.array([20.0, -30.0, 12.0]), 55.0
    source, direction, z = rays_of(geometry)
    offset = centre[:2] - source
    aside = direction[:, 0] * offset[1] - direction[:, 1] * offset[0]
    expected = 2 * np.sqrt(np.clip(radius**2 - aside**2 - (z[:, None] - centre[2]) ** 2, 0, None))
    found = chord(Ellipsoid(centre, np.eye(3) * radius), Rays(geometry)).numpy()
    assert found == pytest.approx(expected, abs=0.02)
    assert found.max() > 105


@pytest.mark.parametrize("view", ["frontal", "lateral"])
def test_an_upright_elliptic_cylinder_is_exact_for_leaning_rays(view) -> None:
    geometry, (x, y, a, b) = VIEWS[view], (-15.0, 20.0, 80.0, 40.0)
    source, direction, z = rays_of(geometry)
    o, d = (source - [x, y]) / [a, b], direction / [a, b]
    qa, qb, qc = (d**2).sum(-1), (d * o).sum(-1), (o**2).sum() - 1
    expected = np.tile(2 * np.sqrt(np.clip(qb**2 - qa * qc, 0, None)) / qa, (len(z), 1))
    expected[(z < -70) | (z > 60)] = 0
    loft = Loft(np.array([-70.0, 60.0]), np.array([[x, y]] * 2), np.array([[a, b]] * 2))
    assert chord(loft, Rays(geometry)).numpy() == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("view", ["frontal", "lateral"])
@pytest.mark.parametrize("power", [2.0, 2.4])
def test_solids_agree_with_marching_along_the_ray(view, power) -> None:
    geometry = VIEWS[view]
    source, direction, z = rays_of(geometry)
    t = np.arange(700, 1200, 0.25)
    xy = source + t[:, None, None] * direction  # (T, W, 2)
    turn, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))
    ellipsoid = Ellipsoid(np.array([10.0, 5.0, 4.0]), turn @ np.diag([30.0, 55.0, 70.0]))
    loft = Loft(
        np.array([-80.0, 0.0, 80.0]),
        np.array([[0.0, 0.0], [8.0, 4.0], [-5.0, 3.0]]),
        np.array([[60.0, 40.0], [90.0, 60.0], [50.0, 45.0]]),
        power,
    )
    for row in (10, 25, 33):
        offset = np.concatenate([xy, np.full((*xy.shape[:2], 1), z[row])], axis=-1) - ellipsoid.centre_mm
        inside = ((offset @ np.linalg.inv(ellipsoid.axes_mm).T) ** 2).sum(-1) <= 1
        assert chord(ellipsoid, Rays(geometry)).numpy()[row] == pytest.approx(inside.sum(0) * 0.25, abs=0.6)
        centre = [np.interp(z[row], loft.z_mm, loft.centre_mm[:, i]) for i in range(2)]
        half = [np.interp(z[row], loft.z_mm, loft.half_mm[:, i]) for i in range(2)]
        scaled = np.abs((xy - centre) / half)
        marched = ((scaled**power).sum(-1) <= 1).sum(0) * 0.25
        # Other powers than 2 are approximate for leaning rays, worst at the rim.
        assert chord(loft, Rays(geometry)).numpy()[row] == pytest.approx(marched, abs=0.6 if power == 2.0 else 6.0)


def test_nothing_is_drawn_outside_a_solids_own_rows() -> None:
    loft = Loft(np.array([200.0, 300.0]), np.zeros((2, 2)), np.full((2, 2), 50.0))
    assert float(chord(loft, Rays(VIEWS["frontal"])).abs().max()) == 0.0

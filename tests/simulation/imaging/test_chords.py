"""Rays, and chords of solids along them, against closed forms and against marching along the ray."""

import numpy as np
import pytest
import torch

from simulation.body.solids import CONTROLS, NO_ELLIPSOID, Ellipsoid, Ellipsoids, Loft, Lofts, ellipsoids_of, lofts_of
from simulation.imaging.chords import add_small, ellipsoid_chords, loft_chords, ray_lines
from simulation.imaging.rays import rays_of
from spine.scanner import SOURCE_TO_ISOCENTRE_MM, ViewGeometry

SHAPE = (46, 64)
VIEWS = ("frontal", "lateral")


def geometries(view) -> list[ViewGeometry]:
    """The images of two patients; only their shape is the same."""
    f = SOURCE_TO_ISOCENTRE_MM[view]
    return [
        ViewGeometry(view, SHAPE, (5.0, 4.0), f, 6.0, 9.0),
        ViewGeometry(view, SHAPE, (4.4, 3.7), 1.2 * f, -21.0, -14.0),
    ]


def scanner_rays(geometry: ViewGeometry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source (2,), unit directions (W, 2) and heights (H,), from the scanner's own equations."""
    height, width = geometry.shape
    u = geometry.plane_from_pixels(np.stack([np.arange(width), np.zeros(width)], axis=-1).astype(float))[:, 0]
    z = geometry.plane_from_pixels(np.stack([np.zeros(height), np.arange(height)], axis=-1).astype(float))[:, 1]
    f = geometry.source_to_isocentre_mm
    source = np.array([0.0, -f]) if geometry.view == "frontal" else np.array([-f, 0.0])
    target = np.stack([u, 0 * u] if geometry.view == "frontal" else [0 * u, u], axis=-1)
    direction = (target - source) / np.linalg.norm(target - source, axis=-1, keepdims=True)
    return source, direction, z


def ellipsoids(*rows: list[Ellipsoid]) -> Ellipsoids:
    return ellipsoids_of(torch.from_numpy(np.stack([[e.array() for e in row] for row in rows])))


def lofts(*rows: list[Loft]) -> Lofts:
    return lofts_of(torch.from_numpy(np.stack([[loft.array() for loft in row] for row in rows])))


def sphere_chords(geometry: ViewGeometry, centre: np.ndarray, radius: float) -> np.ndarray:
    source, direction, z = scanner_rays(geometry)
    offset = centre[:2] - source
    aside = direction[:, 0] * offset[1] - direction[:, 1] * offset[0]
    return 2 * np.sqrt(np.clip(radius**2 - aside**2 - (z[:, None] - centre[2]) ** 2, 0, None))


@pytest.mark.parametrize("view", VIEWS)
def test_rays_are_those_of_the_scanner(view) -> None:
    rays = rays_of(geometries(view))
    assert (len(rays), rays.shape, rays.view, rays.min_pixel_mm) == (2, SHAPE, view, 3.7)
    for i, geometry in enumerate(geometries(view)):
        source, direction, z = scanner_rays(geometry)
        assert rays.source[i].numpy() == pytest.approx(source, abs=1e-3)
        assert rays.direction[i].numpy() == pytest.approx(direction, abs=1e-6)
        assert rays.row_z_mm[i].numpy() == pytest.approx(z, abs=1e-4)


def test_images_of_two_shapes_or_views_are_refused() -> None:
    one = geometries("frontal")[0]
    for other in (geometries("lateral")[0], ViewGeometry("frontal", (46, 65), (5.0, 4.0), 987.0)):
        with pytest.raises(ValueError, match="expected one view and one shape"):
            rays_of([one, other])


@pytest.mark.parametrize("view", VIEWS)
def test_a_sphere_has_the_chords_of_a_sphere(view) -> None:
    balls = [
        [(np.array([20.0, -30.0, 12.0]), 55.0), (np.array([-40.0, 5.0, -20.0]), 31.0), (np.zeros(3), 8.0)],
        [(np.array([-9.0, 44.0, 2.0]), 47.0), (np.array([60.0, -70.0, 50.0]), 20.0), (np.zeros(3), 63.0)],
    ]
    solids = ellipsoids(*[[Ellipsoid(c, np.eye(3) * r) for c, r in row] for row in balls])
    found = ellipsoid_chords(solids, ray_lines(rays_of(geometries(view)))).numpy()
    assert found.shape == (2, 3, *SHAPE)
    for i, geometry in enumerate(geometries(view)):
        for j, (centre, radius) in enumerate(balls[i]):
            assert found[i, j] == pytest.approx(sphere_chords(geometry, centre, radius), abs=0.02)
            assert found[i, j].max() > 1.9 * radius - 2


@pytest.mark.parametrize("view", VIEWS)
def test_an_upright_elliptic_cylinder_is_exact_for_leaning_rays(view) -> None:
    kinds = [
        [(-15.0, 20.0, 80.0, 40.0, -70.0, 60.0), (30.0, 2.0, 25.0, 65.0, -20.0, 90.0)],
        [(5.0, -40.0, 33.0, 71.0, -60.0, 10.0), (-22.0, 8.0, 90.0, 55.0, -80.0, 75.0)],
    ]
    solids = lofts(*[[cylinder(*kind) for kind in row] for row in kinds])
    found = loft_chords(solids, ray_lines(rays_of(geometries(view)))).numpy()
    assert found.shape == (2, 2, *SHAPE)
    for i, geometry in enumerate(geometries(view)):
        source, direction, z = scanner_rays(geometry)
        for j, (x, y, a, b, low, high) in enumerate(kinds[i]):
            o, d = (source - [x, y]) / [a, b], direction / [a, b]
            qa, qb, qc = (d**2).sum(-1), (d * o).sum(-1), (o**2).sum() - 1
            expected = np.tile(2 * np.sqrt(np.clip(qb**2 - qa * qc, 0, None)) / qa, (len(z), 1))
            expected[(z < low) | (z > high)] = 0
            assert found[i, j] == pytest.approx(expected, abs=0.05)
            assert 0 < (expected > 0).mean() < 1


def cylinder(x: float, y: float, a: float, b: float, low: float, high: float) -> Loft:
    return Loft(np.array([low, high], float), np.array([[x, y]] * 2, float), np.array([[a, b]] * 2, float))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("power", [2.0, 2.4])
def test_solids_agree_with_marching_along_the_ray(view, power) -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))
    solids = [
        Ellipsoid(np.array([10.0, 5.0, 4.0]), turn @ np.diag([30.0, 55.0, 70.0])),
        Ellipsoid(np.array([-14.0, 21.0, -9.0]), turn.T @ np.diag([62.0, 25.0, 41.0])),
    ]
    stacks = [
        waisted([[0.0, 0.0], [8.0, 4.0], [-5.0, 3.0]], [[60.0, 40.0], [90.0, 60.0], [50.0, 45.0]], power),
        waisted([[12.0, -6.0], [-9.0, 3.0], [0.0, 20.0]], [[45.0, 70.0], [30.0, 38.0], [80.0, 66.0]], power),
    ]
    lines = ray_lines(rays_of(geometries(view)))
    found = ellipsoid_chords(ellipsoids(*[[s] for s in solids]), lines).numpy()[:, 0]
    lofted = loft_chords(lofts(*[[s] for s in stacks]), lines).numpy()[:, 0]
    for i, geometry in enumerate(geometries(view)):
        source, direction, z = scanner_rays(geometry)
        t = np.arange(700, 1400, 0.25)
        xy = source + t[:, None, None] * direction  # (T, W, 2)
        for row in (10, 25, 33):
            offset = np.concatenate([xy, np.full((*xy.shape[:2], 1), z[row])], axis=-1) - solids[i].centre_mm
            inside = ((offset @ np.linalg.inv(solids[i].axes_mm).T) ** 2).sum(-1) <= 1
            assert found[i, row] == pytest.approx(inside.sum(0) * 0.25, abs=0.6)
            centre = [np.interp(z[row], stacks[i].z_mm, stacks[i].centre_mm[:, k]) for k in range(2)]
            half = [np.interp(z[row], stacks[i].z_mm, stacks[i].half_mm[:, k]) for k in range(2)]
            marched = ((np.abs((xy - centre) / half) ** power).sum(-1) <= 1).sum(0) * 0.25
            # Other powers than 2 are approximate for leaning rays, worst at the rim.
            assert lofted[i, row] == pytest.approx(marched, abs=0.6 if power == 2.0 else 6.0)
            assert marched.max() > 40


def waisted(centre: list[list[float]], half: list[list[float]], power: float) -> Loft:
    return Loft(np.array([-90.0, 0.0, 90.0]), np.array(centre), np.array(half), power)


def test_rows_outside_a_solid_are_empty() -> None:
    loft = Loft(np.array([200.0, 300.0]), np.zeros((2, 2)), np.full((2, 2), 50.0))
    assert float(loft_chords(lofts([loft], [loft]), ray_lines(rays_of(geometries("frontal")))).abs().max()) == 0.0


@pytest.mark.parametrize("view", VIEWS)
def test_an_ellipsoid_is_cut_off_below_its_fluid_level(view) -> None:
    at, axes = np.array([5.0, -12.0, 3.0]), np.diag([40.0, 30.0, 50.0])
    floors = (12.0, -31.0)
    lines = ray_lines(rays_of(geometries(view)))
    cut = ellipsoid_chords(ellipsoids(*[[Ellipsoid(at, axes, floor)] for floor in floors]), lines).numpy()
    whole = ellipsoid_chords(ellipsoids(*[[Ellipsoid(at, axes)]] * 2), lines).numpy()
    for i, floor in enumerate(floors):
        below = lines.z_mm[i].numpy() < floor
        assert np.array_equal(cut[i, 0, ~below], whole[i, 0, ~below])
        assert not cut[i, 0, below].any()
        assert whole[i, 0, below].any()


@pytest.mark.parametrize("view", VIEWS)
def test_small_ellipsoids_on_tiles_equal_those_on_the_whole_image(view) -> None:
    rng, reach = np.random.default_rng(5), 30.0
    rows = []
    for _ in range(2):
        row = [NO_ELLIPSOID]
        for x in (-110.0, -60.0, 0.0, 35.0, 120.0):  # the outer ones reach beyond the image
            turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
            at = np.array([x, x * 0.9, rng.uniform(-115, 110)])
            row.append(Ellipsoid(at, turn @ np.diag(rng.uniform(6, reach, 3)), at[2] - 4 if x > 0 else None))
        rows.append(row)
    solids, rays = ellipsoids(*rows), rays_of(geometries(view))
    weight = torch.tensor([[1.0, 0.5, 2.0, 1.0, 0.0, 3.0], [1.0, 1.0, 0.25, 4.0, 1.5, 1.0]])
    before = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(1))
    found = add_small(before, solids, rays, reach, weight)
    expected = before + (ellipsoid_chords(solids, ray_lines(rays)) * weight[..., None, None]).sum(1)
    assert found.numpy() == pytest.approx(expected.numpy(), abs=2e-3)
    assert float((expected - before)[0].max()) > 40
    assert float((expected - before)[1].max()) > 40
    edges = (expected - before)[:, :, [0, -1]].abs().sum() + (expected - before)[:, [0, -1]].abs().sum()
    assert float(edges) > 0, "no ellipsoid reaches the edge of the image, so the test cannot detect a wrap-around"


def test_arrays_of_solids_keep_their_values() -> None:
    rng = np.random.default_rng(0)
    z = [np.linspace(-50.0, 60.0, CONTROLS), np.linspace(10.0, 300.0, CONTROLS)]
    rows = [
        [
            Loft(z[k], rng.normal(size=(CONTROLS, 2)), rng.uniform(5, 90, (CONTROLS, 2)), 2.0 + 0.3 * k + i)
            for k in (0, 1, 0)
        ]
        for i in (0, 1)
    ]
    found = lofts(rows[0][:2], rows[1][:2])
    assert found.controls.shape == (2, 2, CONTROLS, 4)
    for i in (0, 1):
        for k in (0, 1):
            loft = rows[i][k]
            assert (float(found.low_mm[i, k]), float(found.high_mm[i, k])) == (loft.z_mm[0], loft.z_mm[-1])
            assert float(found.power[i, k]) == pytest.approx(loft.power)
            table = np.concatenate([loft.centre_mm, loft.half_mm], axis=1)
            assert found.controls[i, k].numpy() == pytest.approx(table, rel=1e-6, abs=1e-6)
    solid = Ellipsoid(rng.normal(size=3), rng.normal(size=(3, 3)), -7.5)
    back = ellipsoids([NO_ELLIPSOID, solid])
    assert back.centre_mm[0, 1].numpy() == pytest.approx(solid.centre_mm, abs=1e-6)
    assert back.axes_mm[0, 1].numpy() == pytest.approx(solid.axes_mm, abs=1e-6)
    assert float(back.floor_mm[0, 1]) == -7.5
    assert float(back[1:].floor_mm[0, 0]) == -7.5
    assert float(back.floor_mm[0, 0]) < -1e3


def test_a_grown_loft_has_longer_half_axes_and_never_negative_ones() -> None:
    both = lofts([cylinder(3, 4, 20, 30, -9, 9), cylinder(0, 1, 6, 50, -5, 8)], [cylinder(1, 2, 11, 12, 0, 9)] * 2)
    grown = both.grown(torch.tensor([-8.0, 5.0]))
    assert grown.controls[0, 0, 0].tolist() == [3, 4, 12, 22]
    assert grown.controls[0, 1, 0].tolist() == [0, 1, 1, 42]
    assert grown.controls[1, 0, 0].tolist() == [1, 2, 16, 17]
    assert torch.equal(grown.low_mm, both.low_mm)
    assert torch.equal(grown.high_mm, both.high_mm)
    assert torch.equal(grown.power, both.power)

"""Mass points and their splat against closed forms: volumes, areas, and the projections of scanner and radiograph."""

import numpy as np
import pytest
import torch
from torch import Tensor

from simulation.body.mass_points import MassPoints, cell_sizes, sample_bones, sample_filling, sample_shell
from simulation.body.surfaces import Bones, Filling, Shell, ball, bar, disc, outline, tube
from simulation.imaging.rays import PointSource, rays_of
from simulation.imaging.splat import project_points, splat
from spine.scanner import SOURCE_TO_ISOCENTRE_MM, ViewGeometry

VIEWS = ("frontal", "lateral")
CENTRE = (2.0, 4.0, -3.0)


def geometries(view) -> list[ViewGeometry]:
    f = SOURCE_TO_ISOCENTRE_MM[view]
    return [
        ViewGeometry(view, (90, 70), (1.1, 0.9), f, 3.0, -5.0),
        ViewGeometry(view, (90, 70), (0.8, 1.3), 1.1 * f, -4.0, 2.0),
    ]


def sphere(*radii: float, steps: int = 60, count: int = 80) -> tuple[Tensor, Tensor]:
    """Grids (1, B, M, K, 3) of spheres about ``CENTRE``, and their axes."""
    axes = torch.stack([torch.eye(3) * radius for radius in radii])
    grid, axis = ball(torch.tensor([CENTRE]).expand(len(radii), 3), axes, steps, count)
    return grid[None], axis[None]


def amounts(*values: float) -> Tensor:
    return torch.tensor([values])


def test_the_mass_of_a_shell_is_area_times_thickness() -> None:
    grid, _ = sphere(20.0)
    points = sample_shell(Shell("sphere", grid, amounts(1.5)))
    assert float(points.volume_mm3.sum()) == pytest.approx(4 * np.pi * 20**2 * 1.5, rel=2e-3)


def test_the_mass_of_a_filling_is_its_volume_and_its_points_are_inside() -> None:
    grid, axis = sphere(20.0)
    points = sample_filling(Filling("sphere", grid, axis, amounts(0.5)))
    assert float(points.volume_mm3.sum()) == pytest.approx(0.5 * 4 / 3 * np.pi * 20**3, rel=4e-3)
    distance = (points.xyz_mm - torch.tensor(CENTRE)).norm(dim=-1)
    assert float(distance.max()) <= 20.0 + 1e-3
    # Uniform in volume: half of the mass lies within the cube root of one half.
    inside = float(points.volume_mm3[distance < 20 * 0.5 ** (1 / 3)].sum() / points.volume_mm3.sum())
    assert inside == pytest.approx(0.5, abs=0.02)


def test_a_disc_and_a_bar_have_their_areas() -> None:
    plate = disc(torch.zeros(1, 1, 3), torch.eye(3)[None, None], torch.tensor([[[20.0, 10.0]]]), outline(90), 6)
    points = sample_shell(Shell("plate", plate, amounts(1.0)))
    assert float(points.volume_mm3.sum()) == pytest.approx(np.pi * 200, rel=2e-3)
    radii, end = torch.full((1, 1, 2), 5.0), torch.tensor([[[0.0, 0.0, 200.0]]])
    grid, _ = bar(torch.zeros(1, 1, 3), end, torch.tensor([0.0, 1.0, 0.0]), radii, radii, 6, 0.02)
    points = sample_shell(Shell("bar", grid, amounts(1.0)))
    assert float(points.volume_mm3.sum()) == pytest.approx(2 * np.pi * 5 * 200, rel=0.03)


def test_a_hollow_disc_keeps_its_rim_in_the_plane_and_a_bent_tube_its_volume() -> None:
    hollow = disc(
        torch.zeros(1, 3), torch.eye(3)[None], torch.tensor([[20.0, 10.0]]), outline(40), 6, torch.tensor([1.5])
    )
    assert float(hollow[0, -1, :, 2].abs().max()) == 0.0
    assert hollow[0, 0, :, 2].numpy() == pytest.approx(-1.5)
    angle = torch.linspace(0, np.pi / 2, 60)
    path = 50 * torch.stack([angle.cos(), angle.sin(), 0 * angle], dim=-1)[None, None]
    grid = tube(path, torch.tensor([3.0, 2.0]).expand(1, 1, 60, 2), torch.tensor([0.0, 0.0, 1.0]), 40)
    points = sample_filling(Filling("tube", grid, path, amounts(1.0)))
    assert float(points.volume_mm3.sum()) == pytest.approx(np.pi * 6 * 50 * np.pi / 2, rel=0.01)


def test_every_grid_of_every_patient_has_its_volume() -> None:
    """N = 2 patients with B = 3 spheres each; one sphere is missing."""
    radii, thick = ((8.0, 20.0, 13.0), (11.0, 9.0, 17.0)), ((1.5, 0.5, 0.0), (1.0, 2.0, 3.0))
    grids, axes = zip(*(sphere(*row) for row in radii), strict=True)
    shell = Shell("spheres", torch.cat(grids), torch.tensor(thick))
    shells = sample_shell(shell).volume_mm3.unflatten(1, (3, -1)).sum(-1)
    filling = Filling("spheres", torch.cat(grids), torch.cat(axes), torch.tensor(thick))
    fillings = sample_filling(filling).volume_mm3.unflatten(1, (3, -1)).sum(-1)
    r, t = np.array(radii), np.array(thick)
    assert shells.numpy() == pytest.approx(4 * np.pi * r**2 * t, rel=3e-3)
    assert fillings.numpy() == pytest.approx(4 / 3 * np.pi * r**3 * t, rel=6e-3)


def small_bones(thick: tuple[float, ...], share: tuple[float, ...]) -> Bones:
    grid, axis = sphere(8.0, 12.0, 9.0, steps=9, count=11)
    n = len(thick) // 3
    thickness, fraction = torch.tensor(thick).reshape(n, 3), torch.tensor(share).reshape(n, 3)
    grid, axis = grid.expand(n, -1, -1, -1, -1), axis.expand(n, -1, -1, -1)
    return Bones((Shell("wall", grid, thickness),), (Filling("inside", grid, axis, fraction),))


def test_finer_sampling_or_cells_of_another_patient_conserve_the_mass() -> None:
    bones = small_bones((1.0, 0.5, 2.0), (0.3, 0.2, 1.0))
    cells = cell_sizes(bones)
    usual, finer = sample_bones(bones, cells), sample_bones(bones, cells, finer=2.0)
    coarse = sample_bones(bones, [(0.1, 0.1, 0.1)] * 2)
    assert coarse.xyz_mm.shape[1] < usual.xyz_mm.shape[1] < finer.xyz_mm.shape[1]
    for other in (finer, coarse):
        assert float(other.volume_mm3.sum()) == pytest.approx(float(usual.volume_mm3.sum()), rel=1e-5)
    shared = sample_bones(bones, cells, filling_share=0.25)
    walls = float(sample_shell(bones.shells[0], cells[0]).volume_mm3.sum())
    inside = float(sample_filling(bones.fillings[0], cells[1]).volume_mm3.sum())
    assert float(shared.volume_mm3.sum()) == pytest.approx(walls + 0.25 * inside, rel=1e-5)


def test_parts_that_no_patient_has_are_left_out_and_change_no_other_points() -> None:
    cells = cell_sizes(small_bones((1.0,) * 3, (1.0,) * 3))
    full = sample_bones(small_bones((1.0, 0.5, 2.0), (0.3, 0.2, 1.0)), cells)
    part = sample_bones(small_bones((1.0, 0.0, 2.0), (0.0, 0.0, 0.0)), cells)
    each = sample_shell(small_bones((1.0,) * 3, (1.0,) * 3).shells[0], cells[0]).xyz_mm.shape[1] // 3
    assert part.xyz_mm.shape[1] == 2 * each
    kept = torch.cat([torch.arange(each), torch.arange(2 * each, 3 * each)])
    assert torch.equal(part.xyz_mm, full.xyz_mm[:, kept])
    assert torch.equal(part.volume_mm3, full.volume_mm3[:, kept])
    # A part of one of two patients is kept for both, with mass 0 in the other.
    both = sample_bones(small_bones((1.0, 0.0, 0.0, 0.0, 0.0, 2.0), (0.0,) * 6), cells)
    assert both.xyz_mm.shape[1] == 2 * each
    assert float(both.volume_mm3[0, each:].abs().max()) == 0.0
    assert float(both.volume_mm3[1, :each].abs().max()) == 0.0
    assert float(both.volume_mm3[0, :each].min()) > 0.0


@pytest.mark.parametrize("view", VIEWS)
def test_points_are_projected_as_by_the_scanner(view) -> None:
    xyz = np.random.default_rng(0).uniform(-25, 25, (2, 41, 3))
    points = MassPoints(torch.as_tensor(xyz, dtype=torch.float32), torch.ones(2, 41))
    column, row, _ = project_points(points, rays_of(geometries(view)))
    for i, geometry in enumerate(geometries(view)):
        assert np.stack([column[i], row[i]], axis=-1) == pytest.approx(geometry.project(xyz[i]), abs=2e-4)


@pytest.mark.parametrize("view", VIEWS)
def test_the_splat_conserves_mass(view) -> None:
    grid, axis = sphere(15.0)
    points = sample_filling(
        Filling("sphere", grid.expand(2, -1, -1, -1, -1), axis.expand(2, -1, -1, -1), torch.ones(2, 1))
    )
    images = splat(points, rays_of(geometries(view))).double()
    for image, geometry in zip(images, geometries(view), strict=True):
        # Without magnification and slant of the ray at the depth of the sphere, the sum is its volume.
        column_mm, f = geometry.spacing_mm[1], geometry.source_to_isocentre_mm
        depth = CENTRE[1] if view == "frontal" else CENTRE[0]
        u = (torch.arange(70) - 70 / 2 + 0.5) * column_mm + geometry.u0_mm
        slant, magnification = torch.sqrt(1 + (u / f) ** 2), f / (f + depth)
        volume = float((image / slant / magnification).sum() * geometry.spacing_mm[0] * column_mm)
        assert volume == pytest.approx(4 / 3 * np.pi * 15**3, rel=1e-3 + 4e-3)
        assert volume == pytest.approx(float(points.volume_mm3[0].sum()), rel=1e-3)


def balls(radius: float, *centres: tuple[float, float, float]) -> MassPoints:
    """One finely sampled solid ball for each patient."""
    grid, axis = ball(torch.tensor(centres), torch.eye(3)[None] * radius, 60, 80)
    return sample_filling(Filling("ball", grid[:, None], axis[:, None], torch.ones(len(centres), 1), spacing_mm=1.0))


def test_a_splatted_ball_has_the_chords_of_a_ball() -> None:
    geometry = ViewGeometry("frontal", (30, 32), (2.0, 2.0), 987.0)
    image = splat(balls(24.0, (0.0, 0.0, 0.0)), rays_of([geometry]))[0].numpy()
    rows, columns = np.mgrid[0:30, 0:32]
    uv = geometry.plane_from_pixels(np.stack([columns, rows], axis=-1).astype(float))
    u = uv[..., 0] * 987 / np.hypot(uv[..., 0], 987)  # distance of the ray from the axis
    expected = 2 * np.sqrt(np.clip(24.0**2 - u**2 - uv[..., 1] ** 2, 0, None))
    middle = expected > 30
    assert image[middle] == pytest.approx(expected[middle], rel=0.08)
    assert image[middle].mean() == pytest.approx(expected[middle].mean(), rel=0.01)


def test_points_off_the_image_are_left_out_and_points_on_the_edge_kept() -> None:
    geometry = ViewGeometry("frontal", (5, 7), (1.0, 1.0), 987.0)
    xyz = torch.tensor([[500.0, 0, 0], [0, 0, 300.0], [3.0, 0, 0], [0, 0, -2.0], [-3.49, 0, 2.49]])
    # The second patient has no mass, so points off the first image must not appear on the second.
    points = MassPoints(xyz.expand(2, 5, 3), torch.stack([torch.ones(5), torch.zeros(5)]))
    first, second = splat(points, rays_of([geometry, geometry]))
    assert first.shape == (5, 7)
    assert float(first[2, 6]) == pytest.approx(1.0, abs=1e-4)
    assert float(first[4, 3]) == pytest.approx(1.0, abs=1e-4)
    assert 2.0 < float(first.sum()) < 2.5  # the last point lies half outside in both directions
    assert float(second.abs().max()) == 0.0


@pytest.mark.parametrize("at", [(500.0, 0.0, 0.0), (-500.0, 0, 0), (0, 0, 300.0), (0, 0, -300.0), (9.0, 0, -9.0)])
def test_a_point_off_the_image_adds_nothing_anywhere(at) -> None:
    geometry = ViewGeometry("frontal", (5, 7), (1.0, 1.0), 987.0)
    points = MassPoints(torch.tensor([[at]] * 3, dtype=torch.float32), torch.ones(3, 1))
    assert float(splat(points, rays_of([geometry] * 3)).abs().max()) == 0.0


def seen_from(point_source: PointSource, geometry: ViewGeometry, xyz: np.ndarray) -> np.ndarray:
    """(..., 2) pixels where lines from a point source meet the isocentre plane y = 0."""
    f = geometry.source_to_isocentre_mm
    y = f if point_source.from_behind else -f
    source = np.array([0.0, y, point_source.source_z_mm])
    share = y / (y - xyz[..., 1])
    hit = source + (xyz - source) * share[..., None]
    return geometry.pixels_from_plane(hit[..., [0, 2]])


@pytest.mark.parametrize("from_behind", [False, True])
def test_points_and_landmarks_are_projected_from_the_point_source(from_behind) -> None:
    point_sources = [PointSource(120.0, from_behind), None]
    images = [
        ViewGeometry("frontal", (80, 60), (3.0, 2.5), 1150.0, 4.0, 30.0),
        ViewGeometry("frontal", (80, 60), (1.5, 2.0), 987.0, -3.0, 9.0),
    ]
    xyz = np.random.default_rng(4).uniform(-90, 90, (2, 37, 3))
    points = MassPoints(torch.as_tensor(xyz, dtype=torch.float32), torch.ones(2, 37))
    column, row, _ = project_points(points, rays_of(images, point_sources=point_sources))
    landed = np.stack([column, row], axis=-1)
    warped = images[0].project(point_sources[0].warped(xyz[0], 1150.0))
    assert warped == pytest.approx(seen_from(point_sources[0], images[0], xyz[0]), abs=1e-9)
    assert landed[0] == pytest.approx(warped, abs=3e-4)
    assert landed[1] == pytest.approx(images[1].project(xyz[1]), abs=3e-4)
    assert np.abs(warped - images[0].project(xyz[0])).max() > 2, "the point_source moved nothing"


@pytest.mark.parametrize("from_behind", [False, True])
def test_a_ball_on_a_plain_radiograph_has_the_chords_from_its_point_source(from_behind) -> None:
    geometry, point_source, centre = (
        ViewGeometry("frontal", (40, 44), (2.0, 1.7), 600.0, 30.0, 90.0),
        PointSource(-60.0, from_behind),
        (25.0, 40.0, 80.0),
    )
    image = splat(balls(20.0, centre), rays_of([geometry], point_sources=[point_source]))[0].numpy()
    rows, columns = np.mgrid[0:40, 0:44]
    uv = geometry.plane_from_pixels(np.stack([columns, rows], axis=-1).astype(float))
    source = np.array([0.0, 600.0 if from_behind else -600.0, -60.0])
    direction = np.stack([uv[..., 0], np.zeros((40, 44)), uv[..., 1]], axis=-1) - source
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    aside = np.linalg.norm(np.cross(np.array(centre) - source, direction), axis=-1)
    expected = 2 * np.sqrt(np.clip(20.0**2 - aside**2, 0, None))
    middle = expected > 25
    assert middle.sum() > 80
    assert image[middle] == pytest.approx(expected[middle], rel=0.10)
    assert image[middle].mean() == pytest.approx(expected[middle].mean(), rel=0.01)

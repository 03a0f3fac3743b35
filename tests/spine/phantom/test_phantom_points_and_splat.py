"""Mass points and their splat: volumes, areas and the scanner's projection, against closed forms."""

import numpy as np
import pytest
import torch

from spine.phantom.points import MassPoints, sample_filling, sample_shell
from spine.phantom.splat import project_points, splat
from spine.phantom.surfaces import Filling, Shell, ball, bar, disc, outline
from spine.scanner import SOURCE_TO_ISOCENTRE_MM, ViewGeometry

FRONTAL = ViewGeometry("frontal", (90, 70), (1.1, 0.9), SOURCE_TO_ISOCENTRE_MM["frontal"], 3.0, -5.0)
LATERAL = ViewGeometry("lateral", (90, 70), (1.1, 0.9), SOURCE_TO_ISOCENTRE_MM["lateral"], -2.0, -5.0)


def sphere(radius: float, steps: int = 60, count: int = 80) -> tuple[np.ndarray, np.ndarray]:
    return ball(np.array([[2.0, 4.0, -3.0]]), np.eye(3)[None] * radius, steps, count)


def test_a_shell_weighs_area_times_thickness() -> None:
    grid, _ = sphere(20.0)
    points = sample_shell(Shell("sphere", grid, np.array([1.5])))
    assert float(points.volume_mm3.sum()) == pytest.approx(4 * np.pi * 20**2 * 1.5, rel=2e-3)


def test_a_filling_weighs_its_volume_and_its_points_stay_inside() -> None:
    grid, axis = sphere(20.0)
    points = sample_filling(Filling("sphere", grid, axis, np.array([0.5])))
    assert float(points.volume_mm3.sum()) == pytest.approx(0.5 * 4 / 3 * np.pi * 20**3, rel=4e-3)
    distance = (points.xyz_mm - torch.tensor([2.0, 4.0, -3.0])).norm(dim=-1)
    assert float(distance.max()) <= 20.0 + 1e-3
    # Uniform in volume: half of the mass lies within the cube root of one half.
    inside = float(points.volume_mm3[distance < 20 * 0.5 ** (1 / 3)].sum() / points.volume_mm3.sum())
    assert inside == pytest.approx(0.5, abs=0.02)


def test_a_disc_and_a_bar_have_their_areas() -> None:
    plate = disc(np.zeros((1, 3)), np.eye(3)[None], np.array([[20.0, 10.0]]), outline(90), 6)
    points = sample_shell(Shell("plate", plate, np.array([1.0])))
    assert float(points.volume_mm3.sum()) == pytest.approx(np.pi * 200, rel=2e-3)
    radii = np.full((1, 2), 5.0)
    grid, _ = bar(np.zeros((1, 3)), np.array([[0.0, 0.0, 200.0]]), np.array([[0.0, 1.0, 0.0]]), radii, radii, 6, 0.02)
    points = sample_shell(Shell("bar", grid, np.array([1.0])))
    assert float(points.volume_mm3.sum()) == pytest.approx(2 * np.pi * 5 * 200, rel=0.03)


@pytest.mark.parametrize("geometry", [FRONTAL, LATERAL], ids=["frontal", "lateral"])
def test_points_land_where_the_scanner_projects_them(geometry: ViewGeometry) -> None:
    rng = np.random.default_rng(0)
    xyz = rng.uniform(-25, 25, (41, 3))
    points = MassPoints(torch.as_tensor(xyz, dtype=torch.float32), torch.ones(41))
    column, row, _ = project_points(points, geometry)
    assert np.stack([column, row], axis=-1) == pytest.approx(geometry.project(xyz), abs=2e-4)


@pytest.mark.parametrize("geometry", [FRONTAL, LATERAL], ids=["frontal", "lateral"])
def test_the_splat_conserves_mass(geometry: ViewGeometry) -> None:
    grid, axis = sphere(15.0)
    points = sample_filling(Filling("sphere", grid, axis, np.array([1.0])))
    picture = splat(points, geometry).double()
    # Undo magnification and slant of the ray at the sphere's own depth: what is left is volume.
    column_mm, f = geometry.spacing_mm[1], geometry.source_to_isocentre_mm
    depth = 4.0 if geometry.view == "frontal" else 2.0
    u = (torch.arange(70) - 70 / 2 + 0.5) * column_mm + geometry.u0_mm
    slant, magnification = torch.sqrt(1 + (u / f) ** 2), f / (f + depth)
    volume = float((picture / slant / magnification).sum() * geometry.spacing_mm[0] * column_mm)
    assert volume == pytest.approx(4 / 3 * np.pi * 15**3, rel=1e-3 + 4e-3)
    assert volume == pytest.approx(float(points.volume_mm3.sum()), rel=1e-3)


def test_a_splatted_ball_has_the_chords_of_a_ball() -> None:
    grid, axis = ball(np.zeros((1, 3)), np.eye(3)[None] * 24.0, 60, 80)
    points = sample_filling(Filling("sphere", grid, axis, np.array([1.0]), spacing_mm=1.0))
    geometry = ViewGeometry("frontal", (30, 32), (2.0, 2.0), 987.0)
    picture = splat(points, geometry).numpy()
    rows, columns = np.mgrid[0:30, 0:32]
    uv = geometry.plane_from_pixels(np.stack([columns, rows], axis=-1).astype(float))
    u = uv[..., 0] * 987 / np.hypot(uv[..., 0], 987)  # distance of the ray from the axis
    expected = 2 * np.sqrt(np.clip(24.0**2 - u**2 - uv[..., 1] ** 2, 0, None))
    middle = expected > 30
    assert picture[middle] == pytest.approx(expected[middle], rel=0.08)
    assert picture[middle].mean() == pytest.approx(expected[middle].mean(), rel=0.01)


def test_points_beside_the_picture_are_left_out_and_on_the_edge_kept() -> None:
    geometry = ViewGeometry("frontal", (5, 7), (1.0, 1.0), 987.0)
    xyz = torch.tensor([[500.0, 0, 0], [0, 0, 300.0], [3.0, 0, 0], [0, 0, -2.0], [-3.49, 0, 2.49]])
    picture = splat(MassPoints(xyz, torch.ones(5)), geometry)
    assert picture.shape == (5, 7)
    assert float(picture[2, 6]) == pytest.approx(1.0, abs=1e-4)
    assert float(picture[4, 3]) == pytest.approx(1.0, abs=1e-4)
    assert 2.0 < float(picture.sum()) < 2.5  # the last point lies half outside in both directions

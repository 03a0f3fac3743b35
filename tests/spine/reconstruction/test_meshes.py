"""Triangles of grids against closed forms, and the two mesh files read back by hand."""

import struct
from collections import Counter

import numpy as np
import pytest

from spine.reconstruction.meshes import Mesh, grid_faces, join_meshes, mesh_from_grid, write_mesh

CENTRE = np.array([3.0, -7.0, 250.0])
TETRAHEDRON = np.array([[0.0, 0, 0], [2, 0, 0], [0, 3, 0], [0, 0, 5]])
TETRAHEDRON_FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def lathe(radii, heights, columns):
    """(M, N, 3) rings counter-clockwise around z, first point repeated."""
    angle = np.linspace(0, 2 * np.pi, columns)
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    ring[-1] = ring[0]
    grid = np.asarray(radii, float)[:, None, None] * ring
    grid[..., 2] += np.asarray(heights, float)[:, None]
    return grid + CENTRE


def ball(radius=10.0, rows=41, columns=62):
    polar = np.linspace(0, np.pi, rows)
    return lathe(radius * np.sin(polar), -radius * np.cos(polar), columns)


def cylinder(rows=5, columns=97):
    return lathe(np.full(rows, 4.0), np.linspace(0, 6, rows), columns)


def is_closed(mesh):
    """Every directed edge is met by its opposite exactly once."""
    edges = Counter(tuple(e) for face in mesh.faces.tolist() for e in zip(face, face[1:] + face[:1], strict=True))
    return all(count == 1 and edges[end, start] == 1 for (start, end), count in edges.items())


def outwards(mesh):
    """(F,) whether each face of a convex mesh looks away from its middle."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    return (np.cross(b - a, c - a) * ((a + b + c) / 3 - mesh.vertices.mean(axis=0))).sum(-1) > 0


def test_a_ball_is_closed_faces_outwards_and_has_its_volume():
    mesh = mesh_from_grid(ball())
    assert mesh.vertices.shape == (2 + 39 * 61, 3)
    assert mesh.faces.shape == (2 * 40 * 61 - 2 * 61, 3)
    assert is_closed(mesh)
    assert outwards(mesh).all()
    assert mesh.volume_mm3 == pytest.approx(4 / 3 * np.pi * 1000, rel=6e-3)
    assert mesh.volume_mm3 < 4 / 3 * np.pi * 1000  # inscribed


def test_an_open_tube_gets_lids():
    mesh = mesh_from_grid(cylinder())
    assert is_closed(mesh)
    assert outwards(mesh).all()
    polygon = 96 / 2 * np.sin(2 * np.pi / 96) * 16
    assert mesh.volume_mm3 == pytest.approx(polygon * 6)
    assert not is_closed(Mesh(cylinder().reshape(-1, 3), grid_faces(5, 97)))
    assert (len(mesh.faces) - len(grid_faces(5, 97)), len(mesh.vertices)) == (2 * 96, 5 * 96 + 2)


@pytest.mark.parametrize("grid", [ball(), cylinder(), lathe([0, 5, 4], [0, 1, 9], 9), lathe([5, 4, 0], [0, 1, 9], 8)])
def test_a_left_handed_grid_faces_outwards_too(grid):
    mirrored = grid * (-1, 1, 1)
    mesh = mesh_from_grid(mirrored)
    assert is_closed(mesh)
    assert mesh.volume_mm3 == pytest.approx(mesh_from_grid(grid).volume_mm3)
    assert outwards(mesh).all()


def test_grid_faces_join_at_the_seam_and_drop_what_has_no_area():
    assert grid_faces(2, 4).tolist() == [[0, 1, 4], [1, 2, 5], [2, 0, 6], [1, 5, 4], [2, 6, 5], [0, 4, 6]]
    assert grid_faces(2, 4, first_is_pole=True).tolist() == [[0, 5, 4], [0, 6, 5], [0, 4, 6]]
    assert grid_faces(2, 4, last_is_pole=True).tolist() == [[0, 1, 4], [1, 2, 4], [2, 0, 4]]
    grid = ball(rows=7, columns=6).reshape(-1, 3)
    a, b, c = (grid[grid_faces(7, 6, True, True)[:, i]] for i in range(3))
    assert (np.linalg.norm(np.cross(b - a, c - a), axis=-1) > 0.1).all()


@pytest.mark.parametrize(("rows", "columns"), [(1, 5), (5, 3)])
def test_a_grid_without_surface_is_refused(rows, columns):
    with pytest.raises(ValueError, match=f"{rows} x {columns}"):
        grid_faces(rows, columns)


def test_joined_meshes_keep_their_triangles():
    parts = [mesh_from_grid(ball()), mesh_from_grid(cylinder()), Mesh(TETRAHEDRON, TETRAHEDRON_FACES)]
    joined = join_meshes(parts)
    corners = np.concatenate([part.vertices[part.faces] for part in parts])
    np.testing.assert_array_equal(joined.vertices[joined.faces], corners)
    assert join_meshes([]).faces.shape == (0, 3)


def test_obj_reads_back(tmp_path):
    write_mesh(tmp_path / "meshes" / "L3.obj", TETRAHEDRON + np.pi, TETRAHEDRON_FACES)
    lines = (tmp_path / "meshes" / "L3.obj").read_text().splitlines()
    assert "SPACE=LPS" in lines[0]
    vertices = [[float(c) for c in line.split()[1:]] for line in lines if line.startswith("v ")]
    faces = [[int(c) for c in line.split()[1:]] for line in lines if line.startswith("f ")]
    np.testing.assert_allclose(vertices, TETRAHEDRON + np.pi, atol=5e-7)
    assert faces == (TETRAHEDRON_FACES + 1).tolist()
    assert [p.name for p in (tmp_path / "meshes").iterdir()] == ["L3.obj"]


def test_stl_reads_back_with_outward_normals(tmp_path):
    write_mesh(tmp_path / "L3.STL", TETRAHEDRON, TETRAHEDRON_FACES)
    payload = (tmp_path / "L3.STL").read_bytes()
    assert len(payload) == 84 + 50 * 4
    assert b"SPACE=LPS" in payload[:80]
    assert not payload.startswith(b"solid")
    assert struct.unpack_from("<I", payload, 80) == (4,)
    for i, face in enumerate(TETRAHEDRON_FACES):
        numbers = np.array(struct.unpack_from("<12fH", payload, 84 + 50 * i)[:12]).reshape(4, 3)
        np.testing.assert_array_equal(numbers[1:], TETRAHEDRON[face])
    np.testing.assert_allclose(struct.unpack_from("<3f", payload, 84), (0, 0, -1))  # the face in z = 0 looks down


@pytest.mark.parametrize(
    ("name", "vertices", "faces", "complaint"),
    [
        ("a.ply", TETRAHEDRON, TETRAHEDRON_FACES, r"suffix '\.ply'"),
        ("a.obj", TETRAHEDRON * np.nan, TETRAHEDRON_FACES, "4 vertices that are not finite"),
        ("a.stl", TETRAHEDRON[:, :2], TETRAHEDRON_FACES, r"\(4, 2\)"),
        ("a.obj", TETRAHEDRON, TETRAHEDRON_FACES + 1, "3 faces beyond the 4 vertices"),
        ("a.obj", TETRAHEDRON, TETRAHEDRON_FACES - 1, "3 faces beyond the 4 vertices"),
        ("a.stl", TETRAHEDRON, TETRAHEDRON_FACES.astype(float), "expected integers"),
        ("a.stl", TETRAHEDRON, TETRAHEDRON_FACES[:0], "no faces"),
        ("a.ply", TETRAHEDRON + np.inf, TETRAHEDRON_FACES + 7, r"suffix.*not finite.*beyond"),
    ],
)
def test_an_invalid_mesh_is_not_written(tmp_path, name, vertices, faces, complaint):
    with pytest.raises(ValueError, match=complaint):
        write_mesh(tmp_path / name, vertices, faces)
    assert list(tmp_path.iterdir()) == []

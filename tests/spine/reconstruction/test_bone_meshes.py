"""Meshes of bones: their files, their names, and the points that are found on them."""

import numpy as np
import pytest

from spine.landmarks import VERTEBRAE
from spine.reconstruction.bone_names import bone_of
from spine.reconstruction.mesh_files import parse_meshes
from spine.reconstruction.meshes import Mesh, write_mesh
from spine.reconstruction.open import read_any_reconstruction, read_reconstruction_files
from tests.spine.reconstruction.constructed_meshes import (
    HALF_DEPTH_MM,
    HALF_HEIGHT_MM,
    HALF_WIDTH_MM,
    ascii_stl_of,
    ball,
    obj_of,
    place_of,
    ply_of,
    spine_meshes,
    turned,
    vertebra,
    vtp_of,
)
from tests.spine.refusals import code_of

FORMS = ("ascii", "base64", "appended-base64", "appended-raw")
BONE = vertebra(place_of("L3"))


def files_of(folder, bones, suffix=".stl"):
    for name, mesh in bones.items():
        write_mesh(folder / f"{name}{suffix}", mesh.vertices, mesh.faces)
    return sorted(folder.iterdir())


def without_axes(folder, bones):
    """OBJ files that do not state their axes."""
    for name, mesh in bones.items():
        (folder / f"{name}.obj").write_bytes(obj_of({name: mesh}).replace(b"# SPACE=LPS", b"#"))
    return sorted(folder.iterdir())


# --- files


@pytest.mark.parametrize(
    "payload",
    [
        obj_of({"L3": BONE}),
        obj_of({"L3": BONE}, word="g"),
        ascii_stl_of({"L3": BONE}),
        *[ply_of(BONE, e) for e in ("ascii", "binary_little_endian", "binary_big_endian")],
        *[
            vtp_of(BONE, form, compressed)
            for form in FORMS
            for compressed in (False, True)
            if (form, compressed) != ("ascii", True)
        ],
    ],
)
def test_every_file_gives_the_same_triangles(payload):
    (found,) = parse_meshes(payload)
    np.testing.assert_array_equal(found.mesh.vertices[found.mesh.faces], BONE.vertices[BONE.faces])
    assert found.axes == (None if payload.startswith(b"solid") else "LPS")


def test_polygons_and_negative_indices_become_triangles():
    square = b"v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf -4 -3 -2 -1\n"
    (found,) = parse_meshes(square)
    assert found.mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    ply = b"ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    ply += b"element face 1\nproperty list uchar int i\nend_header\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n"
    (found,) = parse_meshes(ply)
    assert found.mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_several_objects_of_a_file_keep_their_names():
    bones = {"L3": BONE, "L4": turned(BONE)}
    for payload in (obj_of(bones), ascii_stl_of(bones)):
        assert [part.name for part in parse_meshes(payload)] == ["L3", "L4"]


STL = ascii_stl_of({"L3": BONE})
PLY = ply_of(BONE, "binary_little_endian")
VTP = vtp_of(BONE, "appended-raw", compressed=True)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (STL[: len(STL) // 2], "MESH_INVALID"),
        (STL.replace(b"vertex", b"vertices", 1), "MESH_INVALID"),
        (PLY[: len(PLY) // 2], "MESH_INVALID"),
        (PLY.replace(b"element vertex", b"element vertex 9", 1), "MESH_INVALID"),
        (b"ply\nformat ascii 1.0\nelement vertex 999999999999\nproperty float x\nend_header\n1\n", "MESH_INVALID"),
        (b"ply\nformat binary_little_endian 1.0\nelement face -1\nend_header\n1\n", "MESH_INVALID"),
        (VTP[: len(VTP) // 2], "MESH_INVALID"),
        (VTP.replace(b'offset="0"', b'offset="99999999"'), "MESH_INVALID"),
        (b'<!DOCTYPE a [<!ENTITY b "bb">]>' + VTP, "MESH_INVALID"),
        (VTP.replace(b"vtkZLibDataCompressor", b"vtkLZ4DataCompressor"), "MESH_INVALID"),
        (b"\0" * 84, "MESH_INVALID"),
        (b"\0" * 80 + b"\xff\xff\xff\xff" + b"\0" * 100, "MESH_INVALID"),
        (b"", "EMPTY_FILE"),
        (b"v 1 2 3\nf 1 2 3\n", "MESH_INVALID"),
        (b"v 1 2 3\nf 0 1 1\n", "MESH_INVALID"),
        (b"v 1 2\nf 1 1 1\n", "MESH_INVALID"),
        (b"v 1 2 x\nf 1 1 1\n", "MESH_INVALID"),
        (b"v 1 2 nan\nf 1 1 1\n", "NOT_FINITE"),
        (b"v 1 2 3\nf 1 1 " + b"9" * 5000 + b"\n", "MESH_INVALID"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, payload, expected):
    (tmp_path / "L3.stl").write_bytes(payload)
    assert code_of(read_any_reconstruction, tmp_path / "L3.stl") == expected


# --- names


@pytest.mark.parametrize(
    ("name", "bone"),
    [
        *(
            (name, "L3")
            for name in ("L3", "l3", "L03", "vertebra_L3", "vertebrae_L3", "L3_1", "Lumbar 3", "VertL3", "L-3")
        ),
        *((name, "T4") for name in ("T04", "t4.smooth", "D4", "thoracic_4", "Segment_T4")),
        ("T13", "T13"),
        ("L6", "L6"),
        *((name, "sacrum") for name in ("sacrum", "Sacrum_2")),
        *((name, "S1") for name in ("S1", "vertebrae_S1")),
        *((name, "HIP_L") for name in ("femur_left", "femoral_head_left", "FH_L", "Left Femur", "femoral_head_L")),
        ("femur-right", "HIP_R"),
        *(
            (name, "other")
            for name in ("rib_7_left", "hip_left", "pelvis", "C7", "vertebrae_C2", "skull", "disc_L3_L4")
        ),
        *((name, None) for name in ("T14", "L7", "spine", "Jane Doe", "L3_L4", "femur", "S2", "C9", "", "model 3")),
    ],
)
def test_names_of_bones(name, bone):
    assert bone_of(name) == bone


# --- points


def assert_right(points):
    for level in VERTEBRAE:
        for side, sign in (("sup", 1), ("inf", -1)):
            centre = place_of(level) + (0, 0, sign * HALF_HEIGHT_MM)
            np.testing.assert_allclose(points[f"{level}_{side}"], centre, atol=0.6)
            ends = {"left": (HALF_WIDTH_MM, 0, 0), "ant": (0, -HALF_DEPTH_MM, 0), "post": (0, HALF_DEPTH_MM, 0)}
            for name, offset in ends.items():
                np.testing.assert_allclose(points[f"{level}_{side}_{name}"], centre + offset, atol=1.2)
    np.testing.assert_allclose(points["S1_sup"], place_of("L5") - (0, 0, 21.0), atol=0.6)
    np.testing.assert_allclose(points["HIP_L"], place_of("L5") + (90.0, -10, -120), atol=0.1)


def test_a_folder_of_meshes_becomes_one_reconstruction(tmp_path):
    bones = spine_meshes()
    bones |= {"rib_7_left": ball(np.zeros(3), 20.0), "hip_left": ball(np.zeros(3), 20.0)}
    found = read_reconstruction_files(files_of(tmp_path, bones))
    assert found.source_format == "bone-meshes"
    assert len(found.points) == 17 * 11 + 5 + 2
    assert_right(found.points)
    assert found.hip_radius_mm["HIP_R"] == pytest.approx(23.0, abs=0.1)
    assert found.facts == {"bones_not_read": 2, "axes_from_arches": False}


def test_one_file_with_several_objects_is_the_same(tmp_path):
    (tmp_path / "scan.obj").write_bytes(obj_of(spine_meshes()))
    assert_right(read_any_reconstruction(tmp_path / "scan.obj").points)


def test_the_objects_of_a_file_named_after_a_bone_are_one_bone(tmp_path):
    bones = spine_meshes()
    parts = {"body": bones.pop("L3"), "screw": ball(place_of("L3"), 3.0)}
    files_of(tmp_path, bones)
    (tmp_path / "L3.obj").write_bytes(obj_of(parts))
    assert_right(read_reconstruction_files(sorted(tmp_path.iterdir())).points)


def test_a_part_named_s1_comes_before_the_rest_of_the_sacrum(tmp_path):
    bones = spine_meshes()
    bones["vertebrae_S1"] = bones["sacrum"]
    bones["sacrum"] = ball(place_of("L5") - (0, 0, 80.0), 20.0)
    assert_right(read_reconstruction_files(files_of(tmp_path, bones)).points)


@pytest.mark.parametrize("ras", [False, True])
def test_without_a_statement_the_arches_tell_ras_from_lps(tmp_path, ras):
    bones = {name: turned(mesh) if ras else mesh for name, mesh in spine_meshes().items()}
    found = read_reconstruction_files(without_axes(tmp_path, bones))
    assert_right(found.points)
    assert found.facts["axes_from_arches"] is True


def test_a_stated_ras_is_turned(tmp_path):
    for name, mesh in spine_meshes().items():
        (tmp_path / f"{name}.obj").write_bytes(obj_of({name: turned(mesh)}).replace(b"SPACE=LPS", b"SPACE=RAS"))
    assert_right(read_reconstruction_files(sorted(tmp_path.iterdir())).points)


def test_bodies_without_arches_need_a_statement(tmp_path):
    bones = spine_meshes(arch=False)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert_right(read_reconstruction_files(files_of(tmp_path / "a", bones)).points)
    assert code_of(read_reconstruction_files, without_axes(tmp_path / "b", bones)) == "AXES_INVALID"


def scaled(bones, factor):
    return {name: Mesh(mesh.vertices * factor, mesh.faces) for name, mesh in bones.items()}


def renamed(bones, old, new):
    return {new if name == old else name: mesh for name, mesh in bones.items()}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda bones: {name: turned(mesh) for name, mesh in bones.items()}, "AXES_INVALID"),
        (lambda bones: scaled(bones, 0.001), "UNITS_SUSPECT_METRES"),
        (lambda bones: scaled(bones, 0.1), "UNITS_SUSPECT_CENTIMETRES"),
        (lambda bones: scaled(bones, -1.0), "LEVELS_REVERSED"),
        (lambda bones: renamed(bones, "L3", "Jane Doe"), "BONE_UNKNOWN"),
        (lambda bones: bones | {"vertebra_L3": bones["L3"]}, "BONE_TWICE"),
        (lambda bones: bones | {"L3": ball(place_of("L3"), 3.0)}, "BONE_UNCLEAR"),
        (lambda bones: bones | {"sacrum": ball(place_of("L5") - (0, 0, 80.0), 4.0)}, "BONE_UNCLEAR"),
        (lambda bones: {"L3": bones["L3"]}, "TOO_FEW_POINTS"),
        (lambda bones: {"rib_7_left": bones["L3"]}, "TOO_FEW_POINTS"),
    ],
)
def test_meshes_that_are_no_spine_are_refused(tmp_path, change, expected):
    files = files_of(tmp_path, change(spine_meshes()))
    assert code_of(read_reconstruction_files, files) == expected


def test_meshes_beside_a_file_of_points_are_not_read(tmp_path):
    files = files_of(tmp_path, {"L3": BONE})
    rows = [f"{level},sup,0,0,{240 - 28 * i}" for i, level in enumerate(VERTEBRAE)]
    (tmp_path / "r.csv").write_text("\n".join(["# axes=LPS", "# units=mm", "level,name,x,y,z", *rows]))
    assert read_reconstruction_files([*files, tmp_path / "r.csv"]).source_format == "plumbline-csv"

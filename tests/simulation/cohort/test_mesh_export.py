"""Meshes of a patient's bones: names, positions, closed surfaces."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from simulation.body.patient import build_patient
from simulation.cohort.mesh_export import bone_meshes
from simulation.population.sampling import sample_patient

SEED = 11


def patient(**changes):
    parameters = replace(sample_patient(SEED), curves=(), instrumentation=None, fractures=(), listhesis_mm=0.0)
    return build_patient(replace(parameters, **changes), SEED)


@pytest.fixture(scope="module")
def standard():
    return patient(anatomy="standard")


@pytest.fixture(scope="module")
def meshes(standard):
    return bone_meshes(standard)


def test_every_bone_has_one_mesh(meshes):
    levels = [f"C{i}" for i in range(3, 8)] + [f"T{i}" for i in range(1, 13)] + [f"L{i}" for i in range(1, 6)]
    ribs = [f"rib_{i}_{side}" for i in range(1, 13) for side in ("left", "right")]
    assert {*levels, *ribs, "sacrum", "hip_left", "hip_right", "femur_left", "skull", "sternum", "C1", "C2"} < set(
        meshes
    )
    assert not any(" " in name or name.startswith("slot") for name in meshes)
    assert not {"rib_13_left", "T13", "L6"} & set(meshes)


@pytest.mark.parametrize(
    ("anatomy", "there", "absent"),
    [
        ("six_lumbar", {"L5", "L6"}, {"T13"}),
        ("four_lumbar", {"L4"}, {"L5", "L6"}),
        ("thirteen_thoracic", {"T13", "L5", "rib_13_left", "rib_13_right"}, {"L6"}),
    ],
)
def test_transitional_columns_have_other_bones(anatomy, there, absent):
    found = set(bone_meshes(patient(anatomy=anatomy)))
    assert there <= found
    assert not absent & found


def test_bones_lie_at_their_landmarks(standard, meshes):
    points = standard.reconstruction.points
    for level in ("T1", "T7", "L3", "L5"):
        for name in ("sup_ant", "sup_left", "inf_post", "inf_right"):
            assert distance(meshes[level], points[f"{level}_{name}"]) < 1.5, (level, name)
    for side in ("left", "right"):
        assert distance(meshes["sacrum"], points[f"S1_{side}"]) < 1.5
    for name, side in (("HIP_L", "left"), ("HIP_R", "right")):
        offset = meshes[f"femur_{side}"].vertices - points[name]
        dome = np.linalg.norm(offset[offset[:, 2] > 0.75 * standard.spine.hip_radius], axis=1)
        assert dome == pytest.approx(np.full(len(dome), standard.spine.hip_radius), abs=0.01)
    assert meshes["rib_7_left"].vertices[:, 0].mean() > meshes["rib_7_right"].vertices[:, 0].mean() + 50


def distance(mesh, point):
    return float(np.linalg.norm(mesh.vertices - point, axis=1).min())


def test_end_plates_close_their_bodies_and_surfaces_face_outwards(standard, meshes):
    for name, mesh in meshes.items():
        edges = Counter(tuple(e) for f in mesh.faces for e in ((f[0], f[1]), (f[1], f[2]), (f[2], f[0])))
        assert set(edges.values()) == {1}, name
        assert all((b, a) in edges for a, b in edges), f"{name} is open"
        assert mesh.volume_mm3 > 0, name
        sides = [mesh.vertices[mesh.faces[:, i]] - mesh.vertices[mesh.faces[:, 0]] for i in (1, 2)]
        areas = np.linalg.norm(np.cross(*sides), axis=1)
        assert areas.min() > 1e-6, f"{name} has a triangle without area"
    sizes, at = standard.spine.sizes, standard.spine.levels.index("L3")
    block = sizes.plate_width[at].mean() * sizes.plate_depth[at].mean() * sizes.height[at]
    assert 0.6 * block < meshes["L3"].volume_mm3 < 2.0 * block


def test_a_removed_lamina_is_missing_in_the_mesh():
    operated = next(s for s in range(400) if (c := sample_patient(s).instrumentation) is not None and c.laminectomy)
    parameters = sample_patient(operated)
    with_arch = replace(parameters, instrumentation=replace(parameters.instrumentation, laminectomy=False))
    cut, whole = (
        len(bone_meshes(build_patient(p, operated))["L5" if p.anatomy != "four_lumbar" else "L4"].faces)
        for p in (parameters, with_arch)
    )
    assert cut < whole

"""End plates and hips that are found on the exported meshes of virtual patients, against the points of the patients."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulation.body.patient import VirtualPatient, build_patient
from simulation.cohort.mesh_export import bone_meshes
from simulation.population.sampling import sample_patient
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_points_3d
from spine.reconstruction.bone_names import OTHER, bone_of
from spine.reconstruction.checks import COLUMN
from spine.reconstruction.mesh_folder import reconstruction_from_meshes
from spine.reconstruction.meshes import write_mesh
from spine.reconstruction.reconstruction import Reconstruction
from spine.types import Floats

SEEDS = (101, 102, 103, 104, 105)
"""Severe and moderate scolioses, six lumbar vertebrae, and a degenerative spine."""


def derived(patient: VirtualPatient, folder: Path, noise_mm: float = 0.0) -> Reconstruction:
    rng = np.random.default_rng(patient.seed)
    for name, mesh in bone_meshes(patient).items():
        if bone_of(name) != OTHER:
            vertices = mesh.vertices + rng.normal(0.0, noise_mm, mesh.vertices.shape) if noise_mm else mesh.vertices
            write_mesh(folder / f"{name}.stl", vertices, mesh.faces)
    return reconstruction_from_meshes(sorted(folder.iterdir()))


def normal(points: Mapping[str, Floats], plate: str) -> Floats:
    across = points[f"{plate}_left"] - points[f"{plate}_right"]
    along = points[f"{plate}_post"] - points[f"{plate}_ant"]
    found = np.cross(across, along)
    return np.asarray(found / np.linalg.norm(found))


def errors(found: Mapping[str, Floats], true: Mapping[str, Floats]) -> dict[str, tuple[float, float, float]]:
    """Plate -> error of its centre (mm), of its plane (degrees), and of its worst margin (mm)."""
    result = {}
    for plate in (f"{level}_{side}" for level in COLUMN[:-1] for side in ("sup", "inf")):
        if plate in true:
            cosine = float(np.clip(normal(found, plate) @ normal(true, plate), -1, 1))
            margins = [
                np.linalg.norm(found[f"{plate}_{e}"] - true[f"{plate}_{e}"]) for e in ("ant", "post", "left", "right")
            ]
            centre = float(np.linalg.norm(found[plate] - true[plate]))
            result[plate] = (centre, float(np.degrees(np.arccos(cosine))), float(max(margins)))
    return result


@pytest.mark.slow
@pytest.mark.parametrize("noise_mm", [0.0, 0.5])
def test_plates_on_exported_meshes_are_those_of_the_patients(tmp_path: Path, noise_mm: float) -> None:
    by_plate: dict[str, list[tuple[float, float, float]]] = {}
    for seed in SEEDS:
        patient = build_patient(sample_patient(seed), seed)
        (tmp_path / str(seed)).mkdir()
        found = derived(patient, tmp_path / str(seed), noise_mm)
        true = patient.reconstruction
        assert {n for n in true.points if "_ped_" not in n} == set(found.points)
        for plate, error in errors(found.points, true.points).items():
            by_plate.setdefault(plate, []).append(error)
        for hip in ("HIP_L", "HIP_R"):
            assert np.linalg.norm(found.points[hip] - true.points[hip]) < 0.5
            assert found.hip_radius_mm[hip] == pytest.approx(true.hip_radius_mm[hip], abs=0.6)
        assert_same_angles(found, true)
    print_figures(by_plate, noise_mm)
    every = np.array([error for row in by_plate.values() for error in row])
    assert np.median(every, axis=0)[:2] == pytest.approx((0.6, 0.4), abs=0.4)
    assert (np.quantile(every, 0.95, axis=0) < (1.6, 1.6, 3.5)).all()
    assert (every.max(axis=0) < (2.5, 3.0, 6.0)).all()


def assert_same_angles(found: Reconstruction, true: Reconstruction) -> None:
    ours = measure(planes_from_points_3d(found.points))
    for name, expected in measure(planes_from_points_3d(true.points)).items():
        # Secondary curves may end at another plate of nearly the same tilt.
        if expected.value is not None and expected.unit == "deg" and "secondary" not in name:
            assert ours[name].value == pytest.approx(expected.value, abs=3.0), name


def print_figures(by_plate: Mapping[str, list[tuple[float, float, float]]], noise_mm: float) -> None:
    """Shown by ``pytest -s``; docs/your-data.md quotes the medians."""
    print(f"\nnoise of the vertices {noise_mm} mm; mean and largest error of {len(SEEDS)} virtual patients")
    for plate, row in by_plate.items():
        mean, most = np.mean(row, axis=0), np.max(row, axis=0)
        print(f"{plate:8} centre {mean[0]:.2f} ({most[0]:.2f}) mm, plane {mean[1]:.2f} ({most[1]:.2f}) deg")
    every = np.array([error for row in by_plate.values() for error in row])
    middle, high = np.median(every, axis=0), np.quantile(every, 0.95, axis=0)
    print(f"all: centre {middle[0]:.2f} mm (95 %: {high[0]:.2f}), plane {middle[1]:.2f} deg (95 %: {high[1]:.2f})")


def test_pelvis_and_sides_follow_the_patient_when_the_axes_are_not_stated(tmp_path: Path) -> None:
    patient = build_patient(sample_patient(5), 5)
    half_turn = np.array([-1.0, -1.0, 1.0])
    for name, mesh in bone_meshes(patient).items():
        if bone_of(name) != OTHER:
            ras = replace(mesh, vertices=mesh.vertices * half_turn)
            write_mesh(tmp_path / f"{name}.obj", ras.vertices, ras.faces)
            text = (tmp_path / f"{name}.obj").read_text()
            (tmp_path / f"{name}.obj").write_text(text.replace("SPACE=LPS", ""))
    found = reconstruction_from_meshes(sorted(tmp_path.iterdir()))
    true = patient.reconstruction.points
    for name in ("S1_sup", "HIP_L", "T1_sup_left", "L5_inf_post"):
        np.testing.assert_allclose(found.points[name], true[name], atol=3.0, err_msg=name)
    assert found.facts["axes_from_arches"] is True

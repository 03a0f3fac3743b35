"""A patient alone and in a batch: the same arrays, mass points and path lengths; mass is conserved."""

from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
import torch

from simulation.body.batch import SLOTS, PatientBatch, collate
from simulation.body.mass_points import MassPoints, cell_sizes, sample_bones
from simulation.body.metal import PLATE_REACH_MM
from simulation.body.patient import VirtualPatient, build_patient
from simulation.body.patient_mass import PatientMass, sample_patient_mass
from simulation.body.skeleton import build_bones, reference_cells
from simulation.body.soft_tissue import BOWEL, BOWEL_REACH_MM, STOMACH, STOMACH_REACH_MM
from simulation.body.solids import ellipsoids_of
from simulation.imaging.chords import add_small, ellipsoid_chords, ray_lines
from simulation.imaging.exposure import LIVER_EXCESS, PathLengths
from simulation.imaging.rays import rays_of
from simulation.imaging.render import exact_paths
from simulation.imaging.splat import splat
from simulation.population.sampling import sample_patient
from spine.scanner import NATIVE_SPACING_MM, SOURCE_TO_ISOCENTRE_MM, ViewGeometry

VIEWS = ("frontal", "lateral")
PIXEL_MM = NATIVE_SPACING_MM * 24
SHAPE = (170, 128)


@cache
def patients() -> tuple[VirtualPatient, ...]:
    """Three patients with different parts: six lumbar vertebrae; thirteen ribs; metal and no laminae."""
    found: dict[str, VirtualPatient] = {}
    for seed in range(3000):
        p = sample_patient(seed)
        metal = p.instrumentation
        kind = p.anatomy if metal is None else "metal" if metal.laminectomy and metal.cages else ""
        if kind in ("six_lumbar", "thirteen_thoracic", "metal") and kind not in found:
            found[kind] = build_patient(p, seed)
        if len(found) == 3:
            return tuple(found.values())
    raise AssertionError(f"the population has only {sorted(found)}")


@cache
def together() -> tuple[PatientBatch, PatientMass]:
    batch = collate([p.arrays for p in patients()])
    return batch, sample_patient_mass(batch, PIXEL_MM)


@cache
def alone(who: int) -> tuple[PatientBatch, PatientMass]:
    batch = collate([patients()[who].arrays])
    return batch, sample_patient_mass(batch, PIXEL_MM)


def geometry(view) -> ViewGeometry:
    return ViewGeometry(view, SHAPE, (PIXEL_MM, PIXEL_MM), SOURCE_TO_ISOCENTRE_MM[view], 5.0, -20.0)


@cache
def all_paths(view) -> PathLengths:
    return exact_paths(*together(), rays_of([geometry(view)] * 3))


def with_mass(points: MassPoints, who: int) -> tuple[np.ndarray, np.ndarray]:
    keep = points.volume_mm3[who] != 0
    return points.xyz_mm[who, keep].numpy(), points.volume_mm3[who, keep].numpy()


def test_every_patient_has_arrays_of_the_same_names_shapes_and_type() -> None:
    names = {f.name for f in fields(PatientBatch)}
    for patient in patients():
        assert set(patient.arrays) == names
        for name, array in patient.arrays.items():
            assert array.dtype == np.float32, name
            assert array.shape == patients()[0].arrays[name].shape, name
            assert np.isfinite(array).all(), name


def test_missing_slots_repeat_the_last_vertebra() -> None:
    for patient in patients():
        count, arrays = len(patient.spine.levels), patient.arrays
        assert arrays["present"].sum() == count
        for name in ("centre", "plate_half", "height", "sclerosis"):
            assert arrays[name][: count - 1] == pytest.approx(np.delete(arrays[name][:count], -1, 0))
            for slot in range(count, SLOTS):
                assert np.array_equal(arrays[name][slot], arrays[name][count - 1]), name
        assert arrays["centre"][:count] == pytest.approx(patient.spine.centre, abs=1e-4)


def test_axes_between_the_plates_are_those_of_the_posed_spine() -> None:
    batch, _ = together()
    for i, patient in enumerate(patients()):
        count = len(patient.spine.levels)
        assert batch.body_axes[i, :count].numpy() == pytest.approx(patient.spine.body_axes, abs=1e-5)
        assert batch.body_centre[i, :count].numpy() == pytest.approx(patient.spine.body_centre, abs=1e-4)


@pytest.mark.parametrize("who", range(3))
def test_a_patients_mass_points_do_not_depend_on_the_batch(who) -> None:
    one, many = alone(who)[1], together()[1]
    assert one.bones.xyz_mm.shape[1] < many.bones.xyz_mm.shape[1], "alone, parts of other patients are left out"
    for kind in ("bones", "vessels", "metal"):
        if getattr(one, kind) is None:
            continue
        (xyz, volume), (among, weights) = with_mass(getattr(one, kind), 0), with_mass(getattr(many, kind), who)
        assert xyz.shape == among.shape
        assert np.abs(xyz - among).max() < 2e-3
        assert (np.abs(volume - weights) / volume).max() < 1e-3
        assert volume.sum() == pytest.approx(weights.sum(), rel=1e-5)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("who", range(3))
def test_a_patients_path_lengths_do_not_depend_on_the_batch(who, view) -> None:
    paths = exact_paths(*alone(who), rays_of([geometry(view)]))
    for field in fields(PathLengths):
        one, among = getattr(paths, field.name)[0], getattr(all_paths(view), field.name)[who]
        assert float((one - among).abs().max()) < 2e-3, field.name
        assert float(one.max()) > 0 or field.name == "titanium"


@pytest.mark.parametrize("view", VIEWS)
def test_path_lengths_are_physical(view) -> None:
    paths = all_paths(view)
    for field in fields(PathLengths):
        lengths = getattr(paths, field.name)
        assert lengths.shape == (3, *SHAPE)
        assert bool(torch.isfinite(lengths).all())
        assert float(lengths.min()) >= -1e-3, field.name
    # All soft tissue lies inside the skin; the liver counts a little more than its length.
    assert float((paths.soft / (1 + LIVER_EXCESS) + paths.lung + paths.fat - paths.skin).max()) < 0.01
    assert 150 < float(paths.skin.max()) < 700
    operated = [p.parameters.instrumentation is not None for p in patients()]
    assert sum(operated) == 1
    assert float(paths.titanium[operated.index(True)].max()) > 3


@pytest.mark.parametrize("view", VIEWS)
def test_chords_on_tiles_equal_those_on_the_whole_image(view) -> None:
    batch, rays = together()[0], rays_of([geometry(view)] * 3)
    gas, plates = ellipsoids_of(batch.gas), ellipsoids_of(batch.plates[..., :13])
    parts = [(gas[STOMACH], STOMACH_REACH_MM), (gas[BOWEL], BOWEL_REACH_MM), (plates, PLATE_REACH_MM)]
    for solids, reach in parts:
        found = add_small(torch.zeros(3, *SHAPE), solids, rays, reach, torch.ones_like(solids.floor_mm))
        expected = ellipsoid_chords(solids, ray_lines(rays)).sum(1)
        assert float((found - expected).abs().max()) < 5e-3
    assert float(ellipsoid_chords(gas, ray_lines(rays)).sum()) > 0


def test_bubbles_and_plates_fit_their_tiles() -> None:
    largest = np.zeros(3)
    for seed in range(80):
        arrays = build_patient(sample_patient(seed), seed).arrays
        sizes = [np.linalg.norm(arrays[n][:, 3:12].reshape(-1, 3, 3), 2, axis=(1, 2)) for n in ("gas", "plates")]
        largest = np.maximum(largest, [sizes[0][STOMACH].max(), sizes[0][BOWEL].max(), sizes[1].max()])
    # A tile is 1.2 times as large, which allows for the magnification in front of the isocentre.
    assert (largest <= np.array([STOMACH_REACH_MM, BOWEL_REACH_MM, PLATE_REACH_MM]) * 1.02).all()
    assert (largest > 10).all()


@pytest.mark.parametrize("view", VIEWS)
def test_the_splat_conserves_the_mass_of_all_bone(view) -> None:
    """On an image of the whole body, path length times area at the depth of the point is volume."""
    bones = together()[1].bones
    wide = ViewGeometry(view, (330, 300), (9.0, 9.0), SOURCE_TO_ISOCENTRE_MM[view], 0.0, -300.0)
    depth = bones.xyz_mm[..., 1 if view == "frontal" else 0]
    across = bones.xyz_mm[..., 0 if view == "frontal" else 1]
    f = wide.source_to_isocentre_mm
    magnified = f / (f + depth)
    expected = bones.volume_mm3 * magnified * torch.hypot(torch.ones(()), across * magnified / f) / 81.0
    found = splat(bones, rays_of([wide] * 3)).double().sum((1, 2))
    assert found.numpy() == pytest.approx(expected.double().sum(1).numpy(), rel=1e-3)


def test_fine_and_coarse_sampling_conserve_the_mass_of_bone() -> None:
    batch, mass = together()
    bones, cells = build_bones(batch), reference_cells()["bones"]
    fine, coarse = sample_bones(bones, cells, finer=1.75), sample_bones(bones, [(1.0, 1.0, 1.0)] * len(cells))
    assert fine.xyz_mm.shape[1] > 1.5 * coarse.xyz_mm.shape[1]
    for who in range(3):
        one, other = (float(p.volume_mm3[who].double().sum()) for p in (fine, coarse))
        assert one == pytest.approx(other, rel=1e-4)
    assert bool((mass.bones.volume_mm3 >= 0).all())


def test_the_number_of_points_does_not_depend_on_the_patient() -> None:
    small, large = (
        collate([build_patient(replace(sample_patient(4), size_factor=size, anatomy="standard"), 4).arrays])
        for size in (0.8, 1.2)
    )
    masses = [sample_patient_mass(batch, PIXEL_MM) for batch in (small, large)]
    assert masses[0].bones.xyz_mm.shape == masses[1].bones.xyz_mm.shape
    assert masses[0].vessels.xyz_mm.shape == masses[1].vessels.xyz_mm.shape
    assert cell_sizes(build_bones(small)) != cell_sizes(build_bones(large))

"""A patient who moves between the views: everything that is rendered moves, and nothing else changes."""

from dataclasses import fields, replace

import numpy as np
import pytest

from simulation.body.batch import PatientBatch, collate
from simulation.body.patient import build_patient
from simulation.body.patient_mass import sample_patient_mass
from simulation.imaging.field_of_view import scan_geometry
from simulation.imaging.patient_motion import render_with_motion, sample_patient_motion, translated
from simulation.imaging.rays import rays_of
from simulation.imaging.render import exact_paths, render_views
from simulation.population.sampling import sample_patient
from spine.scanner import NATIVE_SPACING_MM, ViewGeometry

BY = np.array([3.0, -5.0, 7.0])
SMALL = (160, 80), NATIVE_SPACING_MM * 26


@pytest.fixture(scope="module")
def operated():
    """A patient with everything that is rendered, metal included."""
    seed = next(s for s in range(200) if sample_patient(s).condition == "instrumented")
    return build_patient(sample_patient(seed), seed)


@pytest.mark.parametrize(("view", "columns"), [("frontal", 3), ("lateral", -2)])
def test_all_materials_move_together(operated, view, columns):
    """From a distant source, a motion by whole pixels shifts the path lengths by those pixels."""
    geometry = ViewGeometry(view, (192, 112), (4.0, 4.0), 2.0e4, 0.0, 0.0)
    rays = rays_of([geometry])
    both = operated.arrays, translated(operated.arrays, 4.0 * np.array([3.0, -2.0, 5.0]))
    batches = [collate([arrays]) for arrays in both]
    still, moved = (exact_paths(batch, sample_patient_mass(batch, 4.0), rays) for batch in batches)
    for field in fields(still):
        before = getattr(still, field.name)[0].numpy()
        after = np.roll(getattr(moved, field.name)[0].numpy(), (5, -columns), axis=(0, 1))
        inside = (slice(10, -10), slice(10, -10))
        unmoved = np.abs(getattr(moved, field.name)[0].numpy() - before)[inside].mean()
        assert before[inside].max() > 1, field.name
        assert np.abs(after - before)[inside].mean() < 0.1 * unmoved, field.name


def test_every_array_of_a_batch_is_listed(operated):
    assert set(translated(operated.arrays, BY)) == {f.name for f in fields(PatientBatch)}


def test_an_unlisted_array_is_an_error():
    with pytest.raises(KeyError, match="shoes"):
        translated({"shoes": np.zeros((2, 3), np.float32)}, BY)


def test_a_patient_who_moves_up_appears_higher_in_the_lateral_image():
    seed = 3
    patient = build_patient(replace(sample_patient(seed), field_of_view="full"), seed)
    geometry = scan_geometry(patient, *SMALL)
    pixel = geometry["lateral"].spacing_mm[0]
    still, raised = (
        render_views(patient, geometry, seed),
        render_with_motion(patient, geometry, seed, np.array([0, 0, 4 * pixel])),
    )
    assert (still["frontal"] == raised["frontal"]).all()
    inner = still["lateral"][50:120, 20:60].astype(float)
    shifts = [np.corrcoef(inner.ravel(), raised["lateral"][50 - s : 120 - s, 20:60].ravel())[0, 1] for s in range(9)]
    assert int(np.argmax(shifts)) == 4


def test_no_motion_gives_the_image_of_the_still_patient():
    patient = build_patient(sample_patient(5), 5)
    geometry = scan_geometry(patient, *SMALL)
    still, moved = render_views(patient, geometry, 5), render_with_motion(patient, geometry, 5, np.zeros(3))
    assert all((still[view] == moved[view]).all() for view in still)


def test_the_motion_has_the_given_sd_and_follows_the_seed():
    draws = np.array([sample_patient_motion(seed, 2.0) for seed in range(600)])
    assert draws.mean(axis=0) == pytest.approx([0, 0, 0], abs=0.35)
    assert draws.std(axis=0) == pytest.approx([2, 2, 2], rel=0.1)
    assert (sample_patient_motion(7, 2.0) == draws[7]).all()

"""A patient who moves between the views: everything that is drawn moves, and nothing else changes."""

from dataclasses import fields, replace

import numpy as np
import pytest

from simulation.body.batch import PatientBatch, collate
from simulation.body.patient import build_patient
from simulation.body.patient_mass import sample_matter
from simulation.imaging.field_of_view import scan_geometry
from simulation.imaging.patient_motion import moved, render_swayed, sample_sway
from simulation.imaging.rays import rays_of
from simulation.imaging.render import exact_paths, render_views
from simulation.population.sampling import sample_patient
from spine.scanner import NATIVE_SPACING_MM, ViewGeometry

BY = np.array([3.0, -5.0, 7.0])
SMALL = (160, 80), NATIVE_SPACING_MM * 26


@pytest.fixture(scope="module")
def operated():
    """A patient with everything that is drawn, metal included."""
    seed = next(s for s in range(200) if sample_patient(s).condition == "instrumented")
    return build_patient(sample_patient(seed), seed)


@pytest.mark.parametrize(("view", "columns"), [("frontal", 3), ("lateral", -2)])
def test_all_materials_move_together(operated, view, columns):
    """Seen from far away, a patient moved by whole pixels gives the same path lengths, whole pixels aside."""
    geometry = ViewGeometry(view, (192, 112), (4.0, 4.0), 2.0e4, 0.0, 0.0)
    rays = rays_of([geometry])
    still, elsewhere = (
        exact_paths(batch, sample_matter(batch, 4.0), rays)
        for batch in (collate([a]) for a in (operated.arrays, moved(operated.arrays, 4.0 * np.array([3.0, -2.0, 5.0]))))
    )
    for field in fields(still):
        before = getattr(still, field.name)[0].numpy()
        after = np.roll(getattr(elsewhere, field.name)[0].numpy(), (5, -columns), axis=(0, 1))
        inside = (slice(10, -10), slice(10, -10))
        unmoved = np.abs(getattr(elsewhere, field.name)[0].numpy() - before)[inside].mean()
        assert before[inside].max() > 1, field.name
        assert np.abs(after - before)[inside].mean() < 0.1 * unmoved, field.name


def test_every_array_is_known(operated):
    assert set(moved(operated.arrays, BY)) == {f.name for f in fields(PatientBatch)}


def test_a_new_kind_of_array_is_not_left_behind():
    with pytest.raises(KeyError, match="shoes"):
        moved({"shoes": np.zeros((2, 3), np.float32)}, BY)


def test_a_raised_patient_is_seen_higher_up():
    seed = 3
    patient = build_patient(replace(sample_patient(seed), field_of_view="full"), seed)
    geometry = scan_geometry(patient, *SMALL)
    pixel = geometry["lateral"].spacing_mm[0]
    still, raised = (
        render_views(patient, geometry, seed),
        render_swayed(patient, geometry, seed, np.array([0, 0, 4 * pixel])),
    )
    assert (still["frontal"] == raised["frontal"]).all()
    inner = still["lateral"][50:120, 20:60].astype(float)
    shifts = [np.corrcoef(inner.ravel(), raised["lateral"][50 - s : 120 - s, 20:60].ravel())[0, 1] for s in range(9)]
    assert int(np.argmax(shifts)) == 4


def test_nothing_moved_is_the_image_of_the_still_patient():
    patient = build_patient(sample_patient(5), 5)
    geometry = scan_geometry(patient, *SMALL)
    still, swayed = render_views(patient, geometry, 5), render_swayed(patient, geometry, 5, np.zeros(3))
    assert all((still[view] == swayed[view]).all() for view in still)


def test_sway_has_the_spread_that_was_asked_for_and_follows_the_seed():
    draws = np.array([sample_sway(seed, 2.0) for seed in range(600)])
    assert draws.mean(axis=0) == pytest.approx([0, 0, 0], abs=0.35)
    assert draws.std(axis=0) == pytest.approx([2, 2, 2], rel=0.1)
    assert (sample_sway(7, 2.0) == draws[7]).all()

"""Margins that one view shows give the plate's tilt in that view's plane."""

from dataclasses import replace

import numpy as np
import pytest

from simulation.body.patient import build_patient
from simulation.imaging.field_of_view import scan_geometry
from simulation.population.sampling import sample_patient
from spine.landmarks import GALBUSERA39, MARGINS175, PLATES, VIEWS
from spine.measurement.margins import margins_in_space
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_points_3d
from spine.scanner import NATIVE_SPACING_MM


def test_each_margin_is_in_one_view_and_every_other_landmark_in_both():
    frontal, lateral = (MARGINS175.names_in(view) for view in VIEWS)
    assert len(MARGINS175) == len(GALBUSERA39) + 4 * len(PLATES)
    assert set(frontal) & set(lateral) == set(GALBUSERA39)
    assert set(frontal) | set(lateral) == set(MARGINS175)
    assert {n.rsplit("_", 1)[1] for n in set(frontal) - set(lateral)} == {"left", "right"}
    assert GALBUSERA39.names_in("frontal") == GALBUSERA39.names


@pytest.mark.parametrize("seed", [3, 5, 9, 20])
def test_angles_from_margins_of_single_views_are_those_of_the_points_in_space(seed):
    patient = build_patient(replace(sample_patient(seed), field_of_view="full"), seed)
    geometry = scan_geometry(patient, (512, 256), NATIVE_SPACING_MM * 8)
    points = patient.reconstruction.points
    seen = {
        view: {n: geometry[view].project(points[n]) for n in MARGINS175.names_in(view) if n in points} for view in VIEWS
    }
    centres = {n: points[n] for n in GALBUSERA39 if n in points}
    margins = margins_in_space(centres, seen, geometry)
    assert len(margins) == 4 * sum(plate in points for plate in PLATES)
    found = measure(planes_from_points_3d({**margins, **centres}))
    exact = measure(planes_from_points_3d(points))
    for name in ("cobb", "thoracic_kyphosis_t4_t12", "lumbar_lordosis_l1_l5"):
        assert found[name].value == pytest.approx(exact[name].value, abs=0.6), name


def test_a_plate_without_centre_or_image_has_no_margins():
    patient = build_patient(sample_patient(3), 3)
    geometry = scan_geometry(patient, (512, 256), NATIVE_SPACING_MM * 8)
    margin = {"T5_sup_left": np.array([100.0, 200.0])}
    assert margins_in_space({}, {"frontal": margin, "lateral": {}}, geometry) == {}
    centre = {"T5_sup": patient.reconstruction.points["T5_sup"]}
    assert margins_in_space(centre, {"frontal": {}, "lateral": margin}, geometry) == {}

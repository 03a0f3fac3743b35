"""Measuring given landmarks: what nobody moved stays as the model measured it, what moved is measured anew."""

from dataclasses import replace

import numpy as np
import pytest

from inference.bundled import open_bundled
from inference.given_points import INTERVAL, WITHHELD, measure_given_points
from inference.measured_study import measure_radiographs
from inference.radiograph_files import RadiographFile, open_radiographs
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.errors import LabelsRejected
from spine.landmarks import VIEWS
from spine.measurement.registry import PARAMETERS
from spine.scanner import NATIVE_SPACING_MM

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    write_cohort(folder, CohortConfig(count=2, seed=3, shape=(512, 256), spacing_mm=float(NATIVE_SPACING_MM * 8)))
    files = [RadiographFile(folder / "case-00001" / f"{view}.dcm", f"{view}.dcm") for view in VIEWS]
    return measure_radiographs(open_bundled(), open_radiographs(files))


def given(study, **changes):
    """The model's points with changes: ``view__name=(column, row)`` in pixels to add, or None to remove the point."""
    points = {view: dict(at) for view, at in study.prediction.points.items()}
    for key, shift in changes.items():
        view, name = key.split("__")
        if shift is None:
            del points[view][name]
        else:
            points[view][name] = points[view][name] + shift
    return points


def measured(study, points, inputs=None, **options):
    options = {"prediction": study.prediction, "model": study.model} | options
    return measure_given_points(points, inputs or study.inputs, **options)


def lost(found):
    return {name for name, m in found.parameters.items() if (m.detail or {}).get(INTERVAL) == WITHHELD}


def test_points_that_nobody_moved_give_the_models_measurement(study):
    rounded = {v: {n: np.round(xy, 1) for n, xy in at.items()} for v, at in study.prediction.points.items()}
    assert measured(study, rounded) is study.prediction


def test_the_recomputation_of_the_models_points_is_that_of_the_model(study):
    found = measured(study, given(study, lateral__HIP_L=(0.5, 0.0)))
    untouched = set(PARAMETERS) - lost(found)
    assert {"cobb", "sacral_slope", "thoracic_kyphosis_t4_t12", "lumbar_lordosis_l1_s1"} <= untouched
    assert all(found.parameters[name] is study.prediction.parameters[name] for name in untouched)


def test_a_moved_hip_changes_the_pelvic_angles_as_the_formula_says(study):
    one_view = {"lateral": study.inputs["lateral"]}
    alone = replace(study.prediction, points={"lateral": study.prediction.points["lateral"]}, points_3d={})
    points = {
        v: at for v, at in given(study, lateral__HIP_L=(6.0, 0.0), lateral__HIP_R=(6.0, 0.0)).items() if v == "lateral"
    }
    found = measured(study, points, one_view, prediction=alone)
    hips = (points["lateral"]["HIP_L"] + points["lateral"]["HIP_R"]) / 2
    across, down = (points["lateral"]["S1_sup"] - hips) * (1, 1)
    tilt = found.parameters["pelvic_tilt"].value
    assert tilt == pytest.approx(np.degrees(np.arctan2(across, -down)), abs=1e-6)
    assert lost(found) == {"pelvic_incidence", "pelvic_tilt", "t1_pelvic_angle", "pi_minus_ll"}
    assert found.parameters["pelvic_tilt"].interval is None


def test_every_plate_belongs_to_the_cobb_angle(study):
    """A small move of an end plate far from the end vertebrae: the largest angle might have been there."""
    frontal = {"frontal": study.inputs["frontal"]}
    alone = replace(study.prediction, points={"frontal": study.prediction.points["frontal"]}, points_3d={})
    for name in ("T2_sup_left", "L5_inf_right"):
        points = {"frontal": given(study, **{f"frontal__{name}": (0.0, 0.2)})["frontal"]}
        assert "cobb" in lost(measured(study, points, frontal, prediction=alone))


def test_a_declared_landmark_counts_as_moved_where_it_is(study):
    found = measured(study, given(study), moved={"lateral": {"S1_ant"}})
    assert {"sacral_slope", "pelvic_incidence", "lumbar_lordosis_l1_s1"} <= lost(found)
    assert "S1_ant" not in found.radius_px["lateral"] and "S1_post" in found.radius_px["lateral"]


def test_a_removed_landmark_makes_its_parameter_absent(study):
    found = measured(study, given(study, lateral__HIP_L=None))
    assert found.parameters["pelvic_incidence"].absent_code == "LANDMARKS_NOT_SEEN"
    assert found.parameters["sacral_slope"] is study.prediction.parameters["sacral_slope"]


def test_points_from_nothing_are_measured_without_intervals(study):
    found = measured(study, given(study), prediction=None, model=None)
    values = {n: m for n, m in found.parameters.items() if m.value is not None}
    assert set(values) == lost(found) and "cobb" in values
    assert all(m.interval is None for m in values.values())
    assert set(found.points_3d) == set(study.prediction.points_3d)


def test_margins_alone_give_the_centres(study):
    margins = {"lateral": {n: xy for n, xy in given(study)["lateral"].items() if n.endswith(("_ant", "_post"))}}
    found = measure_given_points(margins, {"lateral": study.inputs["lateral"]})
    middle = (margins["lateral"]["L3_sup_ant"] + margins["lateral"]["L3_sup_post"]) / 2
    assert np.allclose(found.points["lateral"]["L3_sup"], middle)
    assert found.parameters["lumbar_lordosis_l1_s1"].value is not None


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        ({"lateral": {"<script>": np.zeros(2)}}, "LABEL_UNKNOWN"),
        ({"lateral": {"T4_sup_left": np.zeros(2)}}, "LABEL_UNKNOWN"),
        ({"lateral": {"T4_sup": np.array([np.nan, 1.0])}}, "LABELS_NOT_FINITE"),
        ({"lateral": {"T4_sup": np.array([1.0, 1e6])}}, "LABELS_OUTSIDE_IMAGE"),
        ({"oblique": {"T4_sup": np.zeros(2)}}, "LABEL_VIEW_UNKNOWN"),
    ],
)
def test_impossible_landmarks_are_refused(study, labels, code):
    with pytest.raises(LabelsRejected) as refusal:
        measured(study, labels)
    assert refusal.value.code == code and "script" not in str(refusal.value)

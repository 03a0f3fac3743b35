"""The labels of a record give the angles that the page showed."""

import numpy as np
import pytest

from inference.given_points import at_same_height, measure_given_points
from inference.measure import measure_views
from inference.radiograph_files import RadiographFile
from serving.correction.answers import proposed_points
from serving.correction.cases import Case
from serving.correction.recording import Recorder
from serving.correction.requests import GivenDecision
from spine.intake.correction_record import read_correction
from spine.landmarks import VIEWS
from spine.measurement.in_space import points_in_space
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_points_3d
from spine.projection import derive_points
from tests.inference.fake_model import knowing_model
from tests.inference.test_measure_views import GEOMETRY, POINTS, SHAPE, _inputs


def test_a_point_moved_in_one_view_is_recorded_at_its_height_in_both(tmp_path):
    inputs, model = _inputs(*VIEWS), knowing_model(POINTS, SHAPE)
    proposal = measure_views(model, inputs)
    files = {view: RadiographFile(view.encode(), view, view) for view in VIEWS}
    case = Case("0" * 24, files, {}, inputs, {}, proposal, model)
    points = {view: dict(proposed_points(case)[view]) for view in VIEWS}
    points["lateral"]["S1_ant"] = points["lateral"]["S1_ant"] + np.array([0.0, 8.0])
    points = at_same_height(points, inputs, "lateral", "S1_ant")
    shown = measure_given_points(points, inputs, prediction=proposal, model=model).parameters["sacral_slope"].value
    Recorder(tmp_path).save(case, GivenDecision("corrected", points, "", "A. Surgeon", 0))
    record = read_correction(tmp_path / case.case_id)
    labels = {view: derive_points(each.points) for view, each in record.views.items()}
    in_space = points_in_space(labels, GEOMETRY)
    assert measure(planes_from_points_3d(in_space))["sacral_slope"].value == pytest.approx(shown, abs=0.2)
    assert record.views["frontal"].moved == record.views["lateral"].moved == ("S1_ant",)

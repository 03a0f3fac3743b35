"""Landmarks in blank regions are dropped, and the rest of the radiograph is measured."""

from dataclasses import replace

import numpy as np
import pytest

from inference.blank_regions import in_blank_regions
from inference.measure import measure_views
from inference.measurement_json import report_json
from spine.landmarks import VIEWS, ViewName
from tests.inference.fake_model import knowing_model
from tests.inference.test_measure_views import IMAGE, POINTS, SHAPE, _inputs

CURVES = ("cobb", "cobb_midline", "cobb_secondary_cranial", "cobb_secondary_caudal")


def _covered(top: str, bottom: str, *views: ViewName, grey: int = 0):
    """Images with a bar of one grey value from one end plate to another in the first of the views."""
    given = _inputs(*views)
    image, points = IMAGE.copy(), POINTS[views[0]]
    image[int(points[top][1]) - 2 : int(points[bottom][1]) + 3] = grey
    return {**given, views[0]: replace(given[views[0]], image=image)}


@pytest.mark.parametrize("grey", [0, 1700, 4095])
def test_a_covered_middle_has_no_landmarks_and_no_curve(grey):
    found = measure_views(knowing_model(POINTS, SHAPE), _covered("T8_sup", "L1_inf", "frontal", grey=grey))
    covered = {f"{v}_{p}" for v in ("T8", "T9", "T10", "T11", "T12", "L1") for p in ("sup", "inf")}
    assert found.dropped["frontal"] == dict.fromkeys(covered, "LANDMARKS_IN_BLANK_REGION")
    assert not covered & set(found.points["frontal"]) and not covered & set(found.spread_px["frontal"])
    assert {"T7_inf", "L2_sup"} <= set(found.points["frontal"])
    reason = "the curve is not known: the frontal image is blank there: T8, T9, T10, T11, T12, L1"
    assert all(found.parameters[name].absent_reason == reason for name in CURVES)
    report = report_json(found, knowing_model(POINTS, SHAPE), _inputs("frontal"))
    assert set(report["views"]["frontal"]["dropped"]) == covered


def test_parameters_without_covered_landmarks_are_measured_and_others_name_them():
    found = measure_views(knowing_model(POINTS, SHAPE), _covered("T11_sup", "L1_inf", "lateral", "frontal"))
    assert found.parameters["pelvic_tilt"].value is not None
    reason = found.parameters["thoracic_kyphosis_t4_t12"].absent_reason
    assert "T12_inf" in reason and "the lateral image is blank there" in reason
    assert all(found.parameters[name].is_absent for name in CURVES)  # a 3D point needs both views


def test_an_image_with_contrast_loses_nothing_and_a_covered_end_keeps_the_curve():
    assert measure_views(knowing_model(POINTS, SHAPE), _inputs(*VIEWS)).dropped == {}
    found = measure_views(knowing_model(POINTS, SHAPE), _covered("T1_sup", "T3_inf", "frontal"))
    assert found.dropped and found.parameters["cobb"].value is not None


def test_a_landmark_at_the_edge_of_a_cover_is_dropped_and_one_beside_it_is_kept():
    pixels = np.random.default_rng(0).uniform(-1, 1, (64, 64)).astype(np.float32)
    pixels[20:40, 10:50] = -1.0
    at = {"T4_sup": np.array([30.0, 22.0]), "T4_inf": np.array([30.0, 37.0]), "T5_sup": np.array([30.0, 41.0])}
    assert in_blank_regions(pixels, at) == ("T4_sup", "T4_inf")


def test_one_grey_value_of_eight_bits_beside_a_landmark_is_contrast():
    pixels = np.zeros((64, 64), np.float32)
    at = {"T4_sup": np.array([20.0, 30.0]), "T4_inf": np.array([40.0, 30.0])}
    pixels[31, 21] = 2 / 255
    assert in_blank_regions(pixels, at) == ("T4_inf",)
    assert in_blank_regions(pixels, {}) == ()
    assert in_blank_regions(pixels, {"T4_sup": np.array([-3.0, 90.0])}) == ("T4_sup",)  # a point outside is no error


def test_an_overexposed_femoral_head_is_kept_by_its_rim():
    pixels = np.ones((64, 64), np.float32)
    pixels[:, 44] = 0.0
    assert in_blank_regions(pixels, {"HIP_L": np.array([35.0, 30.0]), "S1_sup": np.array([35.0, 30.0])}) == ("S1_sup",)

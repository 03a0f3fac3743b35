"""Positions of the vertebrae, and the lean of the spine."""

import numpy as np
import pytest

from inference.measure import measure_views
from inference.measurement_json import report_json
from inference.vertebral_column import MAX_LEAN_DEG, centres_of, field_of_view, lean_notes, lean_of, pitch_of
from spine.landmarks import LEVELS
from tests.inference.fake_model import knowing_model
from tests.inference.test_measure_views import POINTS, SHAPE, _inputs

FRONTAL = POINTS["frontal"]


def _turned(degrees: float) -> dict[str, np.ndarray]:
    """The spine turned clockwise around the middle of the image, and drawn half as large."""
    angle, middle = np.radians(degrees), np.array([128.0, 256.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return {n: middle + 0.5 * (turn @ (p - middle)) for n, p in FRONTAL.items()}


def test_centres_are_ordered_from_head_to_foot_and_have_a_pitch():
    column = {"L1_sup": np.array([5.0, 40.0]), "L1_inf": np.array([5.0, 44.0]), "T12_sup": np.array([5.0, 30.0])}
    centres = centres_of({**column, "S1_sup": np.array([0.0, 90.0]), "HIP_L": np.zeros(2)})
    assert list(centres) == ["T12", "L1"]
    assert pitch_of(centres) == pytest.approx(12.0)
    assert pitch_of({"T1": np.zeros(2), "T9": np.ones(2)}) is None


@pytest.mark.parametrize("degrees", [-40.0, -20.0, 15.0, 30.0])
def test_a_turned_radiograph_leans_by_its_angle_and_gets_a_warning(degrees):
    straight = lean_of(FRONTAL)
    assert lean_of(_turned(degrees)) == pytest.approx(straight - degrees, abs=1e-6)
    model = knowing_model({**POINTS, "frontal": _turned(degrees)}, SHAPE)
    found = measure_views(model, _inputs("frontal", calibrated=False))
    assert len(found.notes) == 1 and "may be turned" in found.notes[0]
    assert report_json(found, model, _inputs("frontal"))["notes"] == list(found.notes)
    assert found.parameters["cobb"].value is not None  # a difference of two tilts stays right


def test_an_upright_radiograph_and_too_short_a_column_get_no_warning():
    assert abs(lean_of(FRONTAL)) < MAX_LEAN_DEG["frontal"]
    assert measure_views(knowing_model(POINTS, SHAPE), _inputs("frontal", "lateral")).notes == ()
    assert lean_of({n: p for n, p in _turned(30.0).items() if n.startswith("L")}) is None
    assert (
        lean_notes(None, "frontal")
        == lean_notes(MAX_LEAN_DEG["frontal"], "frontal")
        == lean_notes(17.0, "lateral")
        == ()
    )
    assert "lateral radiograph leans by 20 degrees" in lean_notes(-20.0, "lateral")[0]


def test_the_lean_is_measured_in_the_patient_with_pixels_that_are_not_square():
    wide = {n: p * np.array([2.0, 1.0]) for n, p in FRONTAL.items()}
    assert lean_of(wide, (1.0, 0.5)) == pytest.approx(lean_of(FRONTAL))


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("T1", "S1", "whole, T1 to S1"),
        ("T4", "L5", "whole, T4 to L5"),
        ("T5", "S1", "thoracolumbar, T5 to S1"),
        ("T10", "S1", "thoracolumbar, T10 to S1"),
        ("T11", "S1", "lumbar, T11 to S1"),
        ("T1", "T12", "thoracic, T1 to T12"),
    ],
)
def test_the_field_of_view_follows_from_the_levels_found(first, last, expected):
    levels = LEVELS[LEVELS.index(first) : LEVELS.index(last) + 1]
    assert field_of_view({f"{level}_sup": np.zeros(2) for level in levels}) == expected
    assert field_of_view({"HIP_L": np.zeros(2)}) is None

"""Landmark errors in px and mm, coverage, false positives and level shifts, on constructed points."""

from dataclasses import replace

import numpy as np
import pytest

from spine.landmarks import CORNERS68, GALBUSERA39, VERTEBRAE
from validation.evaluation.landmark_errors import landmark_errors, level_shift, summarise, summary_of


def test_error_in_px_mm_and_space(make_trial):
    """(3, 4) px at 0.4 mm columns and 0.2 mm rows: 5 px and hypot(1.2, 0.8) mm; (1, 2, 2) mm in space: 3 mm."""
    trial = make_trial(1)
    errors = landmark_errors(trial.predictions[0], trial.examples[0])
    assert len(errors) == 3 * len(GALBUSERA39)
    for error in errors:
        assert error.state == "found"
        if error.space == "3d":
            assert (error.error_px, error.error_mm) == (None, pytest.approx(3.0))
        else:
            assert error.error_px == pytest.approx(5.0)
            assert error.error_mm == pytest.approx(np.hypot(1.2, 0.8))


@pytest.mark.parametrize(("spacing", "calibration"), [(None, "NONE"), ((0.2, 0.4), "PROJECTION")])
def test_no_millimetres_without_a_calibration(make_trial, spacing, calibration):
    trial = make_trial(1)
    view = replace(trial.examples[0].views["frontal"], spacing_mm=spacing, calibration=calibration)
    example = replace(trial.examples[0], views={"frontal": view}, points_3d={})
    summary = summary_of(summarise(landmark_errors(trial.predictions[0], example)), "frontal")
    assert summary is not None
    assert (summary.mean_mm, summary.median_mm, summary.p95_mm) == (None, None, None)
    assert summary.median_px == pytest.approx(5.0)


def test_missed_and_false_positive_landmarks(make_trial):
    """Predicted hips outside the image are false positives; S1 in the image without a prediction is missed."""
    trial = make_trial(1)
    view = trial.examples[0].views["lateral"]
    visible = {n: xy for n, xy in view.points.items() if not n.startswith("HIP")}
    predicted = {n: xy for n, xy in trial.predictions[0].points["lateral"].items() if not n.startswith("S1")}
    example = replace(trial.examples[0], views={"lateral": replace(view, points=visible)})
    errors = landmark_errors(replace(trial.predictions[0], points={"lateral": predicted}), example)
    assert {e.name for e in errors if e.state == "false_positive"} == {"HIP_L", "HIP_R"}
    assert {e.name for e in errors if e.state == "missed"} == {"S1_sup", "S1_ant", "S1_post"}
    whole = summary_of(summarise(errors), "lateral")
    assert whole is not None
    assert (whole.n_visible, whole.n_found, whole.n_false_positive) == (37, 34, 2)
    assert whole.coverage == pytest.approx(34 / 37)
    assert not any(e.space == "3d" for e in errors), "one view shows nothing in space"


def test_without_a_prediction_every_landmark_is_missed(make_trial):
    summaries = summarise(landmark_errors(None, make_trial(1).examples[0]))
    for space in ("frontal", "lateral", "3d"):
        summary = summary_of(summaries, space)
        assert summary is not None
        assert (summary.coverage, summary.mean_mm) == (0.0, None)
    assert summary_of(summaries, "frontal", "T4").n_visible == 2
    levels = [s.group for s in summaries if s.space == "frontal" and "_" not in s.group]
    assert levels == ["all", *VERTEBRAE, "S1", "HIP"]


@pytest.mark.parametrize("shift", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("names", [GALBUSERA39, CORNERS68], ids=lambda s: s.name)
def test_level_shift_is_found(names, shift):
    """The model's T5 lies on the true T6: shift +1."""
    place = {level: i for i, level in enumerate(VERTEBRAE)}
    truth, predicted = {}, {}
    for name in names:
        level, part = name.split("_", 1)
        if level in place:
            inside = 8.0 * ("inf" in part) + 3.0 * ("left" in part)
            truth[name] = np.array([50.0 + 2 * inside, 20.0 * place[level] + inside])
            predicted[name] = np.array([51.0 + 2 * inside, 20.0 * (place[level] + shift) + inside + 2.0])
    assert level_shift(predicted, truth) == shift


def test_few_points_have_no_level_shift():
    few = {f"{level}_sup": np.array([0.0, 10.0 * i]) for i, level in enumerate(VERTEBRAE[:5])}
    assert level_shift(few, few) is None
    assert level_shift({}, few) is None

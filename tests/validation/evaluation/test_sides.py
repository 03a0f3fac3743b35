"""Side of the curve and orientation of a view, which the size of an angle does not show."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spine.dataset import Truth
from spine.landmarks import GALBUSERA39, VERTEBRAE
from spine.measurement.coronal import cobb_angles
from spine.measurement.planes import PlanePoints
from spine.measurement.registry import Measured
from spine.measurement.tilts import plate_tilts
from validation.evaluation.record import read_record, write_record
from validation.evaluation.sides import orientation_of, true_side


def curved(bend_mm: float) -> dict[str, np.ndarray]:
    """39 points of a spine bent to the patient's left (positive), LPS mm, a plate's middle above the other."""
    points = {}
    for k, level in enumerate(VERTEBRAE):
        for part, up in (("sup", 12.0), ("inf", -12.0)):
            z = 500.0 - 30.0 * k + up
            points[f"{level}_{part}"] = np.array([bend_mm * np.sin(np.pi * (z + 100) / 650), 0.0, z])
    return points


def cobb_of(points: dict[str, np.ndarray]) -> Measured:
    plane = PlanePoints("coronal", {n: np.array([p[0], p[2]]) for n, p in points.items()})
    return cobb_angles(plane, plate_tilts(plane))["cobb"]


def with_curve(trial: Any, index: int, bend: float, found: float) -> None:
    truth = cobb_of(curved(bend))
    example = trial.examples[index]
    known = {**example.truth, "cobb": Truth(truth.value, "deg")}
    trial.examples[index] = replace(example, points_3d=curved(bend), truth=known)
    measured = {**trial.predictions[index].parameters, "cobb": cobb_of(curved(found))}
    trial.predictions[index] = replace(trial.predictions[index], parameters=measured)


def test_a_mirrored_curve_has_the_same_angle_and_the_other_side(make_trial, tmp_path):
    trial = make_trial(3)
    with_curve(trial, 0, 40.0, 40.0)
    with_curve(trial, 1, 40.0, -40.0)
    right, wrong, flat = trial.score().studies
    assert right.parameter("cobb").error == pytest.approx(0.0)
    assert wrong.parameter("cobb").error == pytest.approx(0.0), "no error of the angle shows it"
    assert (right.true_side, right.found_side) == ("left", "left")
    assert (wrong.true_side, wrong.found_side) == ("left", "right")
    assert (flat.true_side, flat.found_side) == (None, None)
    write_record(trial.score(), tmp_path / "record.json")
    assert [s.found_side for s in read_record(tmp_path / "record.json").studies] == ["left", "right", None]


def test_a_reference_of_another_origin_has_no_side(make_trial):
    trial = make_trial(1)
    with_curve(trial, 0, 40.0, 40.0)
    example = trial.examples[0]
    assert true_side(example) == "left"
    other = Truth(float(example.truth["cobb"].value or 0) + 3.0, "deg")
    assert true_side(replace(example, truth={**example.truth, "cobb": other})) is None
    hidden = Truth(None, "deg", "NOT_IN_IMAGE")
    assert true_side(replace(example, truth={**example.truth, "cobb": hidden})) is None


def test_the_truth_decides_whether_an_orientation_can_be_determined():
    rng = np.random.default_rng(3)
    truth = {name: np.array([100.0 + 9 * np.sin(k / 4), 10.0 * k]) for k, name in enumerate(GALBUSERA39)}
    near = {name: p + rng.normal(0, 2, 2) for name, p in truth.items()}
    mirrored = {name: np.array([200.0 - p[0], p[1]]) for name, p in near.items()}
    assert orientation_of(near, truth) == "as_truth"
    assert orientation_of(mirrored, truth) == "mirrored"
    assert orientation_of({}, truth) == "unanswered"
    assert orientation_of(dict(list(near.items())[:5]), truth) == "unanswered"
    straight = {name: np.array([100.0, p[1]]) for name, p in truth.items()}
    assert orientation_of(near, straight) == "undecidable"
    assert orientation_of(mirrored, dict(list(truth.items())[:5])) == "undecidable"


def test_the_record_has_orientation_and_size(make_trial):
    trial = make_trial(2)
    for k, example in enumerate(trial.examples):
        views = {}
        for name, view in example.views.items():
            bent = {n: np.array([100.0 + 9 * np.sin(i / 4), 10.0 * i]) for i, n in enumerate(view.points)}
            views[name] = replace(view, points=bent)
        trial.examples[k] = replace(example, views=views)
        frontal = {n: np.array([200.0 - p[0], p[1]]) for n, p in views["frontal"].points.items()}
        trial.predictions[k] = replace(trial.predictions[k], points={"frontal": frontal})
    record = trial.score(model_bytes=1234)
    assert [dict(s.orientations) for s in record.studies] == [{"frontal": "mirrored", "lateral": "unanswered"}] * 2
    assert record.model_bytes == 1234
    assert record.digest != trial.score().digest

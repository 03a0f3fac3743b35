"""The side of the major curve, and whether the points of a view are mirrored.

Contract: whether a side or an orientation can be determined depends on the truth alone, so that a prediction cannot
choose the cases it is evaluated on. A mirrored image, or a model that confuses left and right, does not change the size
of the Cobb angle, but surgery is planned on the wrong side.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from spine.dataset import Example
from spine.landmarks import ViewName
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_points_3d, planes_from_view
from spine.prediction import Prediction
from spine.projection import derive_points
from spine.study import Points2D

Side = Literal["left", "right"]
Orientation = Literal["as_truth", "mirrored", "unanswered", "undecidable"]

SAME_CURVE_DEG = 0.5
"""Largest permitted difference between the reference Cobb angle and the angle measured from the points. With a larger
difference the side is unknown, because points and reference angle may come from different sources."""
MIN_POINTS = 6
MIN_SPREAD = 0.01
"""Smallest sideways spread, as a share of the height of the points. A straighter spine is equal to its mirror image."""


def true_side(example: Example) -> Side | None:
    """Side of the major curve, from the points of the example; None if they do not give the reference Cobb angle."""
    truth, frontal = example.truth.get("cobb"), example.views.get("frontal")
    if truth is None or truth.value is None:
        return None
    if example.points_3d:
        planes = planes_from_points_3d(derive_points(dict(example.points_3d)))
    elif frontal is not None:
        planes = planes_from_view("frontal", derive_points(frontal.points), frontal.spacing_mm, frontal.calibration)
    else:
        return None
    measured = measure({"coronal": planes["coronal"]})["cobb"]
    if measured.value is None or abs(measured.value - truth.value) > SAME_CURVE_DEG:
        return None
    return _side_of(measured.detail)


def found_side(prediction: Prediction | None) -> Side | None:
    """Side of the major curve in the prediction."""
    measured = prediction.parameters.get("cobb") if prediction else None
    return _side_of(measured.detail) if measured is not None and measured.value is not None else None


def orientations(prediction: Prediction | None, example: Example) -> dict[ViewName, Orientation]:
    """Orientation of the predicted points in each view of the example."""
    found = prediction.points if prediction else {}
    return {name: orientation_of(found.get(name, {}), view.points) for name, view in example.views.items()}


def orientation_of(found: Points2D, truth: Points2D) -> Orientation:
    """``mirrored`` if the covariance of found and true columns over the shared landmarks is not positive."""
    if len(truth) < MIN_POINTS or _spread(truth) < MIN_SPREAD:
        return "undecidable"
    shared = sorted(found.keys() & truth.keys())
    if len(shared) < MIN_POINTS:
        return "unanswered"
    predicted, true = (np.array([float(points[name][0]) for name in shared]) for points in (found, truth))
    covariance = float((predicted - predicted.mean()) @ (true - true.mean()))
    return "as_truth" if covariance > 0 else "mirrored"


def _spread(points: Points2D) -> float:
    """Standard deviation of the columns as a share of the height of the points."""
    places = np.array([np.asarray(p, dtype=np.float64) for p in points.values()])
    height = float(np.ptp(places[:, 1]))
    return float(places[:, 0].std()) / height if height > 0 else 0.0


def _side_of(detail: Mapping[str, str] | None) -> Side | None:
    side = (detail or {}).get("side")
    return side if side in ("left", "right") else None  # type: ignore[return-value]

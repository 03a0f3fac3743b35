"""Which way round: the side of the major curve, and whether a view was answered as if in a mirror.

Contract: whether a side or an orientation can be told at all follows from the truth alone, so that no answer chooses
what it is judged by. Why: an image exchanged left for right, or a model that confuses the two, leaves the size of
Cobb's angle as it is, and the operation is planned on the other side.
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
"""A side belongs to the reference angle only where the points give that angle again; another origin's may not."""
LEAST_POINTS = 6
LEAST_SPREAD = 0.01
"""Of the height of what is seen: less sideways spread than this looks the same in a mirror."""


def true_side(example: Example) -> Side | None:
    """Convexity of the major curve by the example's own points, where they give the reference's Cobb angle."""
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
    """Convexity of the major curve as the model measured it."""
    measured = prediction.parameters.get("cobb") if prediction else None
    return _side_of(measured.detail) if measured is not None and measured.value is not None else None


def orientations(prediction: Prediction | None, example: Example) -> dict[ViewName, Orientation]:
    """For each view of the example, whether it was answered the right way round."""
    found = prediction.points if prediction else {}
    return {name: orientation_of(found.get(name, {}), view.points) for name, view in example.views.items()}


def orientation_of(found: Points2D, truth: Points2D) -> Orientation:
    """Mirrored: the found columns run against the true ones (negative covariance over the shared landmarks)."""
    if len(truth) < LEAST_POINTS or _spread(truth) < LEAST_SPREAD:
        return "undecidable"
    shared = sorted(found.keys() & truth.keys())
    if len(shared) < LEAST_POINTS:
        return "unanswered"
    ours, theirs = (np.array([float(points[name][0]) for name in shared]) for points in (found, truth))
    together = float((ours - ours.mean()) @ (theirs - theirs.mean()))
    return "as_truth" if together > 0 else "mirrored"


def _spread(points: Points2D) -> float:
    """Standard deviation of the columns over the height of what is seen."""
    places = np.array([np.asarray(p, dtype=np.float64) for p in points.values()])
    height = float(np.ptp(places[:, 1]))
    return float(places[:, 0].std()) / height if height > 0 else 0.0


def _side_of(detail: Mapping[str, str] | None) -> Side | None:
    side = (detail or {}).get("side")
    return side if side in ("left", "right") else None  # type: ignore[return-value]

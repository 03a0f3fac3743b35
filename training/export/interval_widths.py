"""Half widths of intervals in sigmas, from patients whose true parameters are known.

Contract: a half width is a conformal quantile of absolute errors in sigmas, so it is valid for patients and images that
are exchangeable with these. Each group of shifts (``inference.calibration``) has its own half widths.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from inference.calibration import LEVEL, Calibration, ShiftGroup, group_of, shift_of
from spine.dataset import Example
from spine.landmarks import VIEWS, ViewName
from spine.measurement.planes import PLANE_OF_VIEW
from spine.measurement.registry import PARAMETERS, Measured
from spine.prediction import Prediction
from training.model.label_shift import shift_points

LEAST_PATIENTS = 60
"""A parameter with fewer patients than this number has the width of all parameters together, because its own 90 %
quantile would be too rough. A view has one shifted group for each such number of images, up to ``SHIFTED_GROUPS``."""

CLEAR_SHARE = 0.95
"""Share of the unchanged images whose shift counts as like those of the calibration."""

LEAST_OF_FIELD = 40
"""A field of view with fewer values of a parameter than this number has no width of its own in a shifted group."""

SHIFTED_GROUPS = 3
"""Largest number of groups with larger shifts; they have equal numbers of images."""

LAST_SHARE = 0.98
"""Share of the images above the clear ones that are in a group. The shift of the others is too rare to calibrate."""

Known = Sequence[tuple[Prediction, Example]]
"""Predictions, each with the example that has the true values."""


@dataclass(frozen=True)
class Score:
    """The absolute error of one parameter in sigmas, the view that shows its plane, and the shift of this image."""

    patient: str
    parameter: str
    sigmas: float
    view: ViewName
    shift: float


def conformal_quantile(scores: Iterable[float], level: float = LEVEL) -> float:
    """The conformal quantile of n scores: the score whose rank is (n + 1) ``level``, rounded up, but at most n."""
    ordered = np.sort(np.fromiter(scores, dtype=np.float64))
    rank = int(np.ceil((len(ordered) + 1) * level))
    return float(ordered[min(rank, len(ordered)) - 1])


def errors_of(known: Known) -> Iterator[tuple[Prediction, Example, str, Measured, float]]:
    """(prediction, example, parameter, value, absolute error) for every parameter with a truth and a prediction."""
    for prediction, example in known:
        for name, measured in prediction.parameters.items():
            truth = example.truth.get(name)
            if measured.value is not None and truth is not None and truth.value is not None:
                yield prediction, example, name, measured, abs(measured.value - truth.value)


def spread_in_cells(prediction: Prediction, view: ViewName) -> dict[str, float]:
    """Landmark -> standard deviation of its heat map, cells."""
    return {name: spread / prediction.cell_px[view] for name, spread in prediction.spread_px.get(view, {}).items()}


def scores_of(known: Known) -> list[Score]:
    """The score of every parameter with a truth, a prediction and a sigma."""
    view_of = {plane: view for view, plane in PLANE_OF_VIEW.items()}
    scores = []
    for prediction, example, name, measured, error in errors_of(known):
        if measured.sigma:
            view = view_of[PARAMETERS[name].plane]
            shift = shift_of(spread_in_cells(prediction, view))
            scores.append(Score(example.patient, name, error / measured.sigma, view, shift))
    return scores


def widths_of(scores: Iterable[Score]) -> dict[str, float]:
    """Parameter -> half width of its interval in sigmas."""
    by_name = _by_parameter(scores)
    pooled = [sigmas for every in by_name.values() for sigmas in every]
    shared = conformal_quantile(pooled) if pooled else 0.0
    return {name: conformal_quantile(s) if len(s) >= LEAST_PATIENTS else shared for name, s in by_name.items()}


def _by_parameter(scores: Iterable[Score]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for score in scores:
        found[score.parameter].append(score.sigmas)
    return dict(found)


def with_shifted_groups(
    calibration: Calibration, plain: Known, changed: Known, cut: Known = (), label_shift: int = 0
) -> Calibration:
    """The calibration with limits of the shift, and with widths for images of larger shifts.

    If too few images have a large shift in a view, the calibration is returned as it is.

    Args:
        calibration: the calibration with which all predictions were measured.
        plain: predictions for the calibration's own images.
        changed: predictions for changed versions of these images that show the whole spine.
        cut: predictions for changed versions that show a part of the spine.
        label_shift: number of levels by which all level names of an image may be wrong.
    """
    whole = [*plain, *changed]
    every = [*whole, *cut]
    views = [view for view in VIEWS if _shifts(plain, view)]
    clear = {view: float(np.quantile(_shifts(plain, view), CLEAR_SHARE)) for view in views}
    above = {view: [shift for shift in _shifts(every, view) if shift > clear[view]] for view in views}
    count = min([SHIFTED_GROUPS, *(len(shifts) // LEAST_PATIENTS for shifts in above.values())])
    if not views or count == 0:
        return calibration
    shares = [*(np.arange(1, count) / count), LAST_SHARE]
    limits = [clear, *({view: float(np.quantile(above[view], share)) for view in views} for share in shares)]
    groups = [_group(calibration, (whole, cut), *between, label_shift) for between in pairwise([{}, *limits])]
    first = groups[0]
    return replace(calibration, clear=first.upper, widths=first.widths, shifted=tuple(groups[1:]))


def _shifts(known: Known, view: ViewName) -> list[float]:
    return [shift_of(spread_in_cells(prediction, view)) for prediction, _ in known if prediction.points.get(view)]


def _group(
    calibration: Calibration,
    fields: Sequence[Known],
    lower: Mapping[ViewName, float],
    upper: Mapping[ViewName, float],
    label_shift: int,
) -> ShiftGroup:
    """The group of the images whose shift is above ``lower`` and at most ``upper``; ``fields`` are fields of view.

    With a lower limit, images are unlike those of the calibration. Then the intervals have to be valid in each field of
    view, because the share of each among the images to come is not known.
    """

    def belongs(view: ViewName, shift: float) -> bool:
        return view in upper and lower.get(view, -np.inf) < shift <= upper[view]

    by_field = [[s for s in scores_of(known) if belongs(s.view, s.shift)] for known in fields]
    scores = [score for of_field in by_field for score in of_field]
    widths = widths_of(scores)
    for name, sigmas in (each for of_field in by_field if lower for each in _by_parameter(of_field).items()):
        if len(sigmas) >= LEAST_OF_FIELD:
            widths[name] = max(widths[name], conformal_quantile(sigmas))
    distances = [
        distance
        for prediction, example in (each for known in fields for each in known)
        for view in prediction.points
        if belongs(view, shift_of(spread_in_cells(prediction, view)))
        for distance in landmark_distances(calibration, prediction, example, view, label_shift)
    ]
    radius = conformal_quantile(distances) if distances else 1.0
    return ShiftGroup("changed images", len({score.patient for score in scores}), upper, widths, radius)


def landmark_distances(
    calibration: Calibration, prediction: Prediction, example: Example, view: ViewName, label_shift: int = 0
) -> list[float]:
    """Distances of the landmarks of an image from the truth, in radii of their 90 % regions without a shift."""
    found, cell, laws = prediction.points[view], prediction.cell_px[view], calibration.laws.get(view, {})
    truth = shift_points(found, example.views[view].points, label_shift)
    sigma = calibration.sigma_cells(view, spread_in_cells(prediction, view))
    return [
        float(np.hypot(*(found[name] - truth[name]))) / cell / (sigma[name] * laws[group_of(name)].radius)
        for name in found.keys() & truth.keys() & sigma.keys()
    ]

"""Measures landmarks that a person gave: a corrected measurement of a model, or points set from nothing.

Contract: every formula is that of ``inference.measure``. A landmark that nobody moved has the model's own coordinates,
and a parameter that no moved landmark affects keeps the model's value and interval. A parameter that a moved landmark
affects is measured again. It has no interval, because a moved landmark has no known error; ``WITHHELD`` says so in its
``detail``.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

import numpy as np

from inference.decoding import Decoded
from inference.inputs import ImageInput
from inference.measure import (
    height_mismatches,
    parameters_shown,
    planes_of,
    triangulated,
    uncertainty_px,
    with_uncertain_levels,
)
from inference.model import Model
from inference.notes import lengths_withheld, notes_of
from spine.given_labels import LABEL_NAMES, require_labels
from spine.landmarks import VERTEBRAE, VIEWS, ViewName, level_of
from spine.measurement.classify import classify
from spine.measurement.fusion import NEIGHBOUR_WIDTH
from spine.measurement.planes import PLANE_OF_VIEW, PlanePoints
from spine.measurement.registry import PARAMETERS, Measured, Plane
from spine.prediction import Prediction
from spine.projection import derive_points
from spine.scanner import is_on_image
from spine.study import Points2D
from spine.types import Floats

SAME_PX = 0.06
"""A landmark within this distance of the model's landmark, in each coordinate, is the model's: the JSON of a
measurement has one decimal."""

INTERVAL = "interval"
WITHHELD = "interval withheld: a landmark was moved by hand"
"""Key and text of the ``detail`` of a parameter that a moved landmark affects."""

Touched = Mapping[ViewName, Set[str]]


@dataclass(frozen=True)
class _State:
    """The landmarks of one study, and what is measured in them."""

    decoded: Mapping[ViewName, Decoded]
    points_3d: Mapping[str, Floats] | None
    planes: Mapping[Plane, PlanePoints]
    parameters: Mapping[str, Measured]


def measure_given_points(
    points: Mapping[ViewName, Points2D],
    views: Mapping[ViewName, ImageInput],
    *,
    moved: Touched | None = None,
    prediction: Prediction | None = None,
    model: Model | None = None,
) -> Prediction:
    """Measure given landmarks, each (2,) (column, row) in pixels of the canonical image of its view.

    Args:
        views: the images that ``points`` and ``prediction`` refer to.
        moved: view -> names of the landmarks that a person moved or set. A landmark elsewhere than the model's, or one
            that the model did not find, counts as moved also without its name here.
        prediction: what the model measured in ``views``; without it, every landmark was set by a person.
        model: the model of ``prediction``, whose calibration gives the errors of the landmarks that nobody moved.

    Raises:
        LabelsRejected: see ``spine.given_labels``.
    """
    require_labels(points, {view: (each.image.shape[0], each.image.shape[1]) for view, each in views.items()})
    given: dict[ViewName, Points2D] = {view: points.get(view, {}) for view in views}
    if prediction is None:
        # Margins are enough, as they are for the labels of a dataset: the plate centres follow from them.
        whole = {v: {n: xy for n, xy in derive_points(at).items() if n in LABEL_NAMES[v]} for v, at in given.items()}
        state = _measured(whole, views, None, None, {})
        by_hand = {name: _by_hand(m) for name, m in state.parameters.items()}
        return _result(Prediction("", {}), replace(state, parameters=by_hand), {}, views)
    touched = touched_landmarks(given, prediction.points, moved or {})
    if not any(touched.values()):
        return prediction
    given = {v: {n: _own(v, n, xy, prediction, touched) for n, xy in at.items()} for v, at in given.items()}
    base = _measured(prediction.points, views, prediction, model, {})
    without = {v: {n: xy for n, xy in at.items() if n not in touched[v]} for v, at in prediction.points.items()}
    reduced, now = (_measured(at, views, prediction, model, touched) for at in (without, given))
    affected = {name for name in PARAMETERS if _uses(name, touched, now.points_3d is not None)}
    affected |= {n for n in PARAMETERS if not _same(base, reduced, n) or not _same(base, now, n)}
    parameters = {n: _by_hand(m) if n in affected else prediction.parameters[n] for n, m in now.parameters.items()}
    return _result(prediction, replace(now, parameters=parameters), touched, views)


def at_same_height(
    points: Mapping[ViewName, Points2D], views: Mapping[ViewName, ImageInput], moved_in: ViewName, name: str
) -> dict[ViewName, Points2D]:
    """The points; a landmark that a person moved in one view is at the same height in the other view.

    Both views show a landmark at its height. Without this rule the height in the other view would undo half of what
    the person did. The points stay as they are if the other view does not show the landmark or this height, or if the
    position of an image in the scanner is unknown.
    """
    level: dict[ViewName, dict[str, Floats]] = {view: dict(of_view) for view, of_view in points.items()}
    (other,) = (view for view in VIEWS if view != moved_in)
    geometry, other_geometry = (views[view].geometry if view in views else None for view in (moved_in, other))
    if geometry is not None and other_geometry is not None and all(name in level.get(v, {}) for v in (moved_in, other)):
        height = geometry.plane_from_pixels(level[moved_in][name])[1]
        across = other_geometry.plane_from_pixels(level[other][name])[0]
        there = other_geometry.pixels_from_plane(np.array([across, height]))
        if is_on_image(there, other_geometry.shape):
            level[other][name] = there
    return {**level}


def touched_landmarks(
    given: Mapping[ViewName, Points2D], proposed: Mapping[ViewName, Points2D], moved: Touched
) -> dict[ViewName, set[str]]:
    """View -> landmarks that differ from the proposed ones: moved, added or removed."""
    touched: dict[ViewName, set[str]] = {}
    for view, points in given.items():
        before = proposed.get(view, {})
        changed = {n for n, xy in points.items() if n not in before or np.any(np.abs(xy - before[n]) > SAME_PX)}
        touched[view] = changed | (set(before) - set(points)) | (set(moved.get(view, ())) & set(points))
    return touched


def _own(view: ViewName, name: str, xy: Floats, prediction: Prediction, touched: Touched) -> Floats:
    return xy if name in touched[view] else prediction.points[view][name]


def _measured(
    points: Mapping[ViewName, Points2D],
    views: Mapping[ViewName, ImageInput],
    prediction: Prediction | None,
    model: Model | None,
    touched: Touched,
) -> _State:
    """``points`` measured as ``measure_views`` measures the landmarks that it finds."""
    calibration = model.contract.calibration if model else None
    decoded = {view: _decoded(view, at, prediction) for view, at in points.items()}
    spread = {view: found.spread_cells for view, found in decoded.items()}
    sigma_px, _ = uncertainty_px(calibration, spread, {view: found.cell_px for view, found in decoded.items()})
    sigma_px = {v: {n: s for n, s in of.items() if n not in touched.get(v, ())} for v, of in sigma_px.items()}
    points_3d = triangulated(points, views)
    width = calibration.neighbour_width if calibration else NEIGHBOUR_WIDTH
    planes = planes_of(points, points_3d, views, sigma_px, width)
    # Somebody who sets every point decides which vertebrae the image shows: none counts as sought and not found.
    sought = model.contract.names if model else ()
    parameters = parameters_shown(planes, decoded, points_3d, views, sought)
    if prediction is not None and prediction.levels_uncertain:
        parameters = with_uncertain_levels(parameters)
    return _State(decoded, points_3d, planes, parameters)


def _decoded(view: ViewName, points: Points2D, prediction: Prediction | None) -> Decoded:
    """The landmarks of a view with what the model knows of them. A dropped landmark that was set is not dropped."""
    if prediction is None:
        return Decoded(points, {}, {}, 1.0)
    spread = {n: s for n, s in prediction.spread_px.get(view, {}).items() if n in points}
    dropped = {n: code for n, code in prediction.dropped.get(view, {}).items() if n not in points}
    return Decoded(points, spread, {}, prediction.cell_px.get(view, 1.0), dropped=dropped)


def _uses(name: str, touched: Touched, in_3d: bool) -> bool:
    """Whether a Cobb angle, the largest over all plates of T1..L5, may have another value by a touched landmark."""
    parameter = PARAMETERS[name]
    seen = [at for view, at in touched.items() if in_3d or PLANE_OF_VIEW[view] == parameter.plane]
    return parameter.of_curve and any(level_of(landmark) in VERTEBRAE for at in seen for landmark in at)


def _same(first: _State, second: _State, name: str) -> bool:
    one, other = first.parameters[name], second.parameters[name]
    return (one.value, one.definition, one.construction) == (other.value, other.definition, other.construction)


def _by_hand(measured: Measured) -> Measured:
    """The parameter with a note in place of its interval."""
    if measured.value is None:
        return measured
    return replace(measured, sigma=None, interval=None, detail={**(measured.detail or {}), INTERVAL: WITHHELD})


def _result(
    prediction: Prediction, state: _State, touched: Touched, views: Mapping[ViewName, ImageInput]
) -> Prediction:
    """``prediction`` with the landmarks and parameters of ``state``; a touched landmark has no spread and no radius."""
    points = {view: found.points for view, found in state.decoded.items()}
    return replace(
        prediction,
        points=points,
        points_3d=state.points_3d or {},
        parameters=state.parameters,
        classes=classify(state.parameters, state.planes, state.points_3d),
        spread_px=_without(prediction.spread_px, touched),
        radius_px=_without(prediction.radius_px, touched),
        height_mismatches=() if state.points_3d is None else height_mismatches(points, state.points_3d),
        refused={view: why for view, why in prediction.refused.items() if not points.get(view)},
        dropped={view: found.dropped for view, found in state.decoded.items() if found.dropped},
        notes=notes_of(state.planes, state.decoded, state.parameters, views),
        lengths_withheld=lengths_withheld(state.planes, views),
    )


def _without(values: Mapping[ViewName, Mapping[str, float]], touched: Touched) -> dict[ViewName, dict[str, float]]:
    return {view: {n: x for n, x in of.items() if n not in touched.get(view, ())} for view, of in values.items()}

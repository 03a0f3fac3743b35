"""Measures the radiographs of one study: landmarks, parameters and intervals.

Contract: two views with known positions in the scanner are measured in the planes of the triangulated 3D points.
Otherwise each view is measured in its own plane, and ``Prediction.points_3d`` is empty.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from inference.calibration import Calibration
from inference.chain import out_of_chain
from inference.curves import hidden_vertebrae, unseen_above, without_curves
from inference.decoding import Decoded
from inference.detection import Detection, detect_landmarks
from inference.input_check import features_of, other_part_violations
from inference.inputs import ImageInput
from inference.levels import LevelEvidence
from inference.model import Model
from inference.notes import lengths_withheld, notes_of
from spine.dataset import Example, load_example_image
from spine.landmarks import VIEWS, ViewName, level_of
from spine.measurement.classify import classify
from spine.measurement.fusion import NEIGHBOUR_WIDTH
from spine.measurement.in_space import points_in_space
from spine.measurement.measure import measure
from spine.measurement.planes import (
    PLANE_OF_VIEW,
    PlanePoints,
    planes_from_points_3d,
    planes_from_view,
    with_plausible_lengths,
)
from spine.measurement.registry import PARAMETERS, Measured, Plane, within_anatomy
from spine.prediction import Prediction
from spine.study import Points2D, StoredImage
from spine.types import Float, Floats, Progress

DROPPED_WHY: Mapping[str, str] = {
    "LANDMARKS_IN_BLANK_REGION": "the {view} image is blank there",
    "LANDMARKS_OUT_OF_CHAIN": "found in the {view} image out of line with the other vertebrae",
}
"""Code of a dropped landmark -> the reason in words."""

REFUSED = "not accepted as a radiograph of the spine"

PerView = Mapping[ViewName, Mapping[str, float]]
Calibrated = Mapping[ViewName, ImageInput | StoredImage]


def measure_views(model: Model, views: Mapping[ViewName, ImageInput], study_id: str = "") -> Prediction:
    """Find the landmarks of one study, in one view or both, and measure every parameter that they define.

    Raises:
        ContractViolation: no view, a view that the model was not trained for, or an invalid image.
    """
    began = time.perf_counter()
    detection = detect_landmarks(model, views)
    accepted, refused = _without_refused(detection, model, views)
    decoded = {view: _without_strays(found) for view, found in accepted.items()}
    points = {view: found.points for view, found in decoded.items()}
    points_3d = triangulated(points, views)
    calibration = model.contract.calibration
    cell_px = {view: found.cell_px for view, found in decoded.items()}
    sigma_px, radius_px = uncertainty_px(calibration, {v: d.spread_cells for v, d in decoded.items()}, cell_px)
    width = calibration.neighbour_width if calibration else NEIGHBOUR_WIDTH
    planes = planes_of(points, points_3d, views, sigma_px, width)
    parameters = parameters_shown(planes, decoded, points_3d, views, model.contract.names)
    uncertain = _uncertain(detection.levels, calibration)
    parameters = _explain_refusals(with_uncertain_levels(parameters) if uncertain else parameters, refused)
    basis = {view: calibration.basis(view, d.spread_cells) for view, d in decoded.items() if calibration and d.points}
    shifts = {view: each.shift for view, each in basis.items()}
    parameters = calibration.with_intervals(parameters, shifts) if calibration else parameters
    return Prediction(
        study_id=study_id,
        points=points,
        spread_px={view: found.spread_px for view, found in decoded.items()},
        cell_px=cell_px,
        radius_px=radius_px,
        level_margin=detection.levels.margin if detection.levels else None,
        view_level_margins=detection.view_margins,
        levels_uncertain=uncertain,
        height_mismatches=() if points_3d is None else height_mismatches(points, points_3d),
        refused=refused,
        dropped={view: d.dropped for view, d in decoded.items() if d.dropped},
        notes=notes_of(planes, decoded, parameters, views),
        points_3d=points_3d or {},
        parameters=parameters,
        classes=classify(parameters, planes, points_3d),
        interval_basis=basis,
        lengths_withheld=lengths_withheld(planes, views),
        seconds=time.perf_counter() - began,
    )


def predict_examples(
    model: Model, dataset_folder: Path, examples: Sequence[Example], progress: Progress | None = None
) -> list[Prediction]:
    """Measure examples of a dataset, in their order, in the views that the model was trained for."""
    predictions: list[Prediction] = []
    for done, example in enumerate(examples, start=1):
        predictions.append(predict_example(model, dataset_folder, example))
        if progress is not None:
            progress(done, len(examples))
    return predictions


def predict_example(model: Model, dataset_folder: Path, example: Example) -> Prediction:
    """Measure one example of a dataset, in the views that the model was trained for."""
    views = {
        name: ImageInput(load_example_image(dataset_folder, view), view.spacing_mm, view.calibration, view.geometry)
        for name, view in example.views.items()
        if name in model.contract.views
    }
    return measure_views(model, views, example.study_id)


def _uncertain(levels: LevelEvidence | None, calibration: Calibration | None) -> bool:
    least = calibration.level_margin if calibration else None
    return levels is not None and least is not None and levels.margin <= least


def with_uncertain_levels(parameters: Mapping[str, Measured]) -> dict[str, Measured]:
    """The parameters, with a finding for each curve: the names of its end vertebrae and apex may be one level off."""
    finding = {"levels": "levels uncertain by one"}
    return {
        name: replace(m, detail={**m.detail, **finding}) if m.detail and PARAMETERS[name].of_curve else m
        for name, m in parameters.items()
    }


def _without_refused(
    detection: Detection, model: Model, views: Mapping[ViewName, ImageInput]
) -> tuple[dict[ViewName, Decoded], dict[ViewName, str]]:
    """(view -> landmarks, view -> reason of a refusal); a refused view has no landmarks."""
    limits = model.contract.limits
    kept, refused = dict(detection.decoded), {}
    for view, found in detection.decoded.items():
        reasons = [detection.wrong_views[view]] if view in detection.wrong_views else []
        if limits and not reasons:
            features = features_of(found.points, found.spread_cells)
            reasons = limits.violations(features) or other_part_violations(features, views[view].body_part)
        if reasons:
            refused[view] = "; ".join(reasons)
            kept[view] = replace(found, points={}, spread_px={}, dropped={})
    return kept, refused


def _without_strays(found: Decoded) -> Decoded:
    """The landmarks without those that lie outside the chain of vertebrae."""
    hidden = {level_of(name) for name in found.dropped}
    return found.without(out_of_chain(found.points, hidden), "LANDMARKS_OUT_OF_CHAIN")


def _explain_dropped(
    parameters: Mapping[str, Measured], decoded: Mapping[ViewName, Decoded], *, in_3d: bool
) -> dict[str, Measured]:
    """Add dropped landmarks to the reasons of absence, and make curves with hidden vertebrae absent."""
    explained = dict(parameters)
    for view, found in decoded.items():
        affected = {n for n in explained if in_3d or PARAMETERS[n].plane == PLANE_OF_VIEW[view]}
        for code, why in DROPPED_WHY.items():
            lost = [name for name, given in found.dropped.items() if given == code]
            reason = why.format(view=view)
            explained |= {n: _explained(explained[n], lost, reason, code) for n in affected}
            hidden = hidden_vertebrae(lost, list(found.points))
            if hidden and (view == "frontal" or in_3d):
                explained = without_curves(explained, f"{reason}: {', '.join(hidden)}", code)
    return {name: explained[name] for name in parameters}


def _without_unseen_curves(
    parameters: Mapping[str, Measured],
    points: Mapping[ViewName, Points2D],
    views: Mapping[ViewName, ImageInput],
    sought: Collection[str],
) -> Mapping[str, Measured]:
    """The parameters; Cobb angles are absent if the upper vertebrae are not found in an image that shows them."""
    if "frontal" not in points:
        return parameters
    unseen = unseen_above(points["frontal"], views["frontal"].image, sought)
    if not unseen:
        return parameters
    reason = f"{unseen[0]} to {unseen[-1]} were not found, although the image shows their region"
    return without_curves(parameters, reason, "CURVE_NOT_SEEN")


def _explain_refusals(parameters: Mapping[str, Measured], refused: Mapping[ViewName, str]) -> dict[str, Measured]:
    """Give a refused image as the reason of the absent parameters of its plane."""
    reasons = {PLANE_OF_VIEW[view]: f"{REFUSED} ({view}): {why}" for view, why in refused.items()}
    return {
        name: replace(m, absent_reason=reasons[PARAMETERS[name].plane], absent_code="VIEW_REFUSED")
        if m.is_absent and PARAMETERS[name].plane in reasons
        else m
        for name, m in parameters.items()
    }


def uncertainty_px(
    calibration: Calibration | None, spread_cells: PerView, cell_px: Mapping[ViewName, float]
) -> tuple[PerView, PerView]:
    """(standard deviation of a coordinate, radius of the 90 % region), pixels; each is view -> landmark -> value."""
    if calibration is None:
        return {}, {}
    sigma, radius = {}, {}
    for view, spread in spread_cells.items():
        cell = cell_px[view]
        sigma_cells = calibration.sigma_cells(view, spread)
        sigma[view] = {n: s * cell for n, s in sigma_cells.items()}
        radius[view] = {n: r * cell for n, r in calibration.radius_cells(view, spread, sigma_cells).items()}
    return sigma, radius


def triangulated(points: Mapping[ViewName, Points2D], views: Calibrated) -> dict[str, Floats] | None:
    """Landmark -> (3,) LPS mm, for landmarks at the same height in both views; None without two calibrated views."""
    return points_in_space(points, {view: views[view].geometry for view in points})


def planes_of(
    points: Mapping[ViewName, Mapping[str, Float[Floats, " 2"]]],
    points_3d: Mapping[str, Float[Floats, " 3"]] | None,
    views: Calibrated,
    sigma_px: PerView,
    neighbour_width: float = NEIGHBOUR_WIDTH,
) -> dict[Plane, PlanePoints]:
    """The planes in which the parameters are measured; arguments as in ``parameters_of``."""
    planes: dict[Plane, PlanePoints] = {}
    if points_3d is None:
        for view, found in points.items():
            given = views[view]
            planes |= planes_from_view(view, found, given.spacing_mm, given.calibration, sigma_px.get(view))
    else:
        sigma_mm = {
            view: {name: s * geometry.spacing_mm[0] for name, s in of_view.items()}
            for view, of_view in sigma_px.items()
            if (geometry := views[view].geometry) is not None
        }
        planes = planes_from_points_3d(points_3d, sigma_mm)
    return {
        plane: replace(with_plausible_lengths(of_plane), neighbour_width=neighbour_width)
        for plane, of_plane in planes.items()
    }


def parameters_of(
    points: Mapping[ViewName, Mapping[str, Float[Floats, " 2"]]],
    points_3d: Mapping[str, Float[Floats, " 3"]] | None,
    views: Calibrated,
    sigma_px: PerView,
    neighbour_width: float = NEIGHBOUR_WIDTH,
) -> dict[str, Measured]:
    """Parameter -> its value or the reason why it is absent, measured in 3D if there are 3D points.

    ``points`` are pixels, ``points_3d`` LPS mm. ``sigma_px`` contains standard deviations of a coordinate by view and
    landmark; it is empty without a calibration.
    """
    return _parameters_in(planes_of(points, points_3d, views, sigma_px, neighbour_width), points, points_3d)


def parameters_shown(
    planes: Mapping[Plane, PlanePoints],
    decoded: Mapping[ViewName, Decoded],
    points_3d: Mapping[str, Floats] | None,
    views: Mapping[ViewName, ImageInput],
    sought: Collection[str],
) -> dict[str, Measured]:
    """Parameter -> its value without an interval, or the reason of its absence, from the landmarks of ``decoded``.

    ``planes`` and ``points_3d`` are the results of ``planes_of`` and ``triangulated`` for these landmarks. ``sought``
    are the landmarks that were looked for.
    """
    points = {view: found.points for view, found in decoded.items()}
    parameters = _explain_dropped(_parameters_in(planes, points, points_3d), decoded, in_3d=points_3d is not None)
    return within_anatomy(_without_unseen_curves(parameters, points, views, sought))


def _parameters_in(
    planes: Mapping[Plane, PlanePoints],
    points: Mapping[ViewName, Points2D],
    points_3d: Mapping[str, Floats] | None,
) -> dict[str, Measured]:
    measured = measure(planes)
    if points_3d is None:
        return measured
    dropped = height_mismatches(points, points_3d)
    why = "seen in both views, but at different heights"
    return {name: _explained(m, dropped, why, "LANDMARK_HEIGHTS_DIFFER") for name, m in measured.items()}


def _explained(measured: Measured, dropped: Sequence[str], why: str, code: str) -> Measured:
    """Add to the reason of absence why the landmarks that it names were dropped."""
    involved = [name for name in dropped if name in (measured.absent_reason or "")]
    if not involved:
        return measured
    reason = f"{measured.absent_reason} ({why}: {', '.join(involved)})"
    return replace(measured, absent_reason=reason, absent_code=code)


def height_mismatches(points: Mapping[ViewName, Points2D], points_3d: Mapping[str, Floats]) -> tuple[str, ...]:
    """Landmarks found in both views that have no 3D point."""
    if any(view not in points for view in VIEWS):
        return ()
    return tuple(sorted((set(points["frontal"]) & set(points["lateral"])) - set(points_3d)))

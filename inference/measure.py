"""From radiographs to parameters: the whole of what ships, in one call.

Contract: two views that both have their place in the scanner are measured in the planes of the triangulated 3D points;
otherwise every view is measured in its own plane. Which of the two happened is visible in ``Prediction.points_3d``;
nothing else is guessed.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from inference.blank_regions import hole_of, without_curves
from inference.calibration import Calibration
from inference.decoding import Decoded
from inference.detection import Found, find_landmarks
from inference.input_check import signs_of
from inference.inputs import ImageInput
from inference.levels import LevelEvidence
from inference.model import Model
from inference.vertebral_column import lean_of, turned
from spine.dataset import Example, load_example_image
from spine.landmarks import VIEWS, ViewName
from spine.measurement.fusion import NEIGHBOUR_WIDTH
from spine.measurement.margins import margins_in_space
from spine.measurement.measure import measure
from spine.measurement.planes import PLANE_OF_VIEW, PlanePoints, planes_from_points_3d, planes_from_view
from spine.measurement.registry import PARAMETERS, Measured, Plane
from spine.prediction import Prediction
from spine.scanner import ViewGeometry, triangulate
from spine.study import CalibrationType, Points2D
from spine.types import Floats, Progress

MAX_Z_DISAGREEMENT_MM = 20.0
"""Both views see the same height. A landmark whose two heights differ by more was taken for a neighbouring
level (about 25 mm) in one of them, so its 3D point would be wrong by half of that: it is absent instead."""

REFUSED = "not taken for a radiograph of a whole spine"


def measure_views(model: Model, views: Mapping[ViewName, ImageInput], study_id: str = "") -> Prediction:
    """Find the landmarks of one study and measure every parameter they yield.

    Args:
        model: from ``inference.model.load_model``.
        views: one or both views.
        study_id: goes into the result.

    Raises:
        ContractViolation: no view, a view the model was not trained for, or an image that is none.
    """
    began = time.perf_counter()
    found = find_landmarks(model, views)
    decoded, refused = _without_refused(found, model)
    in_blank_regions = {view: seen.in_blank_regions for view, seen in decoded.items() if seen.in_blank_regions}
    points = {view: found.points for view, found in decoded.items()}
    points_3d = _points_3d(points, views)
    calibration = model.contract.calibration
    spreads = {view: {n: s / d.cell_px for n, s in d.spread_px.items()} for view, d in decoded.items()}
    sigma_px, radius_px = uncertainty_px(calibration, spreads, {view: d.cell_px for view, d in decoded.items()})
    width = calibration.neighbour_width if calibration else NEIGHBOUR_WIDTH
    parameters = _tell_undrawn(parameters_of(points, points_3d, views, sigma_px, width), decoded, points_3d is not None)
    parameters = _tell_refusal(parameters, refused)
    return Prediction(
        study_id=study_id,
        points=points,
        spread_px={view: found.spread_px for view, found in decoded.items()},
        cell_px={view: found.cell_px for view, found in decoded.items()},
        radius_px=radius_px,
        level_margin=found.levels.margin if found.levels else None,
        levels_uncertain=_uncertain(found.levels, calibration),
        height_mismatches=() if points_3d is None else _at_other_heights(points, points_3d),
        refused=refused,
        in_blank_regions=in_blank_regions,
        notes=_notes(points, views),
        points_3d=points_3d or {},
        parameters=calibration.with_intervals(parameters) if calibration else parameters,
        seconds=time.perf_counter() - began,
    )


def predict_examples(
    model: Model, dataset_folder: Path, examples: Sequence[Example], progress: Progress | None = None
) -> list[Prediction]:
    """Measure examples of a data set, in their order; views the model does not know are left out.

    Args:
        model: from ``load_model``.
        dataset_folder: where the manifest's image paths start.
        examples: for example ``manifest.in_split("test")``.
        progress: called with (done, total).
    """
    predictions: list[Prediction] = []
    for done, example in enumerate(examples, start=1):
        views = {
            name: ImageInput(load_example_image(dataset_folder, view), view.spacing_mm, view.calibration, view.geometry)
            for name, view in example.views.items()
            if name in model.contract.views
        }
        predictions.append(measure_views(model, views, example.study_id))
        if progress is not None:
            progress(done, len(examples))
    return predictions


def _uncertain(levels: LevelEvidence | None, calibration: Calibration | None) -> bool:
    least = calibration.level_margin if calibration else None
    return levels is not None and least is not None and levels.margin <= least


def _without_refused(found: Found, model: Model) -> tuple[dict[ViewName, Decoded], dict[ViewName, str]]:
    """What was found, without anything in images that are no whole-spine radiograph, and why those are none."""
    limits = model.contract.calibration.limits if model.contract.calibration else None
    kept, refused = dict(found.decoded), {}
    for view, seen in found.decoded.items():
        spread = {name: value / seen.cell_px for name, value in seen.spread_px.items()}
        broken = [found.given_wrongly[view]] if view in found.given_wrongly else []
        if limits and not broken:
            broken = limits.broken_by(signs_of(seen.points, spread))
        if broken:
            refused[view] = "; ".join(broken)
            kept[view] = replace(seen, points={}, spread_px={}, in_blank_regions=())
    return kept, refused


def _tell_undrawn(
    parameters: Mapping[str, Measured], decoded: Mapping[ViewName, Decoded], in_space: bool
) -> dict[str, Measured]:
    """Tell of what is absent for want of landmarks which of them lie where nothing is drawn, and hide hidden curves."""
    told = dict(parameters)
    for view, seen in decoded.items():
        if not seen.in_blank_regions:
            continue
        where = f"nothing is drawn there in the {view} image"
        of_view = {n for n in told if in_space or PARAMETERS[n].plane == PLANE_OF_VIEW[view]}
        told |= {n: _with(told[n], seen.in_blank_regions, where, "LANDMARKS_IN_BLANK_REGION") for n in of_view}
        if view == "frontal" or in_space:
            told = without_curves(told, hole_of(seen.in_blank_regions, list(seen.points)))
    return {name: told[name] for name in parameters}


def _notes(points: Mapping[ViewName, Points2D], views: Mapping[ViewName, ImageInput]) -> tuple[str, ...]:
    """What to tell of images that are measured all the same."""
    leans = {view: lean_of(found, views[view].spacing_mm) for view, found in points.items()}
    return tuple(note for view, lean in leans.items() for note in turned(lean, view))


def _tell_refusal(parameters: Mapping[str, Measured], refused: Mapping[ViewName, str]) -> dict[str, Measured]:
    """Give a refused image as the reason of absence for what only it could have shown."""
    reasons = {PLANE_OF_VIEW[view]: f"{REFUSED} ({view}): {why}" for view, why in refused.items()}
    return {
        name: replace(m, absent_reason=reasons[PARAMETERS[name].plane], absent_code="VIEW_REFUSED")
        if m.is_absent and PARAMETERS[name].plane in reasons
        else m
        for name, m in parameters.items()
    }


PerView = Mapping[ViewName, Mapping[str, float]]


def uncertainty_px(
    calibration: Calibration | None, spread_cells: PerView, cell_px: Mapping[ViewName, float]
) -> tuple[PerView, PerView]:
    """View -> landmark -> standard deviation of a coordinate, and radius that holds it nine times in ten; pixels."""
    if calibration is None:
        return {}, {}
    sigma, radius = {}, {}
    for view, spread in spread_cells.items():
        cell = cell_px[view]
        sigma_cells = calibration.sigma_cells(view, spread)
        sigma[view] = {n: s * cell for n, s in sigma_cells.items()}
        radius[view] = {n: r * cell for n, r in calibration.radius_cells(view, sigma_cells).items()}
    return sigma, radius


def _points_3d(points: Mapping[ViewName, Points2D], views: Mapping[ViewName, ImageInput]) -> dict[str, Floats] | None:
    """LPS mm of the landmarks seen at the same height in both views; None where the study is not 3D."""
    geometries = [views[view].geometry for view in VIEWS if points.get(view)]
    if len(geometries) != len(VIEWS):
        return None
    frontal, lateral = geometries
    if frontal is None or lateral is None:
        return None
    names = [name for name in points["frontal"] if name in points["lateral"]]
    if not names:
        return {}
    found = triangulate(
        np.stack([points["frontal"][n] for n in names]),
        np.stack([points["lateral"][n] for n in names]),
        frontal,
        lateral,
    )
    agrees = np.abs(found.dz_mm) <= MAX_Z_DISAGREEMENT_MM
    seen_twice = {name: found.xyz_mm[i] for i, name in enumerate(names) if agrees[i]}
    geometry: dict[ViewName, ViewGeometry] = {"frontal": frontal, "lateral": lateral}
    return {**margins_in_space(seen_twice, points, geometry), **seen_twice}


class Placed(Protocol):
    """What is known of where an image was taken, beside its pixels."""

    @property
    def spacing_mm(self) -> tuple[float, float] | None:
        """(row, column) mm, or None."""

    @property
    def calibration(self) -> CalibrationType:
        """Source of the spacing."""

    @property
    def geometry(self) -> ViewGeometry | None:
        """Place in the scanner, or None."""


def parameters_of(
    points: Mapping[ViewName, Points2D],
    points_3d: Mapping[str, Floats] | None,
    views: Mapping[ViewName, Placed],
    sigma_px: PerView,
    neighbour_width: float = NEIGHBOUR_WIDTH,
) -> dict[str, Measured]:
    """Measure landmarks, in 3D where ``points_3d`` are known.

    Args:
        points: view -> landmark -> (2,) pixels.
        points_3d: landmark -> (3,) LPS mm, or None.
        views: where each image was taken.
        sigma_px: view -> landmark -> standard deviation of a coordinate; empty where nothing is known.
        neighbour_width: see ``spine.measurement.fusion``.
    """
    planes: dict[Plane, PlanePoints] = {}
    if points_3d is None:
        for view, found in points.items():
            given = views[view]
            planes |= planes_from_view(view, found, given.spacing_mm, given.calibration, sigma_px.get(view))
        return measure(_with_width(planes, neighbour_width))
    sigma_mm = {
        view: {name: s * geometry.spacing_mm[0] for name, s in of_view.items()}
        for view, of_view in sigma_px.items()
        if (geometry := views[view].geometry) is not None
    }
    planes = planes_from_points_3d(points_3d, sigma_mm)
    return _tell_disagreement(measure(_with_width(planes, neighbour_width)), points, points_3d)


def _with_width(planes: Mapping[Plane, PlanePoints], width: float) -> dict[Plane, PlanePoints]:
    return {plane: replace(points, neighbour_width=width) for plane, points in planes.items()}


def _tell_disagreement(
    parameters: Mapping[str, Measured], points: Mapping[ViewName, Points2D], points_3d: Mapping[str, Floats]
) -> dict[str, Measured]:
    """Tell of what is absent for want of landmarks which of them both views saw, but at different heights."""
    dropped = _at_other_heights(points, points_3d)
    why = "seen in both views, but at different heights"
    return {name: _with(m, dropped, why, "LANDMARK_HEIGHTS_DIFFER") for name, m in parameters.items()}


def _with(measured: Measured, dropped: Sequence[str], why: str, code: str) -> Measured:
    """Tell in the reason of absence why those landmarks that it names were dropped."""
    involved = [name for name in dropped if name in (measured.absent_reason or "")]
    if not involved:
        return measured
    reason = f"{measured.absent_reason} ({why}: {', '.join(involved)})"
    return replace(measured, absent_reason=reason, absent_code=code)


def _at_other_heights(points: Mapping[ViewName, Points2D], points_3d: Mapping[str, Floats]) -> tuple[str, ...]:
    """Landmarks that both views see and that are not in space."""
    if any(view not in points for view in VIEWS):
        return ()
    return tuple(sorted((set(points["frontal"]) & set(points["lateral"])) - set(points_3d)))

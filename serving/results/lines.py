"""The lines of parameters in the images as their files store them, for structured reports and presentation states.

Contract: positions are (column, row), counted from the outer corner of the first stored pixel (PS3.3 C.18.6.1.1,
C.10.5.1.2). The lines are those of the overlay (``spine.construction_lines``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serving.results.sites import finding_levels
from spine.construction_lines import DrawnConstruction, drawn_constructions
from spine.landmarks import LEVELS, PLATES, S1_PLATE, VIEWS, ViewName, level_of
from spine.measurement.planes import PLANE_OF_VIEW
from spine.measurement.registry import PARAMETERS
from spine.study import Points2D
from spine.types import Floats

if TYPE_CHECKING:
    from inference.measured_study import MeasuredStudy

_VIEW_OF_PLANE = {plane: view for view, plane in PLANE_OF_VIEW.items()}


@dataclass(frozen=True)
class StoredLines:
    """The lines of one parameter in the stored image of one view.

    Attributes:
        lines: (N, 2) polylines of the overlay.
        label_at: (2,) point of the label.
    """

    view: ViewName
    lines: tuple[Floats, ...]
    label_at: Floats


@dataclass(frozen=True)
class StoredRegion:
    """Where one parameter was measured: (N, 2) one polyline in the stored image of one view."""

    view: ViewName
    points: Floats


def stored_lines(study: "MeasuredStudy") -> dict[str, StoredLines]:
    """Parameter -> its lines; no key for a parameter without lines of its own, or without a value."""
    found = {}
    for view, drawn in _drawn(study):
        grid = study.grids[view]
        lines = tuple(grid.to_dicom(line) for line in (*drawn.lines, *drawn.references))
        found[drawn.parameter] = StoredLines(view, lines, grid.to_dicom(drawn.label_at))
    return found


def stored_regions(study: "MeasuredStudy") -> dict[str, StoredRegion]:
    """Parameter with a value -> its region.

    A parameter without lines of its own has the line through the plate centres of its levels. Every value has a region,
    because viewers refuse a whole report for one measurement without (OHIF 3.12).
    """
    regions = {drawn.parameter: (view, _region(drawn)) for view, drawn in _drawn(study)}
    for name, measured in study.prediction.parameters.items():
        if measured.value is not None and name not in regions:
            view = _VIEW_OF_PLANE[PARAMETERS[name].plane]
            centres = _plate_centres(study.prediction.points.get(view, {}), finding_levels(name, measured))
            if len(centres) > 1:
                regions[name] = view, centres
    return {name: StoredRegion(view, study.grids[view].to_dicom(line)) for name, (view, line) in regions.items()}


def _drawn(study: "MeasuredStudy") -> Iterator[tuple[ViewName, DrawnConstruction]]:
    for view in [view for view in VIEWS if view in study.inputs]:
        given = study.inputs[view]
        size = given.image.shape[1], given.image.shape[0]
        points = study.prediction.points.get(view, {})
        for drawn in drawn_constructions(view, points, study.prediction.parameters, size, given.spacing_mm):
            yield view, drawn


def _plate_centres(points: Points2D, levels: Sequence[str]) -> Floats:
    """(N, 2) centres of the visible plates from the first to the last level; of all plates without levels."""
    first, last = (LEVELS.index(levels[0]), _last(levels)) if levels else (0, len(LEVELS) - 1)
    wanted = [plate for plate in (*PLATES, S1_PLATE) if first <= LEVELS.index(level_of(plate)) <= last]
    return np.array([points[plate] for plate in wanted if plate in points], dtype=np.float64).reshape(-1, 2)


def _last(levels: Sequence[str]) -> int:
    return max(LEVELS.index(level) for level in levels if level in LEVELS)


def stored_landmarks(study: "MeasuredStudy") -> Mapping[ViewName, dict[str, Floats]]:
    """View -> landmark -> its (2,) position in the stored image."""
    return {
        view: {name: study.grids[view].to_dicom(at) for name, at in study.prediction.points.get(view, {}).items()}
        for view in study.inputs
    }


def _region(drawn: DrawnConstruction) -> Floats:
    """One polyline of the straight lines: end, vertex, end, or along one plate and back along the other.

    A report has one region a measurement. In this order of the points, a viewer that joins them shows the angle.
    """
    first, second = [line for line in (*drawn.lines, *drawn.references) if len(line) == 2]
    if np.allclose(first[0], second[0]):
        return np.array([first[1], first[0], second[1]])
    if not drawn.references:
        return np.array([first[0], first[1], second[1], second[0]])
    return np.array([first[0], first[1], second[0]])  # a distance, and the vertical from which it is measured

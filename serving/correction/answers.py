"""A case and its measurement as JSON for the page.

Contract: positions are (column, row) in pixels of the canonical image, integers at pixel centres. The page draws what
it gets here and computes nothing.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from inference.drawing import STYLES
from inference.given_points import measure_given_points
from inference.value_table import class_lines, grouped_absences, value_rows
from serving.correction.cases import Case
from spine.construction_lines import drawn_constructions
from spine.landmarks import HIPS, MARGINS175, PLATES, S1_MARGINS, S1_PLATE, ViewName
from spine.measurement.registry import rounded
from spine.outline import outline_of
from spine.prediction import Prediction
from spine.study import Points2D

_PARTS: Mapping[str, str] = {
    "sup": "upper plate",
    "inf": "lower plate",
    "ant": "front",
    "post": "back",
    "left": "left",
    "right": "right",
    "L": "left",
    "R": "right",
}
_GREATEST = 4095
_OUTLINE = ("curve", "plate", "plate_side", "tilt", "sacrum")


def label_of(name: str) -> str:
    """A landmark in words: ``T4_sup_ant`` -> ``T4 upper plate, front``."""
    level, *parts = name.split("_")
    words = [_PARTS.get(part, part) for part in parts]
    if level == "HIP":
        return f"centre of the {words[0]} hip"
    if level == "S1" and parts != ["sup"]:
        return f"S1 plate, {words[0]}"
    centre = ", centre" if len(words) == 1 else ""
    return f"{level} {', '.join(words)}{centre}"


def names_of(case: Case, view: ViewName) -> list[str]:
    """The landmarks of a view in the order in which a person places them: from head to foot.

    Without a proposal the centres of plates with margins are left out, because they follow from the margins.
    """
    names = [n for n in MARGINS175.names_in(view) if case.proposal is not None or n not in PLATES]
    order = [*PLATES, S1_PLATE, *S1_MARGINS, *HIPS]

    def place(name: str) -> int:
        return order.index(name if name in order else name.rsplit("_", 1)[0])

    return sorted(names, key=place)


def measured_points(case: Case, points: Mapping[ViewName, Points2D]) -> Prediction:
    """What the given points of a case measure.

    Raises:
        LabelsRejected: see ``spine.given_labels``.
    """
    return measure_given_points(points, case.inputs, prediction=case.proposal, model=case.model)


def proposed_points(case: Case) -> dict[ViewName, Points2D]:
    """View -> the landmarks that the model proposes, rounded as the page shows them; empty from nothing."""
    found = case.proposal.points if case.proposal else {}
    return {view: {n: np.round(p, 2) for n, p in found.get(view, {}).items()} for view in case.inputs}


def result_json(case: Case, found: Prediction) -> dict[str, Any]:
    """Values, classes and lines of a measurement; ``changed`` says which values differ from the proposal."""
    proposed = case.proposal.parameters if case.proposal else found.parameters
    before = {row.parameter: row for row in value_rows(proposed)}
    values = []
    for row in value_rows(found.parameters):
        other = before.get(row.parameter)
        changed = other is None or (row.value, row.interval) != (other.value, other.interval)
        values.append({**vars(row), "changed": changed})
    return {
        "values": values,
        "classes": class_lines(found.classes),
        "absences": grouped_absences(found.parameters),
        "drawn": {view: _drawn(case, view, found) for view in case.inputs},
    }


def view_json(case: Case, view: ViewName, points: Mapping[ViewName, Points2D]) -> dict[str, Any]:
    """One radiograph of a case: its size, its landmarks by name, the points shown and those proposed."""
    rows, columns = case.inputs[view].image.shape
    return {
        "size": [columns, rows],
        "image": f"{view}.png",
        "names": names_of(case, view),
        "points": points_json(points.get(view, {})),
        "proposal": points_json(proposed_points(case).get(view, {})),
    }


def image_png(case: Case, view: ViewName) -> bytes:
    """The radiograph as an 8-bit grey PNG picture."""
    from PIL import Image

    grey = (case.inputs[view].image.astype(np.uint32) * 255 // _GREATEST).astype(np.uint8)
    written = io.BytesIO()
    Image.fromarray(grey).save(written, "PNG", compress_level=4)
    return written.getvalue()


def _drawn(case: Case, view: ViewName, found: Prediction) -> dict[str, Any]:
    image, points = case.inputs[view], found.points.get(view, {})
    size = image.image.shape[1], image.image.shape[0]
    styled = {name: measured for name, measured in found.parameters.items() if name in STYLES}
    outline = outline_of(view, points, size)
    return {
        "outline": [
            {"kind": line.kind, "points": _line_json(line.points)} for line in outline.lines if line.kind in _OUTLINE
        ],
        "labels": [{"text": each.text, "at": _point_json(each.at), "anchor": each.anchor} for each in outline.labels],
        "constructions": [
            {
                "parameter": each.parameter,
                "colour": f"rgb{STYLES[each.parameter].colour}",
                "width": STYLES[each.parameter].width,
                "lines": [_line_json(line) for line in each.lines],
                "references": [_line_json(line) for line in each.references],
                "text": _angle_text(each.parameter, found),
                "at": _point_json(each.label_at),
                "anchor": each.anchor,
            }
            for each in drawn_constructions(view, points, styled, size, image.spacing_mm)
        ],
    }


def _angle_text(parameter: str, found: Prediction) -> str:
    measured = found.parameters[parameter]
    unit = "°" if measured.unit == "deg" else " mm"
    return f"{STYLES[parameter].name} {rounded(measured.value or 0.0)}{unit}"


def points_json(points: Points2D) -> dict[str, list[float]]:
    """Landmark -> [column, row], rounded to 0.01 pixels."""
    return {name: _point_json(point) for name, point in points.items()}


def _point_json(point: Any) -> list[float]:
    return [round(float(point[0]), 2), round(float(point[1]), 2)]


def _line_json(points: Any) -> list[list[float]]:
    return [_point_json(point) for point in points]

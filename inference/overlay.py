"""The overlay image and the JSON report of a measurement.

Contract: the overlay always states that it is not for diagnosis, and it marks simulated images. An absent parameter
appears with its reason.
"""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.calibration import LEVEL, Calibration
from inference.contract import PREPROCESSING_VERSION
from inference.drawing import FOUND, TRUTH, font, render_view
from inference.vertebral_column import field_of_view
from spine.landmarks import LANDMARK_SETS, VIEWS, ViewName
from spine.measurement.registry import PARAMETERS, Measured
from spine.prediction import IntervalBasis, Prediction
from spine.study import LENGTHS_ALLOWED, Points2D

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from inference.inputs import ImageInput
    from inference.model import Model

REPORT_SCHEMA = "plumbline.measurement/4"
NOT_FOR_DIAGNOSIS = "NOT FOR DIAGNOSIS"

_HEIGHT = 1150
"""Height of a radiograph on the overlay, pixels."""

_GAP, _HEADER, _FOOTER, _TABLE = 14, 74, 46, 520
_INK, _PALE, _GROUND, _LINE = (235, 235, 235), (150, 156, 164), (17, 19, 23), (48, 52, 60)
_WARNING = (255, 196, 64)


def draw_overlay(
    views: Mapping[ViewName, NDArray[np.uint16]],
    points: Mapping[ViewName, Points2D],
    parameters: Mapping[str, Measured],
    *,
    truth_points: Mapping[ViewName, Points2D] | None = None,
    title: str | None = None,
    provenance: str | None = None,
    rough_intervals: str | None = None,
    intervals: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> "Image":
    """One RGB image: the views side by side with the landmarks, and the table of values.

    Args:
        views: view -> (h, w) uint16, bone bright.
        points: view -> landmarks in pixels of its image.
        parameters: measured parameters; the Cobb angle's end vertebrae are drawn in the frontal view.
        truth_points: reference landmarks, drawn as small green rings.
        provenance: origin of the images, for example ``simulated data``; the banner shows it.
        rough_intervals: note about intervals from too few patients; if given, every interval is marked.
        intervals: texts that state what the intervals rest on (``interval_lines``).
        warnings: texts that are printed above the table.
    """
    from PIL import Image, ImageDraw

    order: list[ViewName] = [view for view in VIEWS if view in views]
    panels = [
        render_view(view, views[view], points.get(view, {}), parameters, (truth_points or {}).get(view, {}), _HEIGHT)
        for view in order
    ]
    width = sum(p.width + _GAP for p in panels) + _GAP + _TABLE
    sheet = Image.new("RGB", (width, _HEADER + _HEIGHT + 28 + _FOOTER), _GROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 16), title or "Plumbline", fill=_INK, font=font(30))
    left = _GAP
    for view, panel in zip(order, panels, strict=True):
        sheet.paste(panel, (left, _HEADER))
        draw.text((left + 2, _HEADER + _HEIGHT + 5), view.capitalize(), fill=_PALE, font=font(17))
        left += panel.width + _GAP
    top = _draw_warnings(draw, warnings, (left + 4, _HEADER))
    _draw_table(draw, parameters, (left + 4, top), has_truth=bool(truth_points), rough=rough_intervals, notes=intervals)
    _draw_banner(draw, sheet.size, provenance)
    return sheet


def warnings_of(prediction: Prediction) -> list[str]:
    """Warnings about radiographs that may be turned, disagree, have no intervals or were refused, and about levels."""
    warnings = list(prediction.notes)
    if prediction.views_disagree:
        warnings.append(
            f"the two radiographs disagree: {len(prediction.height_mismatches)} landmarks lie at different "
            "heights. The radiographs may be exchanged, mirrored, or of two examinations. Do not use these values"
        )
    if prediction.levels_uncertain:
        warnings.append("levels uncertain by one: the images do not show clearly which vertebra is which")
    warnings += [
        f"the values of the {view} radiograph have no intervals: {basis.withheld}"
        for view, basis in prediction.interval_basis.items()
        if basis.withheld is not None
    ]
    warnings += [
        f"the {view} radiograph was not accepted as a radiograph of the spine: {reason}"
        for view, reason in prediction.refused.items()
    ]
    return warnings


def interval_lines(prediction: Prediction) -> list[str]:
    """For each view, the calibration on which its 90 % intervals rest; no line for a view without intervals."""
    return [
        f"{view}: 90 % intervals from {basis.calibration}, n = {basis.patients}"
        + ("; the image is unlike their unchanged images" if basis.unlike else "")
        for view, basis in prediction.interval_basis.items()
        if basis.withheld is None
    ]


def report_json(prediction: Prediction, model: "Model", inputs: "Mapping[ViewName, ImageInput]") -> dict[str, Any]:
    """The measurement as plain JSON values; docs/measurement-json.md describes each field."""
    return {
        "schema": REPORT_SCHEMA,
        "not_for_diagnosis": True,
        "study_id": prediction.study_id or None,
        "model": {
            "digest": model.digest,
            "landmark_set": model.contract.landmark_set,
            "trained_on_simulated_data": model.contract.simulated_training_data,
            "training": model.contract.training_note,
            "preprocessing_version": PREPROCESSING_VERSION,
            "mirrored_average": model.contract.mirrored_average,
        },
        "intervals": _intervals_json(model.contract.calibration),
        "views": {view: _view_json(view, prediction, model, given) for view, given in inputs.items()},
        "landmarks_3d_mm": {name: _rounded(point, 3) for name, point in prediction.points_3d.items()},
        "frames": {
            "landmarks_px": "(column, row), an integer is a pixel's centre, canonical orientation",
            "landmarks_3d_mm": "LPS, isocentre as origin; empty if a view's position in the scanner is unknown",
        },
        "levels": {
            "uncertain_by_one": prediction.levels_uncertain,
            "margin": None if prediction.level_margin is None else round(prediction.level_margin, 3),
        },
        "refused": dict(prediction.refused),
        "notes": list(prediction.notes),
        "views_disagree": prediction.views_disagree,
        "height_mismatches": list(prediction.height_mismatches),
        "measured_in": "3D" if prediction.points_3d else "each view",
        "parameters": {name: _parameter_json(name, measured) for name, measured in prediction.parameters.items()},
        "seconds": round(prediction.seconds, 3),
    }


def _view_json(view: ViewName, prediction: Prediction, model: "Model", given: "ImageInput") -> dict[str, Any]:
    found = prediction.points.get(view, {})
    spread = prediction.spread_px.get(view, {})
    sought = LANDMARK_SETS[model.contract.landmark_set].names_in(view)
    return {
        "file": given.file,
        "sop_instance_uid": given.sop_instance_uid,
        "shape": [int(n) for n in given.image.shape],
        "spacing_mm": list(given.spacing_mm) if given.spacing_mm else None,
        "calibration": given.calibration,
        "lengths_allowed": given.calibration in LENGTHS_ALLOWED,
        "geometry_known": given.geometry is not None,
        "field_of_view": field_of_view(found),
        "landmarks_px": {name: _rounded(point, 3) for name, point in found.items()},
        "radius_90_px": {name: round(r, 3) for name, r in prediction.radius_px.get(view, {}).items()},
        "spread_px": {name: round(float(value), 3) for name, value in spread.items()},
        "intervals": _basis_json(prediction.interval_basis.get(view)),
        "not_seen": [name for name in model.contract.names if name in sought and name not in found],
        "dropped": dict(prediction.dropped.get(view, {})),
    }


def _intervals_json(calibration: Calibration | None) -> dict[str, Any] | None:
    if calibration is None:
        return None
    return {
        "level": LEVEL,
        "patients": calibration.patients,
        "calibrated_on": calibration.source,
        "rough": calibration.rough,
    }


def _basis_json(basis: IntervalBasis | None) -> dict[str, Any] | None:
    if basis is None:
        return None
    return {
        "rest_on": basis.calibration,
        "patients": basis.patients,
        "shift": round(basis.shift, 3),
        "unlike_calibration": basis.unlike,
        "withheld": basis.withheld,
    }


def _parameter_json(name: str, measured: Measured) -> dict[str, Any]:
    record: dict[str, Any] = {"label": PARAMETERS[name].label, "unit": measured.unit}
    if measured.value is None:
        absence = {"absent_code": measured.absent_code, "absent_reason": measured.absent_reason}
        return record | {"value": None} | absence
    interval = [round(end, 3) for end in measured.interval] if measured.interval else None
    record |= {"value": round(measured.value, 3), "interval_90": interval}
    return record | ({"detail": dict(measured.detail)} if measured.detail else {})


def _rounded(point: NDArray[np.float64], digits: int) -> list[float]:
    return [round(float(c), digits) for c in point]


def _draw_banner(draw: "ImageDraw", size: tuple[int, int], provenance: str | None) -> None:
    text = f"{provenance.upper()}  ·  {NOT_FOR_DIAGNOSIS}" if provenance else NOT_FOR_DIAGNOSIS
    top = size[1] - _FOOTER
    draw.rectangle((0, top, *size), fill=_WARNING)
    draw.text((size[0] / 2, top + _FOOTER / 2), text, fill=(20, 20, 20), font=font(22), anchor="mm")


def _draw_warnings(draw: "ImageDraw", warnings: Sequence[str], corner: tuple[int, int]) -> int:
    """Draw the warnings on yellow; return the row where the table begins."""
    left, top = corner
    if not warnings:
        return top
    lines = [line for warning in warnings for line in wrap(warning, 58)]
    draw.rectangle((left - 4, top, left + _TABLE - 2 * _GAP, top + 16 + 20 * len(lines)), fill=_WARNING)
    for i, line in enumerate(lines):
        draw.text((left + 4, top + 8 + 20 * i), line, fill=_GROUND, font=font(16))
    return top + 28 + 20 * len(lines)


def _draw_table(
    draw: "ImageDraw",
    parameters: Mapping[str, Measured],
    corner: tuple[int, int],
    *,
    has_truth: bool,
    rough: str | None,
    notes: Sequence[str],
) -> None:
    left, top = corner
    right = left + _TABLE - 2 * _GAP
    for name, parameter in PARAMETERS.items():
        measured = parameters.get(name)
        if measured is None:
            continue
        draw.line((left, top, right, top), fill=_LINE)
        draw.text((left, top + 7), parameter.label, fill=_INK, font=font(20))
        value, ink = _value_text(measured, rough=bool(rough)), _PALE if measured.is_absent else _INK
        draw.text((right, top + 7), value, fill=ink, font=font(20), anchor="ra")
        top += 36
        for line in wrap(_remark(measured), 62)[:2]:
            draw.text((left + 8, top - 3), line, fill=_PALE, font=font(14))
            top += 18
        top += 5
    draw.line((left, top, right, top), fill=_LINE)
    shown = [*notes, *([f"~ {rough}"] if rough else [])] if any(m.interval for m in parameters.values()) else []
    _draw_legend(draw, (left, top), has_truth=has_truth, notes=shown, ink=_WARNING if rough else _PALE)


def _draw_legend(
    draw: "ImageDraw",
    corner: tuple[int, int],
    *,
    has_truth: bool,
    notes: Sequence[str],
    ink: tuple[int, int, int],
) -> None:
    left, top = corner
    draw.ellipse((left + 2, top + 18, left + 12, top + 28), fill=FOUND)
    draw.text((left + 20, top + 13), "found", fill=_PALE, font=font(16))
    if has_truth:
        draw.ellipse((left + 90, top + 18, left + 100, top + 28), outline=TRUTH, width=2)
        draw.text((left + 108, top + 13), "reference", fill=_PALE, font=font(16))
    for i, line in enumerate(line for note in notes for line in wrap(note, 62)):
        draw.text((left + 2, top + 42 + 18 * i), line, fill=ink, font=font(14))


def _value_text(measured: Measured, *, rough: bool) -> str:
    if measured.value is None:
        return "not measured"
    unit = "°" if measured.unit == "deg" else " mm"
    if measured.interval is None:
        return f"{measured.value:.1f}{unit}"
    low, high = measured.interval
    return f"{measured.value:.1f}{unit}  {'~' if rough else ''}[{low:.1f}, {high:.1f}]"


def _remark(measured: Measured) -> str:
    """The reason of absence, or the findings that belong to a value."""
    if measured.value is None:
        return measured.absent_reason or ""
    words = {"upper_end_vertebra": "from", "lower_end_vertebra": "to", "apex": "apex", "side": "convex to the"}
    found = dict(measured.detail or {})
    parts = [f"{words[key]} {found.pop(key)}" for key in words if key in found]
    return "  ".join([*parts, *found.values()])

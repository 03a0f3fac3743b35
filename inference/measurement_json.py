"""The JSON report of a measurement; docs/measurement-json.md describes each field.

Contract: parameters come first. Values, landmarks and lengths have one decimal, which is finer than their errors. An
absent parameter has its reason.
"""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.calibration import LEVEL, Calibration
from inference.contract import PREPROCESSING_VERSION
from inference.vertebral_column import field_of_view
from spine.landmarks import LANDMARK_SETS, ViewName
from spine.measurement.classes import CLASSES, Classified
from spine.measurement.registry import PARAMETERS, Measured
from spine.prediction import IntervalBasis, Prediction

if TYPE_CHECKING:
    from inference.inputs import ImageInput
    from inference.model import Model

REPORT_SCHEMA = "plumbline.measurement/6"


def report_json(prediction: Prediction, model: "Model", inputs: "Mapping[ViewName, ImageInput]") -> dict[str, Any]:
    """The measurement as plain JSON values; docs/measurement-json.md describes each field."""
    return {
        "schema": REPORT_SCHEMA,
        "not_for_diagnosis": True,
        "study_id": prediction.study_id or None,
        "parameters": {name: _parameter_json(name, measured) for name, measured in prediction.parameters.items()},
        "classes": {name: _class_json(name, classified) for name, classified in prediction.classes.items()},
        "notes": list(prediction.notes),
        "refused": dict(prediction.refused),
        "views_disagree": prediction.views_disagree,
        "height_mismatches": list(prediction.height_mismatches),
        "levels": {
            "uncertain_by_one": prediction.levels_uncertain,
            "margin": None if prediction.level_margin is None else round(prediction.level_margin, 2),
        },
        "measured_in": "3D" if prediction.points_3d else "each view",
        "intervals": _intervals_json(model.contract.calibration),
        "model": _model_json(model),
        "seconds": round(prediction.seconds, 2),
        "views": {view: _view_json(view, prediction, model, given) for view, given in inputs.items()},
        "landmarks_3d_mm": {name: _rounded(point) for name, point in prediction.points_3d.items()},
        "frames": {
            "landmarks_px": "(column, row), an integer is a pixel's centre, canonical orientation",
            "landmarks_3d_mm": "LPS, isocentre as origin; empty if a view's position in the scanner is unknown",
        },
    }


def report_text(report: Mapping[str, Any]) -> str:
    """The report as indented JSON, with the numbers of a list on one line."""
    text = json.dumps(report, indent=1, allow_nan=False)
    return re.sub(r"\[\s+([-\d.,\se+]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)


def _model_json(model: "Model") -> dict[str, Any]:
    return {
        "digest": model.digest,
        "landmark_set": model.contract.landmark_set,
        "trained_on_simulated_data": model.contract.simulated_training_data,
        "training": model.contract.training_note,
        "preprocessing_version": PREPROCESSING_VERSION,
        "mirrored_average": model.contract.mirrored_average,
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
        "lengths_allowed": view not in prediction.lengths_withheld,
        "lengths_withheld": prediction.lengths_withheld.get(view),
        "geometry_known": given.geometry is not None,
        "field_of_view": field_of_view(found),
        "landmarks_px": {name: _rounded(point) for name, point in found.items()},
        "radius_90_px": {name: round(r, 1) for name, r in prediction.radius_px.get(view, {}).items()},
        "spread_px": {name: round(float(value), 1) for name, value in spread.items()},
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
    interval = [round(end, 1) for end in measured.interval] if measured.interval else None
    record |= {"value": round(measured.value, 1), "interval_90": interval}
    return record | ({"detail": dict(measured.detail)} if measured.detail else {})


def _class_json(name: str, classified: Classified) -> dict[str, Any]:
    record: dict[str, Any] = {"label": CLASSES[name].label, "value": classified.value}
    if classified.value is None:
        return record | {"absent_reason": classified.absent_reason}
    record["probability"] = None if classified.probability is None else round(classified.probability, 2)
    if classified.number is not None:
        record |= {"number": round(classified.number, 1), "unit": CLASSES[name].unit}
    return record | ({"findings": dict(classified.detail)} if classified.detail else {})


def _rounded(point: NDArray[np.float64]) -> list[float]:
    return [round(float(c), 1) for c in point]

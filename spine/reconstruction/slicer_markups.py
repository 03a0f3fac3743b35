"""3D Slicer markups (``.mrk.json``, schema 1.0.x): control points named like our landmarks.

Contract: labels are landmark names or other spellings of ``names``; LPS is taken as it is, RAS is turned (x and y
change sign); any other system or unit is refused. A control point that is not ``defined`` is absent. All point lists
of a file count together; measurements and display are not read. Written files are of schema 1.0.3, LPS, one point
list; points read back to the last bit. The format has no place for hip radii, image geometry and facts, and a list's
name is not read as a pseudonym.
"""

import json
import math
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from spine.errors import ReconstructionRejected
from spine.reconstruction.names import house_name
from spine.reconstruction.reconstruction import Reconstruction
from spine.storage import write_text_atomically
from spine.types import Floats

SOURCE_FORMAT = "slicer-mrk-json"
# Slicer's files write the name; before schema 1.0 the code 0 stood for RAS and 1 for LPS.
_SIGNS = {"LPS": (1.0, 1.0, 1.0), "1": (1.0, 1.0, 1.0), "RAS": (-1.0, -1.0, 1.0), "0": (-1.0, -1.0, 1.0)}
_MILLIMETRES = ("mm", ["mm"], ["mm", "mm", "mm"])
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)


def looks_like_markups(record: Any) -> bool:
    """Whether parsed JSON is a markups file."""
    return isinstance(record, dict) and isinstance(record.get("markups"), list)


def reconstruction_from_markups(record: Any) -> Reconstruction:
    """Points of a parsed markups file.

    Raises:
        ReconstructionRejected: ``SCHEMA_INVALID``, ``AXES_INVALID``, ``UNITS_INVALID``, ``POINT_UNKNOWN``,
            ``POINT_DUPLICATE``, ``NOT_FINITE``.
    """
    points: dict[str, Floats] = {}
    for markup in record["markups"]:
        if not isinstance(markup, dict):
            _refuse("SCHEMA_INVALID", "a markup that is no object", "objects")
        signs = _signs(markup)
        for control in markup.get("controlPoints", []):
            if not isinstance(control, dict):
                _refuse("SCHEMA_INVALID", "a control point that is no object", "objects")
            if control.get("positionStatus", "defined") == "defined":
                name = _name(control, points)
                points[name] = _position(name, control.get("position")) * signs
    return Reconstruction(subject_id="", points=points, source_format=SOURCE_FORMAT)


def write_markups(reconstruction: Reconstruction, path: Path) -> None:
    """Write the points atomically as one Slicer point list, named after the subject.

    Raises:
        ValueError: a point is not three finite numbers, or its name is none of ours (nothing is written).
    """
    found = [f"{n} is not three finite numbers" for n, p in reconstruction.points.items() if not _is_point(p)]
    found += [f"{n} is no landmark name" for n in reconstruction.points if house_name(n) != n]
    if found:
        raise ValueError(f"{path.name} is not written: {'; '.join(found)}")
    markup = {
        "type": "Fiducial",
        "name": reconstruction.subject_id,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": True,
        "labelFormat": "%N-%d",
        "controlPoints": [
            {"id": str(i), "label": name, "position": [float(c) for c in point], "positionStatus": "defined"}
            for i, (name, point) in enumerate(reconstruction.points.items(), 1)
        ],
    }
    write_text_atomically(path, json.dumps({"@schema": _SCHEMA, "markups": [markup]}, indent=1, allow_nan=False))


def _is_point(point: Floats) -> bool:
    return np.shape(point) == (3,) and bool(np.all(np.isfinite(point)))


def _signs(markup: dict[str, Any]) -> Floats:
    signs = _SIGNS.get(str(markup.get("coordinateSystem")))
    if signs is None:
        _refuse("AXES_INVALID", "no or another coordinateSystem", "LPS or RAS")
    # Files of schema 1.0.0 carry no unit; Slicer's own is the millimetre.
    if markup.get("coordinateUnits", "mm") not in _MILLIMETRES:
        _refuse("UNITS_INVALID", "other coordinateUnits", "mm")
    return np.array(signs)


def _name(control: dict[str, Any], points: dict[str, Floats]) -> str:
    name = house_name(str(control.get("label", "")))
    if name is None:
        _refuse("POINT_UNKNOWN", f"control point {len(points) + 1} with an unknown label", "e.g. L3_sup")
    if name in points:
        _refuse("POINT_DUPLICATE", f"{name} twice", "each point once")
    return name


def _position(name: str, value: Any) -> Floats:
    numbers = value if isinstance(value, list) and len(value) == 3 else [None]
    if not all(isinstance(c, int | float) and not isinstance(c, bool) and math.isfinite(c) for c in numbers):
        _refuse("NOT_FINITE", f"{name} that is not three finite numbers", "[x, y, z] in mm")
    return np.array(numbers, dtype=np.float64)


def _refuse(code: str, found: str, expected: str) -> NoReturn:
    remedy = "correct the markups in 3D Slicer (see spine/reconstruction/slicer_markups.py)"
    raise ReconstructionRejected(code, found=found, expected=expected, remedy=remedy)

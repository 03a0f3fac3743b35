"""Reader and writer of 3D Slicer markups (``.mrk.json``, schema 1.0.x): control points with the names of landmarks.

Contract: labels are landmark names or other spellings in ``names``. LPS coordinates are read unchanged. In RAS
coordinates, x and y are negated. Any other system or unit is refused. A control point is absent if its status is not
``defined``. All point lists of a file are read together, each in its own system. A line, an angle or another markup is
left out unless all its labels are landmark names. ``facts`` counts what is left out: ``points_undefined`` and
``markups_not_read``. Measurements and display settings are not read. ``join_markups`` makes one reconstruction of the
lists of several files, because Slicer saves each list as a file. Written files have schema 1.0.3, LPS and one point
list. Reading such a file returns exactly the same numbers. The format has no fields for hip radii, image geometry and
facts, and the name of a list is not read as a pseudonym.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spine.reconstruction.names import canonical_name
from spine.reconstruction.plumbline_json import position
from spine.reconstruction.reconstruction import Reconstruction, rejected
from spine.storage import write_text_atomically
from spine.types import Floats

SOURCE_FORMAT = "slicer-mrk-json"
_POINT_LIST = "Fiducial"
_SAME_MM = 1e-3
# Slicer writes the name of the system. Before schema 1.0 it wrote the code 0 for RAS and 1 for LPS.
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
    """The reconstruction in a parsed file that ``looks_like_markups`` accepts.

    Raises:
        ReconstructionRejected: ``SCHEMA_INVALID``, ``AXES_INVALID``, ``UNITS_INVALID``, ``POINT_UNKNOWN``,
            ``POINT_DUPLICATE``, ``NOT_FINITE``.
    """
    points: dict[str, Floats] = {}
    undefined = left_out = 0
    for markup in record["markups"]:
        controls = _controls(markup)
        if not _is_point_list(markup, controls):
            left_out += 1
            continue
        signs = _signs(markup)
        for control in controls:
            if control.get("positionStatus", "defined") != "defined":
                undefined += 1
                continue
            name = _name(control, points)
            points[name] = position(f"point {name}", control.get("position")) * signs
    counts = {"points_undefined": undefined, "markups_not_read": left_out}
    facts = {key: count for key, count in counts.items() if count}
    return Reconstruction(subject_id="", points=points, source_format=SOURCE_FORMAT, facts=facts)


def join_markups(parts: Sequence[Reconstruction]) -> Reconstruction:
    """One reconstruction with the points of several files, and the sums of their counts.

    Raises:
        ReconstructionRejected: ``POINT_DUPLICATE`` if a point has different positions in two files.
    """
    points: dict[str, Floats] = {}
    facts: Counter[str] = Counter()
    for part in parts:
        different = [n for n, p in part.points.items() if n in points and not np.allclose(p, points[n], atol=_SAME_MM)]
        if different:
            found = f"{len(different)} point(s) with different positions in two files, first {different[0]}"
            raise rejected("POINT_DUPLICATE", found, "each point once, or with the same position")
        points |= part.points
        facts.update(part.facts)
    return Reconstruction(subject_id="", points=points, source_format=parts[0].source_format, facts=dict(facts))


def write_markups(reconstruction: Reconstruction, path: Path) -> None:
    """Write the points atomically as one Slicer point list, named after the subject.

    Raises:
        ValueError: a point is not three finite numbers, or is not in ``known_names`` (nothing is written).
    """
    found = [f"{n} is not three finite numbers" for n, p in reconstruction.points.items() if not _is_point(p)]
    found += [f"{n} is not a landmark name" for n in reconstruction.points if canonical_name(n) != n]
    if found:
        raise ValueError(f"{path.name} is not written: {'; '.join(found)}")
    markup = {
        "type": _POINT_LIST,
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


def axis_signs(system: object) -> Floats:
    """(3,) factors that turn coordinates of a system of Slicer into LPS, or ``AXES_INVALID``."""
    signs = _SIGNS.get(str(system))
    if signs is None:
        raise rejected("AXES_INVALID", "a coordinate system that is missing or not supported", "LPS or RAS")
    return np.array(signs)


def _signs(markup: dict[str, Any]) -> Floats:
    # Files of schema 1.0.0 have no unit; Slicer's unit is the millimetre.
    if markup.get("coordinateUnits", "mm") not in _MILLIMETRES:
        raise rejected("UNITS_INVALID", "coordinateUnits that are not millimetres", "mm")
    return axis_signs(markup.get("coordinateSystem"))


def _controls(markup: Any) -> list[dict[str, Any]]:
    controls = markup.get("controlPoints", []) if isinstance(markup, dict) else None
    if not isinstance(controls, list) or not all(isinstance(control, dict) for control in controls):
        raise rejected("SCHEMA_INVALID", "a markup or a control point that is not an object", "JSON objects")
    return controls


def _is_point_list(markup: dict[str, Any], controls: list[dict[str, Any]]) -> bool:
    if markup.get("type", _POINT_LIST) == _POINT_LIST:
        return True
    return bool(controls) and all(canonical_name(str(control.get("label", ""))) for control in controls)


def _name(control: dict[str, Any], points: dict[str, Floats]) -> str:
    name = canonical_name(str(control.get("label", "")))
    if name is None:
        raise rejected("POINT_UNKNOWN", f"control point {len(points) + 1} with an unknown label", "e.g. L3_sup")
    if name in points:
        raise rejected("POINT_DUPLICATE", f"{name} twice", "each point once")
    return name

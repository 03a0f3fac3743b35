"""Reader and writer of Plumbline's JSON file of a reconstruction, which is also the format in the study store.

    {
      "schema": "plumbline.reconstruction/1",
      "subject_id": "vp-000017",
      "axes": "LPS", "units": "mm",          no other value is accepted
      "source_format": "plumbline-json",     the format of the file that the points were first read from
      "points": {"T1_sup": [x, y, z], ...},  names as in spine.landmarks; an absent point has no key
      "hip_radius_mm": {"HIP_L": 23.1},      optional
      "geometry": {"frontal": {"view": "frontal", "shape": [H, W], "spacing_mm": [row, column],
                   "source_to_isocentre_mm": f, "u0_mm": 0.0, "z0_mm": 0.0}},   optional, per view
      "facts": {"age_years": 54}             optional, JSON values
    }

Contract: a file with an unknown key, another axis system or unit, or a number that is not finite is refused with a
code. Reading a written file returns exactly the same numbers.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from spine.landmarks import VIEWS
from spine.reconstruction.decoding import unicode_text
from spine.reconstruction.names import quoted_name
from spine.reconstruction.reconstruction import Reconstruction, rejected
from spine.scanner import ViewGeometry
from spine.storage import write_text_atomically
from spine.types import Floats

SCHEMA = "plumbline.reconstruction/1"
SOURCE_FORMAT = "plumbline-json"
_REQUIRED = {"schema", "subject_id", "axes", "units", "points"}
_OPTIONAL = {"source_format", "hip_radius_mm", "geometry", "facts"}
_GEOMETRY_KEYS = {"view", "shape", "spacing_mm", "source_to_isocentre_mm", "u0_mm", "z0_mm"}


def write_reconstruction(reconstruction: Reconstruction, path: Path) -> None:
    """Write a reconstruction atomically. A point that is not three finite numbers raises ``ValueError``."""
    for name, point in reconstruction.points.items():
        if np.shape(point) != (3,) or not np.all(np.isfinite(point)):
            raise ValueError(f"point {name} must be three finite numbers, not {point}")
    record = {
        "schema": SCHEMA,
        "subject_id": reconstruction.subject_id,
        "axes": "LPS",
        "units": "mm",
        "source_format": reconstruction.source_format,
        "points": {name: [float(c) for c in point] for name, point in reconstruction.points.items()},
        "hip_radius_mm": {name: float(r) for name, r in reconstruction.hip_radius_mm.items()},
        "geometry": {view: asdict(g) for view, g in reconstruction.geometry.items()},
        "facts": dict(reconstruction.facts),
    }
    write_text_atomically(path, json.dumps(record, indent=1, allow_nan=False))


def read_reconstruction(path: Path) -> Reconstruction:
    """Read one file of this format.

    Raises:
        ReconstructionRejected: ``JSON_INVALID``, ``JSON_KEY_TWICE``, ``SCHEMA_INVALID``, ``UNITS_INVALID``,
            ``AXES_INVALID``, ``NOT_FINITE``, ``GEOMETRY_INVALID``.
    """
    return parse_reconstruction(path.read_bytes())


def parse_reconstruction(payload: bytes) -> Reconstruction:
    """Read the bytes of one file of this format, with the errors of ``read_reconstruction``."""
    record = parse_json(payload)
    _check_keys(record)
    for key, only, code in (("units", "mm", "UNITS_INVALID"), ("axes", "LPS", "AXES_INVALID")):
        if record[key] != only:
            raise rejected(code, f"other {key}", repr(only))
    radii = {name: _number("a value of hip_radius_mm", r) for name, r in _mapping(record, "hip_radius_mm").items()}
    return Reconstruction(
        subject_id=str(record["subject_id"]),
        points={name: position(quoted_name(name), value) for name, value in _mapping(record, "points").items()},
        source_format=str(record.get("source_format", SOURCE_FORMAT)),
        geometry={view: parse_geometry(view, g) for view, g in _mapping(record, "geometry").items()},
        hip_radius_mm=radii,
        facts=_mapping(record, "facts"),
    )


def parse_json(payload: bytes) -> Any:
    """Parse JSON in UTF-8, UTF-16 or UTF-32.

    Raises:
        ReconstructionRejected: ``JSON_INVALID``; ``JSON_KEY_TWICE``, because most readers would silently take the last
            value; ``NOT_FINITE`` for NaN and infinity.
    """
    text = unicode_text(payload)
    if text is None:
        raise rejected("JSON_INVALID", "bytes that are not UTF-8 or UTF-16 text", "JSON")
    try:
        record = json.loads(
            text, parse_constant=_reject_constant, parse_int=_integer, object_pairs_hook=_object_without_repeats
        )
        if "\\ud" in text or "\\uD" in text:  # an escaped lone surrogate could be neither stored nor printed
            json.dumps(record, ensure_ascii=False).encode()
    except (UnicodeEncodeError, json.JSONDecodeError, RecursionError) as error:
        found = f"text that is not JSON ({type(error).__name__})"
        raise rejected("JSON_INVALID", found, "JSON") from error
    return record


def _reject_constant(text: str) -> None:
    raise rejected("NOT_FINITE", f"the value {text}", "finite numbers, and no key for an absent point")


def _integer(digits: str) -> int | float:
    """The number; a huge integer becomes a float, which may be infinite and is then refused where a number is read."""
    return int(digits) if len(digits) < 19 else float(digits)


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        # The key is not quoted, because it is free text.
        raise rejected("JSON_KEY_TWICE", f"an object with {len(pairs) - len(record)} repeated key(s)", "each key once")
    return record


def _check_keys(record: Any) -> None:
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = "a schema that is missing or not supported"
        raise rejected("SCHEMA_INVALID", found, f"an object with schema {SCHEMA!r}")
    missing = sorted(_REQUIRED - record.keys())
    unknown = len(record.keys() - _REQUIRED - _OPTIONAL)
    if missing or unknown:
        found = f"missing keys {missing}, {unknown} unknown key(s)"
        raise rejected("SCHEMA_INVALID", found, f"the keys {sorted(_REQUIRED)}, and optionally {sorted(_OPTIONAL)}")


def _mapping(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = record.get(key, {})
    if not isinstance(value, dict):
        raise rejected("SCHEMA_INVALID", f"{key} as {type(value).__name__}", f"{key} as an object")
    return value


def _number(what: str, value: Any) -> float:
    if not _is_finite(value):
        raise rejected("NOT_FINITE", f"{what} that is not a finite number", "a finite number")
    return float(value)


def position(what: str, value: object) -> Floats:
    """(3,) point from a JSON value. Any value other than a list of three finite numbers raises ``NOT_FINITE``.

    ``what`` names the point in the message, so it is no text from the file.
    """
    if not isinstance(value, list) or len(value) != 3 or not all(map(_is_finite, value)):
        raise rejected("NOT_FINITE", f"{what} that is not three finite numbers", "[x, y, z] in mm")
    return np.array(value, dtype=np.float64)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def parse_geometry(view: str, value: Any) -> ViewGeometry:
    """Read the geometry of one view from its JSON value, or raise ``GEOMETRY_INVALID`` or ``NOT_FINITE``."""
    if view not in VIEWS or not isinstance(value, dict) or set(value) != _GEOMETRY_KEYS or value["view"] != view:
        found = "an invalid geometry"
        raise rejected("GEOMETRY_INVALID", found, f"{' or '.join(VIEWS)}, with the keys {sorted(_GEOMETRY_KEYS)}")
    shape, spacing = (value[key] for key in ("shape", "spacing_mm"))
    if any(not isinstance(pair, list) or len(pair) != 2 for pair in (shape, spacing)):
        found = "a shape or spacing that is not a pair"
        raise rejected("GEOMETRY_INVALID", found, "shape as [rows, columns], and spacing as [row, column] in mm")
    rows, columns = (_number("shape", n) for n in shape)
    row_mm, column_mm = (_number("spacing_mm", s) for s in spacing)
    distance = _number("source_to_isocentre_mm", value["source_to_isocentre_mm"])
    if min(rows, columns, row_mm, column_mm, distance) <= 0:
        raise rejected("GEOMETRY_INVALID", "a size, spacing or distance that is not positive", "positive numbers")
    u0, z0 = _number("u0_mm", value["u0_mm"]), _number("z0_mm", value["z0_mm"])
    return ViewGeometry(view, (int(rows), int(columns)), (row_mm, column_mm), distance, u0, z0)

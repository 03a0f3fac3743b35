"""Plumbline's table of a reconstruction, read and written: one point a line, for spreadsheets and statistics.

    # schema=plumbline.reconstruction.csv/1      comment lines key=value come first
    # subject_id=vp-000017
    # axes=LPS
    # units=mm
    # geometry.frontal={"view": "frontal", "shape": [H, W], ...}     optional; JSON as in plumbline_json
    # hip_radius_mm.HIP_L=23.1                                       optional
    level,name,x,y,z
    T1,sup,1.5,-20.0,310.2
    T1,sup_left,16.0,-20.5,310.0
    S1,sup,0.0,40.0,-120.0
    HIP,L,90.0,20.0,-190.0

``<level>_<name>`` is the name of the point in ``spine.landmarks``, or another spelling of ``names`` (``FH_L,fh_center``
is ``HIP_L``). Further columns (an ``sd``, a comment) are allowed and not read. Columns are separated by commas, numbers
have a decimal point, and the encoding is UTF-8.

Contract: a file with a line that cannot be read is refused.
"""

import csv
import io
import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np

from spine.errors import ReconstructionRejected
from spine.reconstruction.names import canonical_name
from spine.reconstruction.plumbline_json import parse_geometry, parse_json
from spine.reconstruction.reconstruction import Reconstruction
from spine.storage import write_text_atomically
from spine.types import Floats

SCHEMA = "plumbline.reconstruction.csv/1"
SOURCE_FORMAT = "plumbline-csv"
_COLUMNS = ["level", "name", "x", "y", "z"]
_REMEDY = "correct the file; the format is documented in spine/reconstruction/plumbline_csv.py"


def write_reconstruction_csv(reconstruction: Reconstruction, path: Path) -> None:
    """Write points, radii and geometry atomically; the table has no place for facts."""
    lines = [f"# schema={SCHEMA}", f"# subject_id={reconstruction.subject_id}", "# axes=LPS", "# units=mm"]
    lines += [f"# geometry.{view}={json.dumps(asdict(g))}" for view, g in reconstruction.geometry.items()]
    lines += [f"# hip_radius_mm.{name}={float(r)!r}" for name, r in reconstruction.hip_radius_mm.items()]
    lines.append(",".join(_COLUMNS))
    for name, point in reconstruction.points.items():
        level, _, part = name.partition("_")
        lines.append(",".join([level, part, *(repr(float(c)) for c in point)]))
    write_text_atomically(path, "\n".join(lines) + "\n")


def looks_like_csv(payload: bytes) -> bool:
    """Whether the first line that is not a comment is the header of this format."""
    for line in payload[:65536].decode("utf-8-sig", "replace").splitlines():
        if line.strip() and not line.startswith("#"):
            return [c.strip().lower() for c in line.split(",")[:5]] == _COLUMNS
    return False


def parse_csv(payload: bytes) -> Reconstruction:
    """Read one table.

    Raises:
        ReconstructionRejected: ``CSV_INVALID``, ``SCHEMA_INVALID``, ``UNITS_INVALID``, ``AXES_INVALID``,
            ``POINT_UNKNOWN``, ``POINT_DUPLICATE``, ``NOT_FINITE``, ``GEOMETRY_INVALID``.
    """
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _rejected("CSV_INVALID", found="bytes that are not UTF-8", expected="UTF-8 text") from error
    lines = [line for line in text.splitlines() if line.strip()]
    header = _header([line for line in lines if line.startswith("#")])
    points = _points([line for line in lines if not line.startswith("#")])
    return Reconstruction(
        subject_id=header.get("subject_id", ""),
        points=points,
        source_format=SOURCE_FORMAT,
        geometry={v: parse_geometry(v, parse_json(g.encode())) for v, g in _prefixed(header, "geometry.").items()},
        hip_radius_mm={n: _number(r, 0) for n, r in _prefixed(header, "hip_radius_mm.").items()},
    )


def _header(comments: list[str]) -> dict[str, str]:
    pairs = (line.lstrip("# ").partition("=") for line in comments)
    header = {key.strip(): value.strip() for key, sign, value in pairs if sign}
    if header.get("schema", SCHEMA) != SCHEMA:
        raise _rejected("SCHEMA_INVALID", found="an unsupported schema", expected=SCHEMA)
    # Units and axes are required, because tables without them may be in metres or in RAS.
    for key, only, code in (("units", "mm", "UNITS_INVALID"), ("axes", "LPS", "AXES_INVALID")):
        if header.get(key) != only:
            raise _rejected(code, found=f"no line '# {key}={only}'", expected=f"'# {key}={only}'")
    return header


def _prefixed(header: dict[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in header.items() if key.startswith(prefix)}


def _points(lines: list[str]) -> dict[str, Floats]:
    rows = csv.reader(io.StringIO("\n".join(lines)))
    columns = next(rows, [])
    if [c.strip().lower() for c in columns[:5]] != _COLUMNS:
        raise _rejected("CSV_INVALID", found="an unknown header line", expected=",".join(_COLUMNS))
    points: dict[str, Floats] = {}
    for number, row in enumerate(rows, 2):
        if len(row) < 5:
            raise _rejected("CSV_INVALID", found=f"row {number} with {len(row)} columns", expected="at least 5")
        name = canonical_name(f"{row[0].strip()}_{row[1].strip()}")
        if name is None:
            found = f"row {number} with an unknown level or name"
            raise _rejected("POINT_UNKNOWN", found=found, expected="names as in spine.landmarks")
        if name in points:
            raise _rejected("POINT_DUPLICATE", found=f"{name} twice (row {number})", expected="each point once")
        points[name] = np.array([_number(cell, number) for cell in row[2:5]])
    return points


def _number(text: str, row: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        found = f"row {row} with a value that is not a finite number"
        raise _rejected("NOT_FINITE", found=found, expected="finite numbers; leave absent points out")
    return value


def _rejected(code: str, *, found: str, expected: str) -> ReconstructionRejected:
    return ReconstructionRejected(code, found=found, expected=expected, remedy=_REMEDY)

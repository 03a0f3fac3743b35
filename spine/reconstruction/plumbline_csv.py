"""Reader of Plumbline's CSV table of a reconstruction, with one point a line, as spreadsheets can write it.

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
is ``HIP_L``). Further columns (an ``sd``, a comment) are allowed but not read. Columns are separated by commas, numbers
have a decimal point, and the encoding is UTF-8.

Contract: a file with a line that cannot be read is refused.
"""

import csv
import io
import math

import numpy as np

from spine.reconstruction.names import canonical_name
from spine.reconstruction.plumbline_json import parse_geometry, parse_json
from spine.reconstruction.reconstruction import Reconstruction, rejected
from spine.types import Floats

SCHEMA = "plumbline.reconstruction.csv/1"
SOURCE_FORMAT = "plumbline-csv"
_COLUMNS = ["level", "name", "x", "y", "z"]


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
        raise rejected("CSV_INVALID", "bytes that are not UTF-8", "UTF-8 text") from error
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
        raise rejected("SCHEMA_INVALID", "an unsupported schema", SCHEMA)
    # Units and axes are required, because tables without them may be in metres or in RAS.
    for key, only, code in (("units", "mm", "UNITS_INVALID"), ("axes", "LPS", "AXES_INVALID")):
        if header.get(key) != only:
            raise rejected(code, found=f"no line '# {key}={only}'", expected=f"'# {key}={only}'")
    return header


def _prefixed(header: dict[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in header.items() if key.startswith(prefix)}


def _points(lines: list[str]) -> dict[str, Floats]:
    rows = csv.reader(io.StringIO("\n".join(lines)))
    columns = next(rows, [])
    if [c.strip().lower() for c in columns[:5]] != _COLUMNS:
        raise rejected("CSV_INVALID", "an unknown header line", ",".join(_COLUMNS))
    points: dict[str, Floats] = {}
    for number, row in enumerate(rows, 2):
        if len(row) < 5:
            raise rejected("CSV_INVALID", f"row {number} with {len(row)} columns", "at least 5 columns")
        name = canonical_name(f"{row[0].strip()}_{row[1].strip()}")
        if name is None:
            found = f"row {number} with an unknown level or name"
            raise rejected("POINT_UNKNOWN", found, "names as in spine.landmarks")
        if name in points:
            raise rejected("POINT_DUPLICATE", f"{name} twice (row {number})", "each point once")
        points[name] = np.array([_number(cell, number) for cell in row[2:5]])
    return points


def _number(text: str, row: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        found = f"row {row} with a value that is not a finite number"
        raise rejected("NOT_FINITE", found, "finite numbers; leave absent points out")
    return value

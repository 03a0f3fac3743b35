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
is ``HIP_L``). Further columns (an ``sd``, a comment) are allowed but not read. The table may come from a spreadsheet:
``tables`` reads its delimiter, decimal commas and comment lines, and ``decoding`` its encoding.

Contract: a file with a line that cannot be read is refused.
"""

import numpy as np

from spine.reconstruction.decoding import table_text
from spine.reconstruction.names import canonical_name
from spine.reconstruction.plumbline_json import parse_geometry, parse_json
from spine.reconstruction.reconstruction import Reconstruction, rejected
from spine.reconstruction.tables import Table, header_of, number, read_table
from spine.types import Floats

SCHEMA = "plumbline.reconstruction.csv/1"
SOURCE_FORMAT = "plumbline-csv"
_COLUMNS = ("level", "name", "x", "y", "z")


def looks_like_csv(payload: bytes) -> bool:
    """Whether the first line that is not a comment is the header of this format."""
    text = table_text(payload)
    return text is not None and header_of(text)[:5] == _COLUMNS


def parse_csv(payload: bytes) -> Reconstruction:
    """Read one table that ``looks_like_csv`` accepts.

    Raises:
        ReconstructionRejected: ``CSV_INVALID``, ``SCHEMA_INVALID``, ``UNITS_INVALID``, ``AXES_INVALID``,
            ``POINT_UNKNOWN``, ``POINT_DUPLICATE``, ``NOT_FINITE``, ``GEOMETRY_INVALID``.
    """
    table = read_table(table_text(payload) or "")
    header = _header(table.comments)
    return Reconstruction(
        subject_id=header.get("subject_id", ""),
        points=_points(table),
        source_format=SOURCE_FORMAT,
        geometry={v: parse_geometry(v, parse_json(g.encode())) for v, g in _prefixed(header, "geometry.").items()},
        hip_radius_mm={n: number(r, 0, "," in r) for n, r in _prefixed(header, "hip_radius_mm.").items()},
    )


def _header(comments: tuple[str, ...]) -> dict[str, str]:
    pairs = (line.partition("=") for line in comments)
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


def _points(table: Table) -> dict[str, Floats]:
    if table.header[:5] != _COLUMNS:
        raise rejected("CSV_INVALID", "an unknown header line", ",".join(_COLUMNS))
    points: dict[str, Floats] = {}
    decimal_commas = table.has_decimal_commas
    for position, row in enumerate(table.rows, 2):
        if len(row) < 5:
            raise rejected("CSV_INVALID", f"row {position} with {len(row)} columns", "at least 5 columns")
        name = canonical_name(f"{row[0]}_{row[1]}")
        if name is None:
            found = f"row {position} with an unknown level or name"
            raise rejected("POINT_UNKNOWN", found, "a level and a name of a point, such as L3 and sup")
        if name in points:
            raise rejected("POINT_DUPLICATE", f"{name} twice (row {position})", "each point once")
        points[name] = np.array([number(cell, position, decimal_commas) for cell in row[2:5]])
    return points

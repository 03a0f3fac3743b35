"""Reader of 3D Slicer's older point lists (``.fcsv``): control points with the names of landmarks.

    # Markups fiducial file version = 4.13
    # CoordinateSystem = LPS                  RAS and LPS, or the codes 0 for RAS and 1 for LPS before Slicer 4.11
    # columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
    0,12.5,-20.1,310.2,0,0,0,1,1,1,0,T1_sup,,

Contract: labels are landmark names or other spellings in ``names``. The unit is the millimetre, which is the only one
of this format. A file without the two comment lines ``CoordinateSystem`` and ``columns`` is refused. The format is
described in Slicer's developer guide, Markups.
"""

import numpy as np

from spine.reconstruction.decoding import table_text
from spine.reconstruction.names import canonical_name
from spine.reconstruction.reconstruction import Reconstruction, rejected
from spine.reconstruction.slicer_markups import axis_signs
from spine.reconstruction.tables import Table, number, read_table
from spine.types import Floats

SOURCE_FORMAT = "slicer-fcsv"
_SYSTEM, _COLUMNS = "coordinatesystem", "columns"
_NEEDED = ("x", "y", "z", "label")


def looks_like_fcsv(payload: bytes) -> bool:
    """Whether a comment line in the first 64 KiB names a coordinate system or calls the file a fiducial list."""
    lines = (table_text(payload[:65536]) or "").lower().splitlines()
    return any(line.startswith("#") and ("coordinatesystem" in line or "fiducial" in line) for line in lines)


def parse_fcsv(payload: bytes) -> Reconstruction:
    """Read one list that ``looks_like_fcsv`` accepts.

    Raises:
        ReconstructionRejected: ``CSV_INVALID``, ``AXES_INVALID``, ``POINT_UNKNOWN``, ``POINT_DUPLICATE``,
        ``NOT_FINITE``.
    """
    text = table_text(payload) or ""
    comments = [line.lstrip("# ").partition("=") for line in text.splitlines() if line.startswith("#")]
    settings = {key.strip().lower(): value.strip() for key, sign, value in comments if sign}
    signs = axis_signs(settings.get(_SYSTEM))
    if _COLUMNS not in settings:
        raise rejected(
            "CSV_INVALID", "a point list without the line '# columns = ...'", "the columns " + ", ".join(_NEEDED)
        )
    points = _points(read_table(settings[_COLUMNS] + "\n" + text))
    return Reconstruction("", {name: point * signs for name, point in points.items()}, SOURCE_FORMAT)


def _points(table: Table) -> dict[str, Floats]:
    if not set(_NEEDED) <= set(table.header):
        raise rejected("CSV_INVALID", "a point list without all columns", "the columns " + ", ".join(_NEEDED))
    x, y, z, label = (table.header.index(name) for name in _NEEDED)
    points: dict[str, Floats] = {}
    for position, row in enumerate(table.rows, 1):
        if len(row) <= max(x, y, z, label):
            raise rejected("CSV_INVALID", f"point {position} with {len(row)} columns", f"{len(table.header)} columns")
        name = canonical_name(row[label])
        if name is None:
            raise rejected("POINT_UNKNOWN", f"point {position} with an unknown label", "e.g. L3_sup")
        if name in points:
            raise rejected("POINT_DUPLICATE", f"{name} twice", "each point once")
        points[name] = np.array([number(row[column], position) for column in (x, y, z)])
    return points

"""Reader of the vertebral centroids of the VerSe data sets (``_ctd.json``): centres of vertebral bodies, in voxels.

    [{"direction": ["P", "I", "R"], "zoom": [0.9, 0.9, 2.0]},
     {"label": 20, "X": 79.1, "Y": 40.9, "Z": 32.3}, ...]

``direction`` names the side of the patient to which the voxel index of each axis grows. Labels 8 to 19 are T1 to T12,
20 to 25 are L1 to L6, and 28 is T13 (github.com/anjany/verse). The files of the data sets have no spacing: it is in the
header of the CT image. TPTBox writes it as ``zoom``, in mm, in the order of X, Y and Z; ``spacing`` is read also.

Contract: the points are ``<level>_body``, in mm along LPS axes, with the origin of the first voxel, so they fit no
radiograph. A file without spacing is refused. Other labels, such as cervical ones, are counted in ``facts``
(``levels_not_read``). There are no end plates, so no angle can be measured.
"""

from typing import Any

import numpy as np

from spine.errors import ReconstructionRejected
from spine.landmarks import VERTEBRAE
from spine.reconstruction.plumbline_json import position
from spine.reconstruction.reconstruction import Reconstruction, rejected
from spine.types import Floats

SOURCE_FORMAT = "verse-centroids"
_LEVELS = dict(enumerate((*VERTEBRAE, "L6"), 8)) | {28: "T13"}
_AXES = {"L": (0, 1.0), "R": (0, -1.0), "P": (1, 1.0), "A": (1, -1.0), "S": (2, 1.0), "I": (2, -1.0)}


def looks_like_verse(record: Any) -> bool:
    """Whether parsed JSON is a list of centroids."""
    return isinstance(record, list) and any(
        isinstance(entry, dict) and ("direction" in entry or {"label", "X", "Y", "Z"} <= entry.keys())
        for entry in record[:3]
    )


def reconstruction_from_verse(record: Any) -> Reconstruction:
    """The reconstruction in a parsed list that ``looks_like_verse`` accepts.

    Raises:
        ReconstructionRejected: ``SCHEMA_INVALID``, ``AXES_INVALID``, ``SPACING_MISSING``, ``NOT_FINITE``,
            ``POINT_DUPLICATE``.
    """
    if not all(isinstance(entry, dict) for entry in record):
        raise rejected("SCHEMA_INVALID", "an entry that is not an object", "JSON objects")
    header: dict[str, Any] = next((entry for entry in record if "direction" in entry), {})
    to_lps = _to_lps(header.get("direction"), header.get("zoom", header.get("spacing")))
    points: dict[str, Floats] = {}
    left_out = 0
    for entry in record:
        if "label" not in entry:
            continue
        level = _LEVELS.get(entry["label"]) if isinstance(entry["label"], int) else None
        if level is None:
            left_out += 1
            continue
        if f"{level}_body" in points:
            raise rejected("POINT_DUPLICATE", f"{level} twice", "each level once")
        voxel = position(f"the centroid of {level}", [entry.get(axis) for axis in "XYZ"])
        points[f"{level}_body"] = to_lps @ voxel
    return Reconstruction("", points, SOURCE_FORMAT, facts={"levels_not_read": left_out} if left_out else {})


def _to_lps(direction: Any, spacing: Any) -> Floats:
    """(3, 3) matrix from voxel indices (X, Y, Z) to mm along LPS axes."""
    letters = direction if isinstance(direction, list) and all(isinstance(d, str) for d in direction) else []
    axes = [_AXES[letter] for letter in letters if letter in _AXES]
    if len(axes) != 3 or len({axis for axis, _ in axes}) != 3:
        raise rejected("AXES_INVALID", "centroids without three different directions", 'for example ["P", "I", "R"]')
    if spacing is None:
        raise ReconstructionRejected(
            "SPACING_MISSING",
            "VerSe centroids in voxels, without the spacing of their image",
            '"zoom": [x, y, z] in mm in the entry with "direction"',
            "copy the voxel spacing from the header of the CT image, in the order of X, Y and Z",
        )
    steps = position("the spacing", spacing)
    if not np.all(steps > 0):
        raise rejected("SPACING_MISSING", "a spacing that is not positive", "three positive numbers in mm")
    matrix = np.zeros((3, 3))
    for column, ((axis, sign), step) in enumerate(zip(axes, steps, strict=True)):
        matrix[axis, column] = sign * step
    return matrix

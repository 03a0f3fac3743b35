"""Reader of the vertebral keypoints of CT scans (the lists of data/ct_keypoints): bodies and pedicles.

A file is a JSON list of ``{"coordinates": {"world_space": [x, y, z]}, "type": {"keypoint_type": "body" | "left" |
"right", "spine_level": "T1"}}``. Coordinates are LPS, in mm, with the origin of the CT. Pedicle entries have no level.
There are as many left and as many right entries as bodies, in the order of the bodies. The reader checks that each
pedicle lies within 50 mm of its body. If a pedicle does not, all pedicles are left out and ``facts`` records this.

Contract: the points are ``<level>_body``, ``<level>_ped_left`` and ``<level>_ped_right`` for T1..L5, T13 and L6. Other
levels, such as cervical ones, are counted in ``facts`` (``levels_not_read``). The lists contain no end plates.
"""

from typing import Any

import numpy as np

from spine.landmarks import VERTEBRAE
from spine.reconstruction.names import EXTRA_LEVELS
from spine.reconstruction.plumbline_json import position
from spine.reconstruction.reconstruction import Reconstruction, rejected
from spine.types import Floats

SOURCE_FORMAT = "ct-keypoints"
MAX_PEDICLE_MM = 50.0
_LEVELS = frozenset((*VERTEBRAE, *EXTRA_LEVELS.values()))


def looks_like_ct_keypoints(record: Any) -> bool:
    """Whether parsed JSON is a keypoint list."""
    return (
        isinstance(record, list)
        and len(record) > 0
        and all(isinstance(entry, dict) and {"coordinates", "type"} <= entry.keys() for entry in record)
    )


def reconstruction_from_ct_keypoints(record: Any, subject_id: str) -> Reconstruction:
    """The reconstruction with the bodies and pedicles of a parsed list that ``looks_like_ct_keypoints`` accepts.

    Raises:
        ReconstructionRejected: ``SCHEMA_INVALID``, ``NOT_FINITE``, ``POINT_DUPLICATE``.
    """
    bodies = [(str(e["type"].get("spine_level", "")), _position(e)) for e in record if _kind(e) == "body"]
    sides = {side: [_position(e) for e in record if _kind(e) == side] for side in ("left", "right")}
    points: dict[str, Floats] = {}
    for level, point in bodies:
        if level in _LEVELS and f"{level}_body" in points:
            raise rejected("POINT_DUPLICATE", f"{level} twice", "each level once")
        if level in _LEVELS:
            points[f"{level}_body"] = point
    in_order = _in_order([point for _, point in bodies], sides)
    if in_order:
        for side, pedicles in sides.items():
            pairs = zip(bodies, pedicles, strict=True)
            points |= {f"{level}_ped_{side}": p for (level, _), p in pairs if level in _LEVELS}
    others = {level for level, _ in bodies if level} - _LEVELS
    has = {f"has_{extra.lower()}": f"{extra}_body" in points for extra in EXTRA_LEVELS.values()}
    facts = {"pedicles_read": in_order, "levels_not_read": len(others)} | has
    return Reconstruction(subject_id=subject_id, points=points, source_format=SOURCE_FORMAT, facts=facts)


def _in_order(bodies: list[Floats], sides: dict[str, list[Floats]]) -> bool:
    """Whether the pedicle lists are in the order of the bodies."""
    for pedicles in sides.values():
        if len(pedicles) != len(bodies):
            return False
        if any(np.linalg.norm(b - p) > MAX_PEDICLE_MM for b, p in zip(bodies, pedicles, strict=True)):
            return False
    return True


def _kind(entry: dict[str, Any]) -> str:
    kind = entry["type"].get("keypoint_type") if isinstance(entry["type"], dict) else None
    if kind not in ("body", "left", "right"):
        raise rejected("SCHEMA_INVALID", "an entry whose keypoint_type is missing or unknown", "body, left or right")
    return str(kind)


def _position(entry: dict[str, Any]) -> Floats:
    value = entry["coordinates"].get("world_space") if isinstance(entry["coordinates"], dict) else None
    return position(f"an entry of type {_kind(entry)}", value)

"""Plate margins that one view shows, brought into space at the depth of the plate's centre.

What belongs here: that step. What does not: angles (``tilts``), points that both views show (``scanner.triangulate``).
Contract: LPS mm. Left and right margins come from the frontal view, front and back from the lateral one; each lies as
deep as its plate's centre, which is off by a few mm in a turned vertebra. The plate's tilt in the plane of the view
needs no more: heights come from the picture itself, and depth only scales across, by a thousandth for a millimetre.
"""

from collections.abc import Mapping

import numpy as np

from spine.landmarks import MARGINS175, ViewName
from spine.scanner import Floats, ViewGeometry
from spine.study import Points2D

_AXES: Mapping[ViewName, tuple[int, int]] = {"frontal": (0, 1), "lateral": (1, 0)}
"""Which coordinate lies across the picture, and which is the depth."""


def margins_in_space(
    centres: Mapping[str, Floats], points: Mapping[ViewName, Points2D], geometry: Mapping[ViewName, ViewGeometry]
) -> dict[str, Floats]:
    """(3,) LPS mm of every margin that its view shows.

    Args:
        centres: plate -> (3,) LPS mm; a plate without one has no margins.
        points: view -> landmark -> (2,) (column, row).
        geometry: of the views.
    """
    found: dict[str, Floats] = {}
    for name, view in MARGINS175.only.items():
        plate = name.rsplit("_", 1)[0]
        if plate not in centres or name not in points[view]:
            continue
        across, deep = _AXES[view]
        point = np.array(centres[plate], dtype=np.float64)
        u, point[2] = geometry[view].plane_from_pixels(points[view][name])
        source = geometry[view].source_to_isocentre_mm
        point[across] = u * (source + point[deep]) / source
        found[name] = point
    return found

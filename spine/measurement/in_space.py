"""The 3D points of landmarks that two calibrated views show.

Contract: 3D points are in LPS mm. A landmark in both views is triangulated; a plate margin, which one view shows, gets
the depth of its plate centre (``margins``).
"""

from collections.abc import Mapping

import numpy as np

from spine.landmarks import VIEWS, ViewName
from spine.measurement.margins import margins_in_space
from spine.scanner import ViewGeometry, triangulate
from spine.study import Points2D
from spine.types import Floats

MAX_Z_DISAGREEMENT_MM = 20.0
"""Both views show a landmark at the same height. If the heights differ by more than this, the landmark was found at a
neighbouring level, about 25 mm away, in one view. The 3D point would be wrong by half of this distance, so the point is
absent."""


def points_in_space(
    points: Mapping[ViewName, Points2D], geometries: Mapping[ViewName, ViewGeometry | None]
) -> dict[str, Floats] | None:
    """Landmark -> (3,) LPS mm, for landmarks at the same height in both views; None without two calibrated views.

    ``points`` are view -> landmark -> (2,) (column, row) in pixels; ``geometries`` are the positions of these views.
    """
    known = {view: geometry for view in VIEWS if points.get(view) and (geometry := geometries.get(view)) is not None}
    if len(known) != len(VIEWS):
        return None
    names = [name for name in points["frontal"] if name in points["lateral"]]
    if not names:
        return {}
    frontal_px, lateral_px = (np.stack([points[view][name] for name in names]) for view in VIEWS)
    found = triangulate(frontal_px, lateral_px, known["frontal"], known["lateral"])
    agrees = np.abs(found.dz_mm) <= MAX_Z_DISAGREEMENT_MM
    in_both = {name: found.xyz_mm[i] for i, name in enumerate(names) if agrees[i]}
    return {**margins_in_space(in_both, points, known), **in_both}

"""Converts plate margins in one view to 3D points, at the depth of the plate centre.

Contract: 3D points are in LPS mm. Left and right margins come from the frontal view, front and back margins from the
lateral view. Each margin gets the depth of its plate centre. In a rotated vertebra, this depth is wrong by a few mm.
The tilt of the plate in the plane of the view is still accurate: the height comes from the image, and an error of 1 mm
in depth changes the horizontal coordinate by only 0.1 %.
"""

from collections.abc import Mapping

import numpy as np

from spine.landmarks import MARGINS175, ViewName
from spine.scanner import ViewGeometry
from spine.study import Points2D
from spine.types import Floats

_AXES: Mapping[ViewName, tuple[int, int]] = {"frontal": (0, 1), "lateral": (1, 0)}
"""View -> (coordinate across the image, coordinate of the depth)."""

_PLATE_OF: Mapping[ViewName, Mapping[str, str]] = {
    view: {name: name.rsplit("_", 1)[0] for name, only in MARGINS175.only_in.items() if only == view} for view in _AXES
}
"""View -> margin -> name of its plate."""


def margins_in_space(
    centres: Mapping[str, Floats], points: Mapping[ViewName, Points2D], geometry: Mapping[ViewName, ViewGeometry]
) -> dict[str, Floats]:
    """Margin -> (3,) LPS mm, for every margin that is visible in its view and whose plate has a centre.

    ``centres`` are (3,) LPS mm, ``points`` are (2,) (column, row) in pixels.
    """
    found: dict[str, Floats] = {}
    for view, (across, deep) in _AXES.items():
        names = [n for n, plate in _PLATE_OF[view].items() if plate in centres and n in points[view]]
        if not names:
            continue
        in_space = np.stack([centres[_PLATE_OF[view][name]] for name in names]).astype(np.float64)
        seen = geometry[view].plane_from_pixels(np.stack([points[view][name] for name in names]))
        source = geometry[view].source_to_isocentre_mm
        in_space[:, across] = seen[:, 0] * (source + in_space[:, deep]) / source
        in_space[:, 2] = seen[:, 1]
        found |= dict(zip(names, in_space, strict=True))
    return found

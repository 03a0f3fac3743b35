"""Plate margins that one view shows, brought into space at the depth of the plate's centre.

Contract: LPS mm. Left and right margins come from the frontal view, front and back from the lateral one; each lies as
deep as its plate's centre, which is off by a few mm in a turned vertebra. The plate's tilt in the plane of the view
needs no more: heights come from the image itself, and depth only scales across, by a thousandth for a millimetre.
"""

from collections.abc import Mapping

import numpy as np

from spine.landmarks import MARGINS175, ViewName
from spine.scanner import ViewGeometry
from spine.study import Points2D
from spine.types import Floats

_AXES: Mapping[ViewName, tuple[int, int]] = {"frontal": (0, 1), "lateral": (1, 0)}
"""Which coordinate lies across the image, and which is the depth."""

_PLATE_OF: Mapping[ViewName, Mapping[str, str]] = {
    view: {name: name.rsplit("_", 1)[0] for name, only in MARGINS175.only_in.items() if only == view} for view in _AXES
}
"""View -> margin -> its plate."""


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

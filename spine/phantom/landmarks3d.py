"""Where a virtual patient's landmarks lie, read off the geometry that is drawn.

What belongs here: names to points. What does not: shapes. Contract: all 39 of ``GALBUSERA39``, the margins of all
plates (``_ant``, ``_post``, ``_left``, ``_right``), the S1 margins on all four sides, body and pedicle centres;
(3,) LPS mm, float64.
"""

import numpy as np

from spine.landmarks import S1_PLATE, VERTEBRAE
from spine.phantom.morphometry import FIRST
from spine.phantom.spine_pose import PosedSpine
from spine.phantom.vertebrae import pedicle_centres
from spine.scanner import Floats

_SIDES = (("ant", 1, -1.0), ("post", 1, 1.0), ("left", 0, 1.0), ("right", 0, -1.0))


def landmarks_of(spine: PosedSpine) -> dict[str, Floats]:
    """Every named point of one posed spine."""
    points: dict[str, Floats] = {}
    pedicles, bodies = pedicle_centres(spine), spine.body_centre
    for i, level in enumerate(VERTEBRAE):
        v = FIRST + i
        for plate, name in enumerate((f"{level}_sup", f"{level}_inf")):
            half = np.array([spine.sizes.plate_width[v, plate], spine.sizes.plate_depth[v, plate]]) / 2
            points[name] = spine.centre[v, plate].copy()
            points |= _margins(name, spine.centre[v, plate], spine.axes[v, plate], half)
        points[f"{level}_body"] = bodies[v].copy()
        points[f"{level}_ped_left"], points[f"{level}_ped_right"] = pedicles[0, v].copy(), pedicles[1, v].copy()
    points[S1_PLATE] = spine.s1_centre.copy()
    half = np.array([spine.sizes.s1_width, spine.sizes.s1_depth]) / 2
    points |= _margins("S1", spine.s1_centre, spine.s1_axes, half)
    points["HIP_L"], points["HIP_R"] = spine.hips[0].copy(), spine.hips[1].copy()
    return points


def _margins(name: str, centre: Floats, axes: Floats, half: Floats) -> dict[str, Floats]:
    return {f"{name}_{side}": centre + sign * half[axis] * axes[:, axis] for side, axis, sign in _SIDES}

"""The 3D landmarks of a posed spine, computed from the geometry that is rendered.

Contract: each point is (3,) float64, LPS, mm. Every level from T1 to the last lumbar vertebra has the centres of both
end plates, of the body and of both pedicles. Each plate has four margins (``_ant``, ``_post``, ``_left``, ``_right``).
The S1 plate has its centre and four margins, and each hip has its centre. A standard column has all 39 points of
``GALBUSERA39``. An additional vertebra is named ``T13`` or ``L6``; a missing L5 has no points.
"""

import numpy as np

from simulation.anatomy import T1_INDEX
from simulation.pose.spine_pose import PosedSpine, pedicle_centres
from spine.landmarks import S1_PLATE
from spine.types import Float, Floats

_SIDES = (("ant", 1, -1.0), ("post", 1, 1.0), ("left", 0, 1.0), ("right", 0, -1.0))


def landmarks_of(spine: PosedSpine) -> dict[str, Float[Floats, " 3"]]:
    """Name -> landmark of one posed spine, mm."""
    points: dict[str, Floats] = {}
    half = np.stack([spine.sizes.plate_width, spine.sizes.plate_depth], axis=-1) / 2  # (V, 2, 2)
    plates = _with_margins(spine.centre, spine.axes, half)
    pedicles, bodies = pedicle_centres(spine), spine.body_centre.copy()
    for v, level in enumerate(spine.levels[T1_INDEX:], T1_INDEX):
        for plate, name in enumerate((f"{level}_sup", f"{level}_inf")):
            points[name] = plates[v, plate, 0]
            points |= {f"{name}_{side}": plates[v, plate, 1 + i] for i, (side, _, _) in enumerate(_SIDES)}
        points[f"{level}_body"] = bodies[v]
        points[f"{level}_ped_left"], points[f"{level}_ped_right"] = pedicles[0, v], pedicles[1, v]
    s1 = _with_margins(spine.s1_centre, spine.s1_axes, np.array([spine.sizes.s1_width, spine.sizes.s1_depth]) / 2)
    points[S1_PLATE] = s1[0]
    points |= {f"S1_{side}": s1[1 + i] for i, (side, _, _) in enumerate(_SIDES)}
    points["HIP_L"], points["HIP_R"] = spine.hips[0].copy(), spine.hips[1].copy()
    return points


def _with_margins(centre: Floats, axes: Floats, half: Floats) -> Floats:
    """(..., 5, 3) the centre and the four margins of end plates that have (..., 2) half-width and half-depth."""
    margins = [centre + sign * half[..., axis, None] * axes[..., axis] for _, axis, sign in _SIDES]
    return np.stack([centre, *margins], axis=-2)

"""Position, width and depth of the rib cage at each thoracic level.

Contract: arrays over T1..T12, mm, patient frame. The rib cage follows only a share of the lateral deviation and of the
rotation of the spine.
"""

import numpy as np

from simulation.anatomy import T1_INDEX
from simulation.pose.habitus import Habitus
from simulation.pose.spine_pose import PosedSpine
from spine.types import Float, Floats

CHEST_HALF_WIDTH = np.array([52, 74, 92, 104, 113, 120, 125, 128, 129, 126, 118, 104.0])
CHEST_HALF_DEPTH = np.array([44, 58, 70, 79, 86, 91, 95, 97, 97, 94, 90, 84.0])
"""Half-width and half-depth of the rib cage of an adult man at T1..T12, mm."""

FRONT_FOLLOWS = 0.45
"""Rotation of the front of the rib cage, as a share of the vertebra's rotation."""
CAGE_FOLLOWS = 0.5
"""Lateral deviation of the rib cage, as a share of the vertebra's deviation."""

THORACIC = slice(T1_INDEX, T1_INDEX + 12)


def chest_half_width(habitus: Habitus) -> Float[Floats, " 12"]:
    """Half-width of the rib cage at T1..T12, mm."""
    return np.asarray(CHEST_HALF_WIDTH * habitus.size * habitus.width)


def chest_half_depth(habitus: Habitus) -> Float[Floats, " 12"]:
    """Half-depth of the rib cage at T1..T12, mm."""
    return np.asarray(CHEST_HALF_DEPTH * habitus.size * habitus.depth)


def axial_rotations(spine: PosedSpine) -> Float[Floats, " 12"]:
    """Axial rotation of T1..T12 about the vertical, radians."""
    axes = spine.body_axes[THORACIC]
    return np.asarray(np.arctan2(-axes[:, 0, 1], axes[:, 1, 1]))


def chest_centre(spine: PosedSpine, habitus: Habitus) -> Float[Floats, "12 3"]:
    """Centre of the rib cage at T1..T12, mm."""
    bodies = spine.body_centre[THORACIC]
    back = spine.sizes.plate_depth[THORACIC].mean(axis=1) / 2
    forward = chest_half_depth(habitus) - back - 12.0 * habitus.size
    turn = FRONT_FOLLOWS * axial_rotations(spine)
    centre: Floats = bodies + np.stack([np.sin(turn) * forward, -np.cos(turn) * forward, np.zeros(12)], axis=-1)
    centre[:, 0] += sideways(spine)
    return centre


def sideways(spine: PosedSpine) -> Float[Floats, " 12"]:
    """Lateral shift of the rib cage relative to T1..T12, mm, towards the straight line from T1 to S1."""
    bodies = spine.body_centre[THORACIC]
    first, last = bodies[0], spine.s1_centre
    line = first[0] + (last[0] - first[0]) * (bodies[:, 2] - first[2]) / (last[2] - first[2])
    return np.asarray(-(1 - CAGE_FOLLOWS) * (bodies[:, 0] - line))


def sternum_ends(spine: PosedSpine, habitus: Habitus) -> tuple[Float[Floats, " 3"], Float[Floats, " 3"]]:
    """Upper end and lower end of the sternum, mm."""
    chest, front = chest_centre(spine, habitus), chest_half_depth(habitus)
    return (
        chest[2] + np.array([0.0, -0.80 * front[2], -6.0]),
        chest[8] + np.array([0.0, -0.98 * front[8], -18.0]),
    )

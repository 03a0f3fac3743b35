"""The rib cage in place: ribs and sternum.

What belongs here: the cage. What does not: shoulders and skull (``shoulders``), lungs and skin (``soft_tissue``).
Contract: every rib starts at its own vertebra and turns with it, so a rotated spine carries a rib hump on the
convex side; the front of the cage follows the spine only in part.
"""

import numpy as np

from spine.phantom.habitus import Habitus
from spine.phantom.morphometry import FIRST
from spine.phantom.spine_pose import PosedSpine
from spine.phantom.surfaces import Bones, Shell, bar, tube
from spine.scanner import Floats

CHEST_HALF_WIDTH = np.array([52, 74, 92, 104, 113, 120, 125, 128, 129, 126, 118, 104.0])
CHEST_HALF_DEPTH = np.array([44, 58, 70, 79, 86, 91, 95, 97, 97, 94, 90, 84.0])
"""Rib cage at T1..T12 of an adult man, mm: from the mid-line to the outside, half of front to back."""
_SLOPE_DEG = np.array([18, 24, 28, 31, 33, 35, 36, 38, 40, 42, 40, 36.0])
_REACH_DEG = np.array([150, 152, 150, 148, 146, 144, 142, 138, 132, 124, 92, 62.0])
_FRONT_FOLLOWS = 0.45
"""Share of a vertebra's rotation that the front of the cage follows."""
_CAGE_FOLLOWS = 0.5
"""Share of a vertebra's lateral deviation that the cage follows."""


def build_thorax(spine: PosedSpine, habitus: Habitus) -> Bones:
    """Ribs and sternum."""
    return _ribs(spine, habitus) + _sternum(spine, habitus)


def chest_half_depth(habitus: Habitus) -> Floats:
    """(12,) half-depth of this patient's rib cage at T1..T12, mm."""
    depth: Floats = CHEST_HALF_DEPTH * habitus.size * habitus.depth
    return depth


def chest_centre(spine: PosedSpine, habitus: Habitus) -> Floats:
    """(12, 3) middle of the rib cage at T1..T12, mm."""
    bodies = spine.body_centre[FIRST : FIRST + 12]
    back = spine.sizes.plate_depth[FIRST : FIRST + 12].mean(axis=1) / 2
    heading = np.arctan2(-spine.body_axes[FIRST : FIRST + 12, 0, 1], spine.body_axes[FIRST : FIRST + 12, 1, 1])
    forward = chest_half_depth(habitus) - back - 12.0 * habitus.size
    turn = _FRONT_FOLLOWS * heading
    centre: Floats = bodies + np.stack([np.sin(turn) * forward, -np.cos(turn) * forward, np.zeros(12)], axis=-1)
    centre[:, 0] += _sideways(spine)
    return centre


def _sideways(spine: PosedSpine) -> Floats:
    """(12,) how far the cage stays behind the spine's lateral deviation from the line between T1 and S1, mm."""
    bodies = spine.body_centre[FIRST : FIRST + 12]
    first, last = bodies[0], spine.s1_centre
    line = first[0] + (last[0] - first[0]) * (bodies[:, 2] - first[2]) / (last[2] - first[2])
    lag: Floats = -(1 - _CAGE_FOLLOWS) * (bodies[:, 0] - line)
    return lag


def _ribs(spine: PosedSpine, habitus: Habitus) -> Bones:
    """Both sides of T1..T12, one tube each along a sloping part of an ellipse."""
    levels, size = slice(FIRST, FIRST + 12), habitus.size
    bodies, axes = spine.body_centre[levels], spine.body_axes[levels]
    head_y = spine.sizes.plate_depth[levels].mean(axis=1) / 2
    width, depth = CHEST_HALF_WIDTH * size, chest_half_depth(habitus)
    heading = np.arctan2(-axes[:, 0, 1], axes[:, 1, 1])
    shells = []
    t = np.linspace(0.0, 1.0, 34)
    for side in (1.0, -1.0):
        angle = np.deg2rad(8.0 + (_REACH_DEG[:, None] - 8.0) * t)  # 0 at the back, 180 in front
        x = side * width[:, None] * np.sin(angle) ** 0.9
        y = (
            -depth[:, None] * (1 - np.cos(angle))
            + head_y[:, None]
            + 17.0 * size * np.sin(np.pi * np.minimum(t * 3.2, 1))
            - 4
        )
        drop = np.tan(np.deg2rad(_SLOPE_DEG))[:, None] * (0.62 * depth[:, None] * (1 - np.cos(angle)) + 5 * t)
        # The back of the rib turns with its vertebra, the front only in part.
        turn = heading[:, None] * (1 - (1 - _FRONT_FOLLOWS) * np.clip(angle / np.pi * 1.3, 0, 1))
        path = bodies[:, None] + np.stack(
            [x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn), 4.0 * size - drop], axis=-1
        )
        path[..., 0] += _sideways(spine)[:, None] * np.clip(angle / (np.pi / 2), 0, 1)
        radii = np.stack(np.broadcast_arrays(2.9 * size * np.ones_like(t), (5.4 - 1.0 * t) * size), axis=-1)
        up = np.broadcast_to(np.array([0.0, 0.0, 1.0]), path.shape)
        grid = tube(path, np.broadcast_to(radii, (12, 34, 2)), up, 10)
        shells.append(Shell("rib", grid, np.full(12, 1.25), 1.9))
    return Bones(tuple(shells), ())


def sternum_ends(spine: PosedSpine, habitus: Habitus) -> tuple[Floats, Floats]:
    """(3,) upper notch and lower tip of the breastbone."""
    chest, front = chest_centre(spine, habitus), chest_half_depth(habitus)
    return (
        chest[2] + np.array([0.0, -0.80 * front[2], -6.0]),
        chest[8] + np.array([0.0, -0.98 * front[8], -18.0]),
    )


def _sternum(spine: PosedSpine, habitus: Habitus) -> Bones:
    notch, tip = sternum_ends(spine, habitus)
    flat, ahead = np.array([[14.0, 4.0]]) * habitus.size, np.array([[0.0, -1.0, 0.2]])
    bone, _ = bar(notch[None], tip[None], ahead, flat * 1.3, flat * 0.8, 10, 0.08)
    return Bones((Shell("sternum", bone, np.array([0.6]), 2.0),), ())

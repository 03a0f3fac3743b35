"""What dresses the upper picture: clavicles, shoulder blades, arms in this examination's posture, skull.

What belongs here: bone without landmarks above and beside the rib cage. What does not: ribs (``thorax``), flesh
(``soft_tissue``). Contract: as every bone, grids in place, mm.
"""

import numpy as np

from spine.phantom.habitus import LEFT_RIGHT, Habitus, arm_joints
from spine.phantom.morphometry import FIRST
from spine.phantom.spine_pose import PosedSpine
from spine.phantom.surfaces import Bones, Shell, ball, bar, tube
from spine.phantom.thorax import sternum_ends
from spine.scanner import Floats

_AHEAD = np.array([[0.0, -1.0, 0.3]])
_UP = np.array([0.0, 0.0, 1.0])


def build_shoulders(spine: PosedSpine, habitus: Habitus) -> Bones:
    """Clavicles, shoulder blades, arms and skull."""
    bones = _skull(spine, habitus.size)
    for side in LEFT_RIGHT:
        bones = bones + _clavicle(spine, habitus, side) + _blade(spine, habitus, side) + _arm(spine, habitus, side)
    return bones


def _clavicle(spine: PosedSpine, habitus: Habitus, side: float) -> Bones:
    notch, _ = sternum_ends(spine, habitus)
    shoulder, _, _ = arm_joints(spine, habitus, side)
    size = habitus.size
    bend = np.stack(
        [
            notch + np.array([side * 16, 4, 6]) * size,
            notch + np.array([side * 58, -2, 20]) * size,
            0.5 * (notch + shoulder) + np.array([side * 22, 4, 34]) * size,
            shoulder + np.array([-side * 10, 6, 24]) * size,
        ]
    )
    path = np.stack([np.interp(np.linspace(0, 3, 16), range(4), bend[:, i]) for i in range(3)], axis=-1)
    grid = tube(path[None], np.full((1, 16, 2), 5.5 * size), np.broadcast_to(_UP, (1, 16, 3)), 14)
    return Bones((Shell("clavicle", grid, np.array([1.1]), 1.5),), ())


def _blade(spine: PosedSpine, habitus: Habitus, side: float) -> Bones:
    """A thin flat body with its spine and glenoid; raised arms turn it outwards."""
    t4, size = spine.body_centre[FIRST + 3], habitus.size
    shoulder, _, _ = arm_joints(spine, habitus, side)

    def at(x: float, y: float, z: float) -> Floats:
        return np.asarray(t4 + np.array([side * x, y, z]) * size)[None]

    plane = np.array([[side * 1.0, -0.45, 0.0]])
    body, _ = bar(
        at(98, 34, 34), at(86, 44, -92), plane, np.array([[3.0, 36.0]]) * size, np.array([[2.5, 11.0]]) * size, 8, 0.1
    )
    ridge, _ = bar(
        at(66, 50, 6), shoulder[None] + np.array([[0, 8, 22]]) * size, _UP[None], *_round(4.5 * size, 6 * size)
    )
    return Bones(
        (Shell("shoulder blade", body, np.array([0.6]), 1.9), Shell("blade spine", ridge, np.array([0.8]))), ()
    )


def _round(first: float, second: float) -> tuple[Floats, Floats]:
    return np.full((1, 2), first), np.full((1, 2), second)


def _arm(spine: PosedSpine, habitus: Habitus, side: float) -> Bones:
    shoulder, elbow, hand = arm_joints(spine, habitus, side)
    size = habitus.size
    head, _ = ball(shoulder[None], np.eye(3)[None] * 22.0 * size)
    humerus, _ = bar(shoulder[None], elbow[None], _AHEAD, *_round(13.0 * size, 11.0 * size), 14, 0.06)
    shells = [Shell("humeral head", head, np.array([0.8])), Shell("humerus", humerus, np.array([2.2]), 1.6)]
    for shift in (0.0, 16.0):
        start, end = elbow + np.array([0, -shift, 0]) * size, hand + np.array([side * shift, 6, 0]) * size
        grid, _ = bar(start[None], end[None], _AHEAD + 0.3 * _UP, *_round(7.5 * size, 6.0 * size), 12, 0.06)
        shells.append(Shell("forearm", grid, np.array([1.5]), 1.6))
    return Bones(tuple(shells), ())


def _skull(spine: PosedSpine, size: float) -> Bones:
    """Brain case and jaw above C3, for small patients whose picture reaches that far."""
    c3 = spine.centre[0, 0]
    centre = c3 + np.array([0.0, -16.0, 112.0]) * (0.4 + 0.6 * size)
    half = np.diag([74.0, 92.0, 84.0]) * (0.5 + 0.5 * size)
    case, _ = ball(centre[None], half[None], 16, 32)
    angle = np.deg2rad(np.linspace(-75, 75, 16))
    jaw_x, jaw_y = 48 * np.sin(angle), -62 * np.cos(angle) + 8
    path = c3 + np.stack([jaw_x, jaw_y - 18, 22 + 0.25 * (jaw_y + 54)], axis=-1) * size
    up = np.broadcast_to(np.array([0.0, 0.0, 1.0]), (1, 16, 3))
    jaw = tube(path[None], np.tile(np.array([5.0, 14.0]) * size, (1, 16, 1)), up, 14)
    return Bones((Shell("skull", case, np.array([3.8]), 2.0), Shell("jaw", jaw, np.array([2.0]), 2.4)), ())

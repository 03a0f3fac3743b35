"""The rib cage and what dresses the upper picture: ribs, sternum, clavicles, shoulder blades, arms, skull.

What belongs here: bone without landmarks around the spine. What does not: lungs and skin (``soft_tissue``).
Contract: every rib starts at its own vertebra and turns with it, so a rotated spine carries a rib hump on the
convex side; the front of the cage follows the spine only in part.
"""

import numpy as np

from spine.phantom.morphometry import FIRST
from spine.phantom.spine_pose import PosedSpine
from spine.phantom.surfaces import Bones, Shell, ball, bar, tube
from spine.scanner import Floats

CHEST_HALF_WIDTH = np.array([52, 74, 92, 104, 113, 120, 125, 128, 129, 126, 118, 104.0])
CHEST_HALF_DEPTH = np.array([44, 58, 70, 79, 86, 91, 95, 97, 97, 94, 90, 84.0])
"""Rib cage at T1..T12 of an adult man, mm: from the mid-line to the outside, half of front to back."""
_SLOPE_DEG = np.array([18, 24, 28, 31, 33, 35, 36, 38, 40, 42, 40, 36.0])
_REACH_DEG = np.array([150, 152, 150, 148, 146, 144, 142, 138, 132, 124, 92, 62.0])
_FRONT_FOLLOWS = 0.45
"""Share of a vertebra's rotation that the front of the cage follows."""


def build_thorax(spine: PosedSpine, size: float, depth_factor: float) -> Bones:
    """Ribs and shoulder girdle; ``depth_factor`` stretches the cage from front to back."""
    return _ribs(spine, size, depth_factor) + _girdle(spine, size, depth_factor) + _skull(spine, size)


def chest_centre(spine: PosedSpine, size: float, depth_factor: float) -> Floats:
    """(12, 3) middle of the rib cage at T1..T12, mm."""
    bodies = spine.body_centre[FIRST : FIRST + 12]
    back = spine.sizes.plate_depth[FIRST : FIRST + 12].mean(axis=1) / 2
    heading = np.arctan2(-spine.body_axes[FIRST : FIRST + 12, 0, 1], spine.body_axes[FIRST : FIRST + 12, 1, 1])
    forward = CHEST_HALF_DEPTH * size * depth_factor - back - 12.0 * size
    turn = _FRONT_FOLLOWS * heading
    centre: Floats = bodies + np.stack([np.sin(turn) * forward, -np.cos(turn) * forward, np.zeros(12)], axis=-1)
    return centre


def _ribs(spine: PosedSpine, size: float, depth_factor: float) -> Bones:
    """Both sides of T1..T12, one tube each along a sloping part of an ellipse."""
    levels = slice(FIRST, FIRST + 12)
    bodies, axes = spine.body_centre[levels], spine.body_axes[levels]
    head_y = spine.sizes.plate_depth[levels].mean(axis=1) / 2
    width, depth = CHEST_HALF_WIDTH * size, CHEST_HALF_DEPTH * size * depth_factor
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
        radii = np.stack(np.broadcast_arrays(2.9 * size * np.ones_like(t), (5.4 - 1.0 * t) * size), axis=-1)
        up = np.broadcast_to(np.array([0.0, 0.0, 1.0]), path.shape)
        grid = tube(path, np.broadcast_to(radii, (12, 34, 2)), up, 10)
        shells.append(Shell("rib", grid, np.full(12, 0.8), 2.2))
    return Bones(tuple(shells), ())


def _girdle(spine: PosedSpine, size: float, depth_factor: float) -> Bones:
    """Sternum, clavicles, shoulder blades and arm bones, hands resting on the clavicles."""
    t1, t4 = spine.body_centre[FIRST], spine.body_centre[FIRST + 3]
    chest = chest_centre(spine, size, depth_factor)
    front = CHEST_HALF_DEPTH * size * depth_factor
    notch = chest[2] + np.array([0.0, -0.80 * front[2], -6.0])
    xiphoid = chest[8] + np.array([0.0, -0.98 * front[8], -18.0])
    flat, ahead = np.array([[14.0, 4.0]]) * size, np.array([[0.0, -1.0, 0.2]])
    shells = [
        Shell(
            "sternum", bar(notch[None], xiphoid[None], ahead, flat * 1.3, flat * 0.8, 10, 0.08)[0], np.array([0.6]), 2.2
        )
    ]
    for side in (1.0, -1.0):

        def at(base: Floats, x: float, y: float, z: float, side: float = side) -> Floats:
            return (base + np.array([side * x, y, z]) * size)[None]

        bend = np.stack(
            [at(notch, 16, 4, 6)[0], at(notch, 60, 2, 20)[0], at(notch, 105, 34, 30)[0], at(notch, 150, 62, 34)[0]]
        )
        path = np.stack([np.interp(np.linspace(0, 3, 16), range(4), bend[:, i]) for i in range(3)], axis=-1)
        up = np.broadcast_to(np.array([0.0, 0.0, 1.0]), (1, 16, 3))
        shells.append(
            Shell("clavicle", tube(path[None], np.full((1, 16, 2), 5.5 * size), up, 14), np.array([1.1]), 1.8)
        )
        blade, _ = bar(
            at(t4, 92, 42, 34),
            at(t4, 78, 46, -92),
            np.array([[1.0, -0.5, 0.0]]) * side,
            np.array([[3.0, 34.0]]) * size,
            np.array([[2.5, 12.0]]) * size,
            8,
            0.1,
        )
        shells.append(Shell("shoulder blade", blade, np.array([0.55]), 2.4))
        shoulder, elbow = at(t1, 165, 6, -34), at(t1, 168, -150, -235)
        shells.append(
            Shell(
                "humerus",
                bar(shoulder, elbow, ahead, np.full((1, 2), 13.0) * size, np.full((1, 2), 11.0) * size, 14, 0.06)[0],
                np.array([2.4]),
                2.4,
            )
        )
        hand = at(notch, 62, -34, 30)
        for shift in (0.0, 16.0):
            forearm, _ = bar(
                elbow + np.array([0, -shift, 0]) * size,
                hand + np.array([side * shift, -8, 0]),
                ahead + np.array([[0, 0, 0.4]]),
                np.full((1, 2), 7.5) * size,
                np.full((1, 2), 6.0) * size,
                12,
                0.06,
            )
            shells.append(Shell("forearm", forearm, np.array([1.5]), 2.4))
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
    return Bones((Shell("skull", case, np.array([3.8]), 3.0), Shell("jaw", jaw, np.array([2.0]), 2.4)), ())

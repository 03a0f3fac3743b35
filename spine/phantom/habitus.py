"""How a patient is built and stands: size, depth of the chest, fat, arms.

What belongs here: the few numbers that bones and soft parts share. What does not: alignment (``curvature``).
Contract: millimetres; the arms' joints are in the patient frame, so bone and flesh of an arm coincide.
"""

from dataclasses import dataclass

import numpy as np

from spine.phantom.morphometry import FIRST
from spine.phantom.parameters import PatientParameters
from spine.phantom.spine_pose import PosedSpine
from spine.scanner import Floats

LEFT_RIGHT = (1.0, -1.0)


@dataclass(frozen=True)
class Habitus:
    """Build and posture.

    Attributes:
        size: linear size relative to the adult male mean.
        depth: of the chest from front to back, relative to the mean.
        fat_mm: thickness of the fat layer under the skin.
        arm_raise_deg: how far the upper arms point forward from hanging (hands rest on the clavicles).
        hands: where the hands rest: 0 low and wide, 1 on the clavicles.
    """

    size: float
    depth: float
    fat_mm: float
    arm_raise_deg: float
    hands: float


def sample_habitus(parameters: PatientParameters, rng: np.random.Generator) -> Habitus:
    """Draw build and posture; the chest of a scoliotic patient is a little flatter."""
    flat = 0.95 if parameters.condition == "scoliotic" else 1.0
    fat = float(np.clip(4.0 + 1.25 * (parameters.bmi - 18.0), 2.0, 32.0)) * parameters.size_factor
    return Habitus(
        size=parameters.size_factor,
        depth=float(np.clip(rng.normal(1.0, 0.06), 0.85, 1.15)) * flat,
        fat_mm=fat,
        arm_raise_deg=float(rng.uniform(28, 58)),
        hands=float(rng.uniform(0.3, 1.0)),
    )


def arm_joints(spine: PosedSpine, habitus: Habitus, side: float) -> tuple[Floats, Floats, Floats]:
    """(3,) shoulder, elbow and hand of one side (+1 left, -1 right), mm."""
    size, raised = habitus.size, np.deg2rad(habitus.arm_raise_deg)
    t1 = spine.body_centre[FIRST]
    shoulder = t1 + np.array([side * 163, 8, -36]) * size
    elbow = shoulder + 285 * size * np.array([side * 0.03, -np.sin(raised), -np.cos(raised)])
    rest = t1 + np.array([side * (60 + 60 * (1 - habitus.hands)), -138, -30 - 60 * (1 - habitus.hands)]) * size
    forearm = rest - elbow
    hand = elbow + forearm / np.linalg.norm(forearm) * min(235 * size, float(np.linalg.norm(forearm)))
    return shoulder, elbow, hand

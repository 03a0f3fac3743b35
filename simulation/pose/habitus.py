"""Body build and posture: size, chest, fat layer, outline of the body, position of the arms.

Contract: millimetres, patient frame. Bones and soft tissue of an arm follow the same joints. Source of the postures:
docs/sources.md, images and postures.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from simulation.anatomy import T1_INDEX
from simulation.parameters import PatientParameters
from simulation.pose.spine_pose import PosedSpine
from spine.types import Float, Floats

LEFT_RIGHT = (1.0, -1.0)

Posture = Literal["clavicles", "cheeks", "rest", "down", "raised"]
"""The postures: hands on the clavicles, fists on the cheeks, hands on a rail in front, arms hanging, arms raised."""

POSTURE_SHARES: dict[Posture, float] = {"clavicles": 0.46, "cheeks": 0.28, "rest": 0.14, "down": 0.06, "raised": 0.06}


GAINS = ("wall", "plate", "pedicle", "arch", "spinous", "transverse", "rib", "spongiosa", "shoulder")
_GAIN_SD = 0.28
"""SD of the logarithm of the gains; a choice. The contrast of bones on radiographs varies more between patients than
published bone densities vary."""


@dataclass(frozen=True)
class Habitus:
    """Build and posture of one patient.

    Attributes:
        size: linear size relative to the adult male mean.
        depth, width: depth and width of the chest relative to the mean.
        fat_mm: thickness of the fat layer under the skin.
        waist, hips, shoulders, belly: sizes of these parts of the body's outline relative to the mean.
        squareness: power of the superellipses of the trunk; 2 is an ellipse.
        breast: size of the breasts relative to the mean; 0 if there are none.
        posture: posture of the arms.
        arm_angle: how far the upper arms point forward, -1 to 1; the posture scales it.
        spread: how far the upper arms point outward, 0 to 1.
        style: standard normal numbers that vary the shapes of bones beyond their sizes.
        gains: density of each kind of bone relative to the mean, in the order of ``GAINS``.
    """

    size: float
    depth: float
    width: float
    fat_mm: float
    waist: float
    hips: float
    shoulders: float
    belly: float
    squareness: float
    breast: float
    posture: Posture
    arm_angle: float
    spread: float
    style: Float[Floats, " 12"]
    gains: Float[Floats, " 9"]


def sample_habitus(parameters: PatientParameters, rng: np.random.Generator) -> Habitus:
    """Sample build and posture. Patients with scoliosis have a slightly flatter chest."""
    flat = 0.95 if any(curve.cobb_deg > 25 for curve in parameters.curves) else 1.0
    female, grown = parameters.sex == "F", parameters.age_years > 13
    fat = float(np.clip(4.0 + 1.25 * (parameters.bmi - 18.0), 2.0, 36.0)) * parameters.size_factor
    posture = get_args(Posture)[int(rng.choice(len(POSTURE_SHARES), p=list(POSTURE_SHARES.values())))]
    spread = rng.standard_normal(6)
    return Habitus(
        size=parameters.size_factor,
        depth=float(np.clip(1.0 + 0.06 * spread[0], 0.85, 1.15)) * flat,
        width=float(np.clip(1.0 + 0.05 * spread[1], 0.86, 1.14)),
        fat_mm=fat,
        waist=float(np.clip((0.92 if female else 1.0) + 0.06 * spread[2], 0.75, 1.2)),
        hips=float(np.clip((1.05 if female and grown else 0.97) + 0.04 * spread[3], 0.85, 1.2)),
        shoulders=float(np.clip((0.95 if female else 1.03) + 0.05 * spread[4], 0.8, 1.2)),
        belly=float(np.clip(1.0 + 0.02 * (parameters.bmi - 22.0) + 0.05 * spread[5], 0.8, 1.5)),
        squareness=float(rng.uniform(2.05, 2.9)),
        breast=float(np.clip(np.exp(0.025 * (parameters.bmi - 20) + 0.35 * rng.standard_normal()), 0.35, 2.0))
        if female and grown
        else 0.0,
        posture=posture,
        arm_angle=float(rng.uniform(-1.0, 1.0)),
        spread=float(rng.uniform(0.0, 1.0)),
        style=np.clip(rng.standard_normal(12), -2.2, 2.2),
        gains=np.exp(_GAIN_SD * np.clip(rng.standard_normal(len(GAINS)), -2.0, 2.0)),
    )


_FORWARD_DEG: dict[Posture, float] = {"clavicles": 43.0, "cheeks": 60.0, "rest": 68.0, "down": 4.0, "raised": 155.0}
_VARIES_DEG: dict[Posture, float] = {"clavicles": 15.0, "cheeks": 14.0, "rest": 14.0, "down": 8.0, "raised": 14.0}


def arm_joints(
    spine: PosedSpine, habitus: Habitus, side: float
) -> tuple[Float[Floats, " 3"], Float[Floats, " 3"], Float[Floats, " 3"]]:
    """The positions of shoulder, elbow and hand of one side (1 left, -1 right), mm."""
    size, posture = habitus.size, habitus.posture
    forward = np.deg2rad(_FORWARD_DEG[posture] + _VARIES_DEG[posture] * habitus.arm_angle)
    t1 = spine.body_centre[T1_INDEX]
    lift = 26.0 if posture == "raised" else 0.0
    shoulder = t1 + np.array([side * 163 * habitus.shoulders, 8, -36 + lift]) * size
    outward = 0.03 + 0.35 * habitus.spread
    direction = np.array([side * outward, -np.sin(forward), -np.cos(forward)])
    elbow = shoulder + 285 * size * direction / np.linalg.norm(direction)
    forearm = _hand_target(t1, elbow, habitus, side) - elbow
    hand = elbow + forearm / np.linalg.norm(forearm) * 235 * size
    return shoulder, elbow, hand


def _hand_target(t1: Floats, elbow: Floats, habitus: Habitus, side: float) -> Floats:
    """(3,) point in mm towards which the forearm is directed."""
    size, wide = habitus.size, habitus.spread
    if habitus.posture == "clavicles":
        return np.asarray(t1 + np.array([side * (60 + 60 * wide), -138, -30 - 60 * wide]) * size)
    if habitus.posture == "cheeks":
        return np.asarray(t1 + np.array([side * (62 + 15 * wide), -120, 95]) * size)
    if habitus.posture == "rest":
        return np.asarray(elbow + np.array([-side * 20.0 * wide, -200, 60.0]))
    if habitus.posture == "down":
        return np.asarray(elbow + np.array([side * 20.0 * wide, -50, -220.0]))
    return np.asarray(t1 + np.array([side * 40.0, -40, 330.0]) * size)

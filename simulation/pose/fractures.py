"""The effect of wedge fractures on the segment angles and heights of a spine.

Contract: the posterior wall keeps its height, and the anterior wall loses the given share. The wedge angle is added to
the angle of the body and subtracted from the other segments of the region, so kyphosis and lordosis do not change.
"""

from dataclasses import replace

import numpy as np

from simulation.anatomy import vertebral_column
from simulation.parameters import PatientParameters
from simulation.pose.morphometry import VertebraSizes
from simulation.pose.sagittal_profile import profile_of
from spine.types import Float, Floats


def apply_fractures(
    parameters: PatientParameters, angles: Float[Floats, " S"], sizes: VertebraSizes
) -> tuple[Float[Floats, " S"], VertebraSizes]:
    """The segment angles and sizes after all fractures of the patient."""
    if not parameters.fractures:
        return angles, sizes
    column, angles, height = vertebral_column(parameters.anatomy), angles.copy(), sizes.height.copy()
    broken = np.zeros(len(angles), dtype=bool)
    added = np.zeros(len(angles))
    for fracture in parameters.fractures:
        v = column.index[fracture.level]
        wedge, height[v] = _wedge(angles[2 * v], height[v], float(sizes.plate_depth[v].mean()), fracture.loss)
        broken[2 * v], added[2 * v] = True, wedge - angles[2 * v]
    for region in profile_of(parameters.anatomy).regions.values():
        part = region.segments
        taking = np.where(broken[part], 0.0, region.share)
        angles[part] += added[part] - added[part].sum() * taking / taking.sum()
    return angles, replace(sizes, height=height)


def _wedge(angle_deg: float, height: float, depth: float, loss: float) -> tuple[float, float]:
    """The wedge angle of a fractured body in degrees, and the height of its middle in mm."""
    lean = depth * np.sin(np.deg2rad(angle_deg / 2))
    front, back = (height - lean) * (1 - loss), height + lean
    return float(2 * np.rad2deg(np.arcsin((back - front) / (2 * depth)))), float((front + back) / 2)

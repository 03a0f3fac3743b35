"""Wedge fractures: how a body that sinks in front changes the steps and heights of a spine.

Contract: the back wall keeps its height, the front wall loses the stated part of what it had; the wedge is added to
the body's step, and the other segments between the same anchors give way, so kyphosis and lordosis targets are met as
without the fracture.
"""

from dataclasses import replace

import numpy as np

from simulation.anatomy import column_of
from simulation.parameters import PatientParameters
from simulation.pose.morphometry import VertebraSizes
from simulation.pose.sagittal_plan import form_of
from spine.types import Floats


def sink(parameters: PatientParameters, steps: Floats, sizes: VertebraSizes) -> tuple[Floats, VertebraSizes]:
    """Steps (P - 1,) and sizes with every fracture of the patient in them."""
    if not parameters.fractures:
        return steps, sizes
    column, steps, height = column_of(parameters.anatomy), steps.copy(), sizes.height.copy()
    broken = np.zeros(len(steps), dtype=bool)
    added = np.zeros(len(steps))
    for fracture in parameters.fractures:
        v = column.index[fracture.level]
        wedge, height[v] = _wedge(steps[2 * v], height[v], float(sizes.plate_depth[v].mean()), fracture.loss)
        broken[2 * v], added[2 * v] = True, wedge - steps[2 * v]
    for region in form_of(parameters.anatomy).regions.values():
        part = region.segments
        giving = np.where(broken[part], 0.0, region.share)
        steps[part] += added[part] - added[part].sum() * giving / giving.sum()
    return steps, replace(sizes, height=height)


def _wedge(step_deg: float, height: float, depth: float, loss: float) -> tuple[float, float]:
    """The broken body's step in degrees and its height in the middle, mm."""
    lean = depth * np.sin(np.deg2rad(step_deg / 2))
    front, back = (height - lean) * (1 - loss), height + lean
    return float(2 * np.rad2deg(np.arcsin((back - front) / (2 * depth)))), float((front + back) / 2)

"""A plain upright spine with every kind of point, in LPS mm."""

import numpy as np

from spine.landmarks import VERTEBRAE
from spine.reconstruction.reconstruction import Reconstruction
from spine.scanner import ViewGeometry

STEP_MM = 25.0


def spine_points(curve_mm=20.0):
    """Plates, margins, bodies, pedicles of T1..L5, S1 and hips; T1 at z = 300, a gentle curve in both planes."""
    points = {}
    for i, level in enumerate(VERTEBRAE):
        x, y, z = curve_mm * np.sin(i / 3), curve_mm * np.cos(i / 4), 300.0 - STEP_MM * i
        for side, dz in (("sup", 10.0), ("inf", -10.0)):
            points[f"{level}_{side}"] = np.array([x, y, z + dz])
            for part, dx, dy in (("ant", 0, -15), ("post", 0, 15), ("left", 18, 0), ("right", -18, 0)):
                points[f"{level}_{side}_{part}"] = np.array([x + dx, y + dy, z + dz])
        points[f"{level}_body"] = np.array([x, y, z])
        points[f"{level}_ped_left"] = np.array([x + 12, y + 22, z + 3])
        points[f"{level}_ped_right"] = np.array([x - 12, y + 22, z + 3])
    base = 300.0 - STEP_MM * len(VERTEBRAE)
    points |= {"S1_sup": np.array([0.0, 10, base + 8]), "S1_ant": np.array([0.0, -8, base])}
    points |= {"S1_post": np.array([0.0, 26, base + 16])}
    points |= {"HIP_L": np.array([90.0, -10, base - 90]), "HIP_R": np.array([-90.0, -12, base - 92])}
    return points


def reconstruction(points=None, **fields):
    given = {"subject_id": "s-1", "points": spine_points() if points is None else points}
    return Reconstruction(**(given | {"source_format": "plumbline-json"} | fields))


def two_views(shape=(200, 90), spacing=(4.0, 3.8)):
    return {
        "frontal": ViewGeometry("frontal", shape, spacing, 987.0, 0.1, 1 / 3),
        "lateral": ViewGeometry("lateral", (shape[0], shape[1] + 7), spacing, 918.0, -0.2, 1 / 3),
    }

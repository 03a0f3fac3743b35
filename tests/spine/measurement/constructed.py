"""Spines constructed plate by plate, whose parameters are known exactly."""

import numpy as np

from spine.landmarks import PLATES


def constructed(sagittal_deg, coronal_deg, *, s1_deg=38.0, pt_deg=14.0, shift=(0.0, 0.0, 0.0)):
    """3D points whose plates have exactly the given tilts; dicts plate -> degrees, default 0."""
    points = {}
    for i, plate in enumerate(PLATES):
        centre = np.array([3.0 * np.sin(i / 5), 8.0 * np.cos(i / 7), 480.0 - 14.0 * i])
        tau, theta = np.radians(sagittal_deg.get(plate, 0.0)), np.radians(coronal_deg.get(plate, 0.0))
        front, left = 15.0 * np.array([np.cos(tau), -np.sin(tau)]), 18.0 * np.array([np.cos(theta), np.sin(theta)])
        points[plate] = centre
        points[f"{plate}_ant"] = centre + [0, -front[0], front[1]]
        points[f"{plate}_post"] = centre - [0, -front[0], front[1]]
        points[f"{plate}_left"] = centre + [left[0], 0, left[1]]
        points[f"{plate}_right"] = centre - [left[0], 0, left[1]]
    s1 = np.array([1.0, 5.0, -10.0])
    tau = np.radians(s1_deg)
    points["S1_sup"] = s1
    points["S1_ant"] = s1 + 17.0 * np.array([0, -np.cos(tau), -np.sin(tau)])
    points["S1_post"] = s1 - 17.0 * np.array([0, -np.cos(tau), -np.sin(tau)])
    to_hips = 108.0 * np.array([0, -np.sin(np.radians(pt_deg)), -np.cos(np.radians(pt_deg))])
    points["HIP_L"], points["HIP_R"] = s1 + to_hips + [85.0, 4.0, 3.0], s1 + to_hips - [85.0, 4.0, 3.0]
    return {name: p + np.asarray(shift) for name, p in points.items()}

"""The motion of a patient who moves a little between the two views.

Contract: the motion is a translation. This module lists every array of ``PatientBatch``, also arrays without positions.
An unknown name is an error, so that no new part is forgotten. The landmarks of a reconstruction are the landmarks
before the motion.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from simulation.body.batch import Arrays, collate
from simulation.body.patient import VirtualPatient
from simulation.imaging.acquisition import plan_acquisition, tabulate
from simulation.imaging.appearance import AppearanceFamily
from simulation.imaging.render import render_batch, render_views
from simulation.randomness import host_generator
from simulation.threads import one_thread
from spine.landmarks import VIEWS, ViewName
from spine.scanner import ViewGeometry
from spine.types import Float, Floats

_MOTION_STREAM = 61

# Name of an array -> indices of its last axis at which a position (x, y, z) begins.
_POSITIONS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("centre", "pedicle", "s1_centre", "hips", "sternum", "arms", "rods"), (0,)),
    **dict.fromkeys(("ellipsoids", "gas", "plates"), (0,)),
    **dict.fromkeys(("vessels", "bars"), (0, 3)),
}
_FLOORS: Mapping[str, int] = dict.fromkeys(("ellipsoids", "gas", "plates"), 12)
_WITHOUT_POSITIONS = frozenset(
    (
        *("present", "lumbar", "droop", "wall", "axes", "plate_half", "height", "canal", "spinous", "transverse"),
        *("pedicle_size", "sclerosis", "osteophyte", "body_scale", "arch", "s1_axes", "s1_half", "s1_to_hips"),
        *("hip_spacing", "hip_radius", "size", "density", "pelvis_axes", "axial_rotation", "sideways"),
        *("chest_half_width", "chest_half_depth", "thirteenth", "raised", "style", "gains", "fat", "rod_weight"),
    )
)


def sample_patient_motion(seed: int, sd_mm: float) -> Float[Floats, " 3"]:
    """Sample the translation between the views in mm, rounded to 0.01 mm."""
    return np.round(host_generator(seed, _MOTION_STREAM).normal(0.0, sd_mm, 3), 2)


def translated(arrays: Arrays, by_mm: Float[Floats, " 3"]) -> dict[str, NDArray[np.float32]]:
    """One row of a ``PatientBatch``, translated by ``by_mm``.

    Raises:
        KeyError: an array has a name that this module does not list.
    """
    return {name: _translated(name, array, by_mm) for name, array in arrays.items()}


def _translated(name: str, array: NDArray[np.float32], by_mm: Floats) -> NDArray[np.float32]:
    if name in _WITHOUT_POSITIONS:
        return array
    found = array.copy()
    if name == "lofts":  # (S, K + 1, 4): rows with centres, and a last row with the lowest and highest height
        found[:, :-1, :2] += by_mm[:2].astype(np.float32)
        found[:, -1, :2] += np.float32(by_mm[2])
        return found
    for start in _POSITIONS[name]:
        found[..., start : start + 3] += by_mm.astype(np.float32)
    if name in _FLOORS:
        found[..., _FLOORS[name]] += np.float32(by_mm[2])
    return found


def render_with_motion(
    patient: VirtualPatient,
    geometry: Mapping[ViewName, ViewGeometry],
    seed: int,
    by_mm: Float[Floats, " 3"],
    family: AppearanceFamily | None = None,
) -> dict[ViewName, NDArray[np.uint16]]:
    """The result of ``render_views``, except that the patient is translated in the lateral image."""
    frontal, lateral = VIEWS
    found = render_views(patient, {frontal: geometry[frontal]}, seed, family)
    acquisitions = {lateral: tabulate([plan_acquisition(geometry[lateral], seed, family)])}
    with one_thread(), torch.inference_mode():
        image = render_batch(collate([translated(patient.arrays, by_mm)]), acquisitions)[lateral]
    return found | {lateral: image[0].numpy().astype(np.uint16)}

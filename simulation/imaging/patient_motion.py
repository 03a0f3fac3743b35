"""A patient who has moved a little between the two views.

Contract: the movement is rigid, without rotation; arrays that hold no place stay as they are, and a name that is
neither listed as a place nor as none is an error, so that no new part is left behind. The landmarks of a
reconstruction are those of the still patient.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from simulation.body.batch import Arrays, collate
from simulation.body.patient import VirtualPatient
from simulation.imaging.acquisition import plan_shot, tabulate
from simulation.imaging.appearance import LookFamily
from simulation.imaging.render import render_batch, render_views
from simulation.randomness import numbers
from simulation.threads import one_thread
from spine.landmarks import VIEWS, ViewName
from spine.scanner import ViewGeometry
from spine.types import Floats

_SWAY_STREAM = 61

# Name -> where in its last axis places (x, y, z) begin.
_PLACES: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("centre", "pedicle", "s1_centre", "hips", "sternum", "arms", "rods"), (0,)),
    **dict.fromkeys(("ellipsoids", "gas", "plates"), (0,)),
    **dict.fromkeys(("vessels", "bars"), (0, 3)),
}
_FLOORS: Mapping[str, int] = dict.fromkeys(("ellipsoids", "gas", "plates"), 12)
_STILL = frozenset(
    (
        *("present", "lumbar", "droop", "wall", "axes", "plate_half", "height", "canal", "spinous", "transverse"),
        *("pedicle_size", "sclerosis", "osteophyte", "body_scale", "arch", "s1_axes", "s1_half", "s1_to_hips"),
        *("hip_spacing", "hip_radius", "size", "density", "pelvis_axes", "heading", "sideways", "chest_half_width"),
        *("chest_half_depth", "thirteenth", "raised", "style", "gains", "fat", "rod_weight"),
    )
)


def sample_sway(seed: int, sd_mm: float) -> Floats:
    """(3,) how far a patient moves between the views, to a hundredth of a millimetre."""
    found: Floats = np.round(numbers(seed, _SWAY_STREAM).normal(0.0, sd_mm, 3), 2)
    return found


def moved(arrays: Arrays, by_mm: Floats) -> dict[str, NDArray[np.float32]]:
    """One row of a ``PatientBatch``, elsewhere.

    Raises:
        KeyError: an array of which this module does not know whether it holds places.
    """
    return {name: _moved(name, array, by_mm) for name, array in arrays.items()}


def _moved(name: str, array: NDArray[np.float32], by_mm: Floats) -> NDArray[np.float32]:
    if name in _STILL:
        return array
    found = array.copy()
    if name == "lofts":  # (S, K + 1, 4): centres, and in the last row lowest and highest height
        found[:, :-1, :2] += by_mm[:2].astype(np.float32)
        found[:, -1, :2] += np.float32(by_mm[2])
        return found
    for start in _PLACES[name]:
        found[..., start : start + 3] += by_mm.astype(np.float32)
    if name in _FLOORS:
        found[..., _FLOORS[name]] += np.float32(by_mm[2])
    return found


def render_swayed(
    patient: VirtualPatient,
    geometry: Mapping[ViewName, ViewGeometry],
    seed: int,
    by_mm: Floats,
    family: LookFamily | None = None,
) -> dict[ViewName, NDArray[np.uint16]]:
    """As ``render_views``; the lateral image shows the patient moved by (3,) mm."""
    frontal, lateral = VIEWS
    found = render_views(patient, {frontal: geometry[frontal]}, seed, family)
    shots = {lateral: tabulate([plan_shot(geometry[lateral], seed, family)])}
    with one_thread(), torch.inference_mode():
        image = render_batch(collate([moved(patient.arrays, by_mm)]), shots)[lateral]
    return found | {lateral: image[0].numpy().astype(np.uint16)}

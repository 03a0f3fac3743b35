"""A virtual patient's radiographs: both views of one exposure in the slot scanner's geometry.

What belongs here: the order of steps. What does not: the steps. Contract: 12-bit pictures (0..4095, bone bright)
in canonical orientation (frontal: the patient's left on the right; lateral: the front on the left); the same
patient, geometry and seed give the same pictures, and a view does not depend on which other views are asked for.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import VIEWS, ViewName
from spine.phantom.display import Look, process, sample_look
from spine.phantom.exposure import Exposure, detect, line_integral
from spine.phantom.patient import VirtualPatient
from spine.phantom.points import BonePoints, sample_bones
from spine.phantom.threads import one_thread
from spine.scanner import ViewGeometry

_LOOK_STREAM, _VIEW_STREAM = 11, 12


def render_views(
    patient: VirtualPatient, geometry: Mapping[ViewName, ViewGeometry], seed: int, device: str = "cpu"
) -> dict[ViewName, NDArray[np.uint16]]:
    """Render the views named in ``geometry``.

    Args:
        patient: whom.
        geometry: view -> picture geometry; both views of a scan share their rows' heights.
        seed: of exposure, noise and look.
        device: torch device for the splat and chords; only ``cpu`` is exact across machines.

    Returns:
        view -> (H, W) uint16 in 0..4095.
    """
    look = sample_look(np.random.default_rng([seed, _LOOK_STREAM]))
    with one_thread():
        points = sample_bones(patient.bones, device)
        return {view: _render(patient, points, geometry[view], look, seed) for view in VIEWS if view in geometry}


def _render(
    patient: VirtualPatient, points: BonePoints, geometry: ViewGeometry, look: Look, seed: int
) -> NDArray[np.uint16]:
    rng = np.random.default_rng([seed, _VIEW_STREAM, VIEWS.index(geometry.view)])
    exposure = Exposure(fluence=float(rng.uniform(0.5, 1.5)), scatter_share=float(rng.uniform(0.03, 0.10)))
    integral, skin = line_integral(points, patient.soft, geometry, rng)
    return process(detect(integral, geometry, exposure, rng), skin, geometry.spacing_mm[0], look)

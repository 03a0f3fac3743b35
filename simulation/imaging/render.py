"""Radiographs of virtual patients: the steps from posed patients to images, for N patients at once.

Contract: 12-bit images (0..4095, bone bright unless the look inverts) in canonical orientation (frontal: the
patient's left on the right; lateral: the front on the left); the same patient, geometry and seed give the same
images, and a view does not depend on which other views or patients are asked for. One code draws one patient on a
CPU and a batch on a GPU.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulation.body.batch import PatientBatch, collate
from simulation.body.patient import VirtualPatient
from simulation.body.patient_mass import Matter, sample_matter
from simulation.imaging.acquisition import ShotTable, plan_shot, tabulate
from simulation.imaging.annotation import lay_over
from simulation.imaging.appearance import LookFamily
from simulation.imaging.display import MAXIMUM, looks_of, process
from simulation.imaging.exposure import PathLengths, detect, exposures_of, line_integrals, path_lengths
from simulation.imaging.rays import Rays, rays_from
from simulation.threads import one_thread
from spine.landmarks import VIEWS, ViewName
from spine.scanner import ViewGeometry


def render_batch(batch: PatientBatch, shots: Mapping[ViewName, ShotTable]) -> dict[ViewName, Tensor]:
    """Take every patient's image of each view named in ``shots`` (``shots.tabulate``).

    Returns:
        view -> (N, H, W) int32 in 0..4095 on the batch's device.
    """
    matter = sample_matter(batch, min(table.finest_mm for table in shots.values()))
    return {view: _take(batch, matter, table) for view, table in shots.items()}


def exact_paths(batch: PatientBatch, matter: Matter, rays: Rays) -> PathLengths:
    """Noise-free path lengths of every material, for measurements of exactness."""
    return path_lengths(batch, matter.bones, matter.vessels, matter.metal, rays)


def _take(batch: PatientBatch, matter: Matter, shots: ShotTable) -> Tensor:
    rays = rays_from(shots.view, shots.shape, shots.geometry, shots.finest_mm, batch.device)
    exposure, look = exposures_of(shots.exposure, batch.device), looks_of(shots.look, batch.device)
    paths = exact_paths(batch, matter, rays)
    integrals = line_integrals(paths, batch, rays, exposure, shots.seeds)
    measured = detect(integrals, rays, exposure, shots.seeds)
    greys = process(measured, paths, rays, look).to(torch.float32) / MAXIMUM
    covered = lay_over(greys, shots.overlays, look.background)
    return (covered.clamp(0, 1) * MAXIMUM).round().to(torch.int32)


def render_views(
    patient: VirtualPatient, geometry: Mapping[ViewName, ViewGeometry], seed: int, family: LookFamily | None = None
) -> dict[ViewName, NDArray[np.uint16]]:
    """Render one patient's views named in ``geometry`` on the CPU, in one thread.

    Args:
        patient: whom.
        geometry: view -> image geometry; both views of a scan share their rows' heights.
        seed: of exposure, noise and look.
        family: of the look; drawn from the seed by default.

    Returns:
        view -> (H, W) uint16 in 0..4095.
    """
    shots = {view: tabulate([plan_shot(geometry[view], seed, family)]) for view in VIEWS if view in geometry}
    with one_thread(), torch.inference_mode():
        images = render_batch(collate([patient.arrays]), shots)
    return {view: image[0].numpy().astype(np.uint16) for view, image in images.items()}

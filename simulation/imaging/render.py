"""Renders radiographs: the steps from posed patients to images, for N patients at once.

Contract: images have 12 bits (0..4095). Bone is bright, or dark if the appearance is inverted. The patient's left is on
the right of a frontal image, and the patient's front is on the left of a lateral image. The same patient, geometry and
seed give the same image; the other views and patients of the batch do not matter. The same code renders one patient on
a CPU and a batch on a GPU.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulation.body.batch import PatientBatch, collate
from simulation.body.patient import VirtualPatient
from simulation.body.patient_mass import PatientMass, sample_patient_mass
from simulation.imaging.acquisition import AcquisitionTable, plan_acquisition, tabulate
from simulation.imaging.annotation import apply_overlay
from simulation.imaging.appearance import AppearanceFamily
from simulation.imaging.display import MAXIMUM, appearance_batch, apply_display
from simulation.imaging.exposure import PathLengths, detect, exposure_batch, line_integrals, path_lengths
from simulation.imaging.rays import Rays, rays_from
from simulation.threads import one_thread
from spine.landmarks import VIEWS, ViewName
from spine.scanner import ViewGeometry
from spine.types import Int


def render_batch(
    batch: PatientBatch, acquisitions: Mapping[ViewName, AcquisitionTable]
) -> dict[ViewName, Int[Tensor, "N H W"]]:
    """View -> int32 images in 0..4095 on the batch's device. ``acquisition.tabulate`` makes ``acquisitions``."""
    mass = sample_patient_mass(batch, min(table.min_pixel_mm for table in acquisitions.values()))
    return {view: _take(batch, mass, table) for view, table in acquisitions.items()}


def exact_paths(batch: PatientBatch, mass: PatientMass, rays: Rays) -> PathLengths:
    """The path lengths of every material in one view, without noise."""
    return path_lengths(batch, mass.bones, mass.vessels, mass.metal, rays)


def _take(batch: PatientBatch, mass: PatientMass, table: AcquisitionTable) -> Tensor:
    rays = rays_from(table.view, table.shape, table.geometry, table.min_pixel_mm, batch.device)
    exposure = exposure_batch(table.exposure, batch.device)
    appearance = appearance_batch(table.appearance, batch.device)
    paths = exact_paths(batch, mass, rays)
    integrals = line_integrals(paths, batch, rays, exposure, table.seeds)
    measured = detect(integrals, rays, exposure, table.seeds)
    greys = apply_display(measured, paths, rays, appearance).to(torch.float32) / MAXIMUM
    covered = apply_overlay(greys, table.overlays, appearance.background)
    return (covered.clamp(0, 1) * MAXIMUM).round().to(torch.int32)


def render_views(
    patient: VirtualPatient,
    geometry: Mapping[ViewName, ViewGeometry],
    seed: int,
    family: AppearanceFamily | None = None,
) -> dict[ViewName, NDArray[np.uint16]]:
    """View -> (H, W) uint16 image of one patient in 0..4095. The CPU renders it in one thread.

    Args:
        patient: patient to render.
        geometry: view -> image geometry. Both views of a scan have the same row heights.
        seed: seed of exposure, noise and appearance.
        family: family of the appearance; by default it is sampled with the seed.
    """
    acquisitions = {
        view: tabulate([plan_acquisition(geometry[view], seed, family)]) for view in VIEWS if view in geometry
    }
    with one_thread(), torch.inference_mode():
        images = render_batch(collate([patient.arrays]), acquisitions)
    return {view: image[0].numpy().astype(np.uint16) for view, image in images.items()}

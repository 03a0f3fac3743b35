"""Renders radiographs: the steps from posed patients to images, for N patients at once.

Contract: images have 12 bits (0..4095). Bone is bright, or dark if the appearance is inverted. The patient's left is on
the right of a frontal image, and the patient's front is on the left of a lateral image. The same patient, geometry and
seed give the same image; the other views and patients of the batch do not matter. The same code renders one patient on
a CPU and a batch on a GPU.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulation.body.batch import PatientBatch, collate, tensors_of
from simulation.body.patient import VirtualPatient
from simulation.body.patient_mass import PatientMass, sample_patient_mass
from simulation.cuda_graphs import in_parallel, replayed, to_device
from simulation.imaging.acquisition import AcquisitionTable, plan_acquisition, tabulate
from simulation.imaging.annotation import collimate, draw_marks
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
    """View -> int32 images in 0..4095 on the batch's device. ``acquisition.tabulate`` makes ``acquisitions``.

    On a GPU, everything but the marks is one graph (``cuda_graphs``), because every batch has other marks.
    """
    inputs = {**tensors_of(batch), **_settings(acquisitions, batch.device)}
    kinds = tuple((table.view, table.shape, table.min_pixel_mm) for table in acquisitions.values())
    render = partial(_render, kinds)
    greys = replayed(render, inputs, (len(batch), kinds)) if batch.device.type == "cuda" else render(inputs)
    return {view: _with_marks(greys[view], table) for view, table in acquisitions.items()}


_Kind = tuple[ViewName, tuple[int, int], float]
"""The view, shape and smallest pixel of the images of a table."""


def _settings(acquisitions: Mapping[ViewName, AcquisitionTable], device: torch.device) -> dict[str, Tensor]:
    """``<view> <name>`` -> settings of the images as a tensor on the device."""
    found: dict[str, Tensor] = {}
    for view, table in acquisitions.items():
        arrays: dict[str, NDArray[Any]] = {
            "geometry": table.geometry,
            "exposure": table.exposure,
            "appearance": table.appearance,
            "edges": table.overlays.edges,
            "seeds": np.array(table.seeds, dtype=np.int64),
        }
        found |= {f"{view} {name}": to_device(array, device) for name, array in arrays.items()}
    return found


def _render(kinds: Sequence[_Kind], inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """View -> (N, H, W) grey values in 0..1 with collimation and without marks."""
    batch = PatientBatch(**{field.name: inputs[field.name] for field in fields(PatientBatch)})
    mass = sample_patient_mass(batch, min(min_pixel_mm for _, _, min_pixel_mm in kinds))
    images = in_parallel(*(partial(_take, batch, mass, kind, inputs) for kind in kinds))
    return {view: image for (view, _, _), image in zip(kinds, images, strict=True)}


def exact_paths(batch: PatientBatch, mass: PatientMass, rays: Rays) -> PathLengths:
    """The path lengths of every material in one view, without noise."""
    return path_lengths(batch, mass.bones, mass.vessels, mass.metal, rays)


def _take(batch: PatientBatch, mass: PatientMass, kind: _Kind, inputs: Mapping[str, Tensor]) -> Tensor:
    view, shape, min_pixel_mm = kind
    geometry, exposures, appearances, edges, seeds = (
        inputs[f"{view} {name}"] for name in ("geometry", "exposure", "appearance", "edges", "seeds")
    )
    rays = rays_from(view, shape, geometry, min_pixel_mm, batch.device)
    exposure, appearance = exposure_batch(exposures, batch.device), appearance_batch(appearances, batch.device)
    paths = exact_paths(batch, mass, rays)
    integrals = line_integrals(paths, batch, rays, exposure, seeds)
    measured = detect(integrals, rays, exposure, seeds)
    greys = apply_display(measured, paths, rays, appearance).to(torch.float32) / MAXIMUM
    return collimate(greys, edges, appearance.background)


def _with_marks(greys: Tensor, table: AcquisitionTable) -> Tensor:
    marks = (to_device(array, greys.device) for array in (table.overlays.index, table.overlays.greys))
    return (draw_marks(greys, *marks).clamp(0, 1) * MAXIMUM).round().to(torch.int32)


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

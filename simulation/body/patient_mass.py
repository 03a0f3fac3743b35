"""The mass points of N patients for bone, vessels of the lungs and metal.

Contract: the points are the same on every device up to rounding.
"""

from dataclasses import dataclass

from simulation.body.batch import PatientBatch
from simulation.body.mass_points import MassPoints, sample_bones
from simulation.body.materials import TRABECULAR_SHARE
from simulation.body.metal import build_metal
from simulation.body.skeleton import build_bones, build_vessels, reference_cells

_USUAL_PIXEL_MM = 1.435
FINEST = 2.0
"""Limit of the refinement for small pixels. Beyond this limit, the detector's blur hides the grain of the points."""


@dataclass(frozen=True)
class PatientMass:
    """The mass points of N patients; ``metal`` is None if no patient has metal."""

    bones: MassPoints
    vessels: MassPoints
    metal: MassPoints | None


def sample_patient_mass(batch: PatientBatch, pixel_mm: float) -> PatientMass:
    """Sample the mass points of a batch, at a spacing that suits pixels of ``pixel_mm``."""
    # The refinement is rounded to steps, so that slightly different pixel sizes have the same points.
    finer = min(max(1.0, round(_USUAL_PIXEL_MM / pixel_mm / 0.25) * 0.25), FINEST)
    # On a GPU, the test would make the host wait for the device.
    on_gpu = batch.device.type == "cuda"
    has_metal = on_gpu or bool((batch.bars[..., 7] != 0).any() or (batch.rod_weight != 0).any())
    cells = reference_cells()
    metal = build_metal(batch.bars, batch.rods, batch.rod_weight) if has_metal else None
    return PatientMass(
        sample_bones(build_bones(batch), cells["bones"], finer, TRABECULAR_SHARE),
        sample_bones(build_vessels(batch), cells["vessels"], finer),
        None if metal is None else sample_bones(metal, cells["metal"], finer),
    )

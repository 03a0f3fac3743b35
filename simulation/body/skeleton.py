"""All bones of N patients, and the cell sizes that decide how finely they are sampled.

Contract: every patient has the same shells and fillings in the same order. The cell sizes come from one reference
patient, so the number of mass points does not depend on the patient.
"""

from functools import cache, partial, reduce
from operator import add

import numpy as np
import torch

from simulation.body.batch import PatientBatch, collate
from simulation.body.constants import float_tensor
from simulation.body.legs import build_legs
from simulation.body.mass_points import CellSize, cell_sizes
from simulation.body.metal import build_metal
from simulation.body.patient import build_patient
from simulation.body.pelvis import build_pelvis
from simulation.body.shoulders import build_shoulders
from simulation.body.skull import build_skull
from simulation.body.surfaces import Bones, Filling, bar
from simulation.body.thorax import build_thorax
from simulation.body.vertebrae import build_vertebrae
from simulation.cuda_graphs import in_parallel
from simulation.parameters import PatientParameters


def build_bones(batch: PatientBatch) -> Bones:
    """All bones of a batch, at each patient's bone density."""
    builders = (build_vertebrae, build_pelvis, build_legs, build_thorax, build_shoulders, build_skull)
    parts = in_parallel(*(partial(build, batch) for build in builders))
    return reduce(add, parts).scaled(batch.density)


def build_vessels(batch: PatientBatch) -> Bones:
    """Vessels of the lungs as solid tapered tubes."""
    start, end, radius = batch.vessels[..., :3], batch.vessels[..., 3:6], batch.vessels[..., 6:7]
    wide = radius.expand(*radius.shape[:-1], 2)
    up = float_tensor(batch.device, 0.21, 0.92, 0.33)
    grid, axis = bar(start, end, up, wide, 0.45 * wide, 6, 0.05, 8)
    return Bones((), (Filling("vessels", grid, axis, torch.ones_like(radius[..., 0]), 1.5),))


@cache
def reference_cells() -> dict[str, tuple[CellSize, ...]]:
    """The cell sizes of the reference patient under the keys ``bones``, ``vessels`` and ``metal``."""
    patient = build_patient(
        PatientParameters(
            age_years=30.0,
            sex="M",
            condition="healthy_adult",
            field_of_view="full",
            size_factor=1.0,
            bmi=22.0,
            pelvic_incidence_deg=52.0,
            sacral_slope_deg=39.0,
            pelvic_tilt_deg=13.0,
            lumbar_lordosis_l1_s1_deg=55.0,
            lumbar_lordosis_l1_l5_deg=37.0,
            thoracic_kyphosis_t4_t12_deg=38.0,
        ),
        seed=1,
    )
    batch = collate([patient.arrays])
    bars = np.zeros((1, 1, 8), np.float32)
    bars[..., 3], bars[..., 6:] = 40.0, (3.0, 1.0)
    rods = torch.zeros(1, 2, 24, 3)
    rods[..., 2] = torch.linspace(0, 300.0, 24)
    return {
        "bones": cell_sizes(build_bones(batch)),
        "vessels": cell_sizes(build_vessels(batch)),
        "metal": cell_sizes(build_metal(torch.from_numpy(bars), rods, torch.ones(1, 2))),
    }

"""One virtual patient: pose, build, soft tissue, metal and reconstruction.

Contract: the same parameters and seed give the same patient, bit for bit. Landmarks and rendered surfaces come from
the same posed plates.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulation.anatomy import T1_INDEX
from simulation.body.batch import patient_arrays
from simulation.body.metal import Metal, place_metal
from simulation.body.soft_tissue import SoftTissue, build_soft_tissue
from simulation.parameters import PatientParameters
from simulation.pose.habitus import Habitus, sample_habitus
from simulation.pose.landmarks3d import landmarks_of
from simulation.pose.spine_pose import PosedSpine, pose_spine
from spine.reconstruction.reconstruction import Reconstruction

_SHAPE_STREAM = 1


@dataclass(frozen=True)
class VirtualPatient:
    """One virtual patient.

    Attributes:
        parameters: parameters of the patient.
        seed: number that decides everything that the parameters leave open.
        spine: posed plates and hips.
        habitus: build and posture.
        soft: soft tissue that is rendered.
        metal: metal that is rendered.
        reconstruction: landmarks and facts about the patient. A scan adds the image geometry.
    """

    parameters: PatientParameters
    seed: int
    spine: PosedSpine
    habitus: Habitus
    soft: SoftTissue
    metal: Metal
    reconstruction: Reconstruction

    @cached_property
    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Name -> array of everything that is rendered. Together they are one row of a ``PatientBatch``."""
        return patient_arrays(self.parameters, self.spine, self.habitus) | self.soft.arrays() | self.metal.arrays()


def build_patient(parameters: PatientParameters, seed: int) -> VirtualPatient:
    """One patient, posed and placed in the scanner."""
    rng = np.random.default_rng([seed, _SHAPE_STREAM])
    spine = build_spine(parameters, rng)
    habitus = sample_habitus(parameters, rng)
    return VirtualPatient(
        parameters=parameters,
        seed=seed,
        spine=spine,
        habitus=habitus,
        soft=build_soft_tissue(spine, habitus, rng),
        metal=place_metal(parameters, spine, habitus, rng),
        reconstruction=reconstruct(parameters, seed, spine),
    )


def build_spine(parameters: PatientParameters, rng: np.random.Generator) -> PosedSpine:
    """A posed spine in the scanner, with the middle between T1 and the hips near the isocentre."""
    spine = pose_spine(parameters, rng)
    top, hips = spine.centre[T1_INDEX, 0], spine.hips.mean(axis=0)
    middle_z = (top[2] + hips[2]) / 2
    across = 0.5 * (spine.hips[:, 0].mean() + spine.centre[T1_INDEX:, :, 0].mean())
    # The trunk is centred. The spine lies about 36 mm behind the middle of the trunk.
    depth = spine.centre[T1_INDEX:, :, 1].mean() - 36.0 * parameters.size_factor
    return spine.moved(-np.array([across, depth, middle_z]) + rng.normal(0.0, 1.0, 3) * np.array([5.0, 6.0, 6.0]))


def reconstruct(parameters: PatientParameters, seed: int, spine: PosedSpine) -> Reconstruction:
    """The reconstruction record of a posed spine."""
    return Reconstruction(
        subject_id=f"virtual-{seed:016x}",
        points=landmarks_of(spine),
        source_format="plumbline-json",
        hip_radius_mm={"HIP_L": spine.hip_radius, "HIP_R": spine.hip_radius},
        facts={
            "simulated": True,
            "age_years": round(parameters.age_years, 1),
            "sex": parameters.sex,
            "condition": parameters.condition,
            "anatomy": parameters.anatomy,
            "field_of_view": parameters.field_of_view,
            "seed": seed,
        },
    )

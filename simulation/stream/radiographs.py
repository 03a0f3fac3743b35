"""Plain frontal radiographs of virtual patients, with the corners of T1..L5 as labels.

Contract: radiograph i of a seed is always the same. All patients have the 17 standard vertebrae.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from simulation.anatomy import vertebral_column
from simulation.body.patient import build_patient
from simulation.imaging.acquisition import plan_acquisition
from simulation.imaging.appearance import RADIOGRAPH_SHARES, sample_family
from simulation.imaging.field_of_view import MIN_RADIOGRAPH_HEIGHT_MM, radiograph_field
from simulation.parameters import PatientParameters
from simulation.population.curve_patterns import scaled_curves
from simulation.population.sampling import sample_patient
from simulation.randomness import host_generator, patient_seed
from simulation.stream.posed import PosedPatient, render_in_batches, with_landmarks
from simulation.stream.stream_config import impossible_numbers, not_whole, require_none
from spine.landmarks import VERTEBRAE
from spine.types import Bool, Float

CORNER_NAMES = tuple(f"{v}_{plate}_{side}" for v in VERTEBRAE for plate in ("sup", "inf") for side in ("right", "left"))
"""The corners of T1..L5 in the order of the public labels. The left of the image, the patient's right, comes first."""

_FIELD_STREAM, _FAMILY_STREAM, _INDICATION_STREAM, _SEVERITY_STREAM = 51, 52, 53, 54
_ATTEMPTS = 64

_OPERATED_WEIGHT = 0.4
"""How often an operated patient has a radiograph, relative to other patients."""

SEVERE_COBB_DEG = (45.0, 95.0)
"""Range of the largest Cobb angle of a severe curve. All angles in it are equally frequent, which is a choice."""


@dataclass(frozen=True)
class FrontalRadiographs:
    """Plain frontal radiographs of N patients.

    Attributes:
        images: images as (N, H, W) uint8.
        corners: positions (column, row) in pixels: upper left, upper right, lower left, lower right in the image.
        visible: whether each corner is on the image.
    """

    images: Tensor
    corners: Float[Tensor, "N 17 4 2"]
    visible: Bool[Tensor, "N 17 4"]


class PosedRadiographs(Dataset[PosedPatient]):
    """The patients of frontal radiographs, posed on the CPU.

    ``severe_share`` is the share of patients with a severe scoliosis that was not operated on; the largest Cobb angles
    of these patients are in ``SEVERE_COBB_DEG``.
    """

    def __init__(
        self,
        count: int,
        seed: int,
        shape: tuple[int, int],
        first: int = 0,
        names: Sequence[str] = CORNER_NAMES,
        severe_share: float = 0.0,
    ) -> None:
        self.count, self.seed, self.shape, self.first, self.names = count, seed, shape, first, tuple(names)
        self.severe_share = severe_share

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> PosedPatient:
        """Radiograph ``first + index``."""
        seed, parameters = self._select_patient(index)
        patient = build_patient(parameters, seed)
        field = radiograph_field(patient, self.shape, host_generator(seed, _FIELD_STREAM))
        family = sample_family(host_generator(seed, _FAMILY_STREAM), RADIOGRAPH_SHARES)
        acquisition = plan_acquisition(field.geometry, seed, family, field.bounds, field.point_source)
        return with_landmarks(patient, {"frontal": acquisition}, self.names, MIN_RADIOGRAPH_HEIGHT_MM / self.shape[0])

    def _select_patient(self, index: int) -> tuple[int, PatientParameters]:
        """Seed and parameters of the first candidate who has an indication for a radiograph."""
        severity = host_generator(patient_seed(self.seed, self.first + index), _SEVERITY_STREAM)
        severe = bool(severity.random() < self.severe_share)
        for attempt in range(_ATTEMPTS):
            seed = patient_seed(self.seed, (self.first + index) * _ATTEMPTS + attempt)
            parameters = sample_patient(seed)
            if parameters.anatomy != "standard":
                continue
            if severe and parameters.condition == "adolescent_scoliosis":
                return seed, _with_severe_curves(parameters, float(severity.uniform(*SEVERE_COBB_DEG)))
            if not severe and _has_indication(parameters, host_generator(seed, _INDICATION_STREAM)):
                return seed, parameters
        raise RuntimeError(
            f"none of {_ATTEMPTS} sampled patients has an indication for radiograph {self.first + index} of seed "
            f"{self.seed}; expected at least one such patient: choose another seed"
        )


def _with_severe_curves(parameters: PatientParameters, major_deg: float) -> PatientParameters:
    column = vertebral_column(parameters.anatomy)
    return replace(parameters, curves=scaled_curves(parameters.curves, major_deg, column))


def _has_indication(parameters: PatientParameters, rng: np.random.Generator) -> bool:
    """Whether the patient has a reason for a radiograph. The reason is usually a curve, so straight spines are rare."""
    major = max((curve.cobb_deg for curve in parameters.curves), default=0.0)
    probability = np.interp(major, [8.0, 50.0], [0.06, 1.0])
    return bool(rng.random() < probability * (_OPERATED_WEIGHT if parameters.instrumentation else 1.0))


def frontal_radiographs(
    count: int,
    seed: int,
    shape: tuple[int, int] = (896, 384),
    device: torch.device | str = "cpu",
    workers: int = 0,
    batch_size: int = 16,
    first: int = 0,
) -> FrontalRadiographs:
    """Render the radiographs ``first`` to ``first + count - 1``; the images stay on the device.

    Raises:
        ValuesRejected: a number is not possible. This error is a ``ValueError``.
    """
    found = [*impossible_numbers(count, seed, shape, batch_size, first), *not_whole("workers", workers, 0)]
    require_none("RADIOGRAPHS_IMPOSSIBLE", found)
    images = torch.empty(count, *shape, dtype=torch.uint8, device=device)
    corners, visible, done = [], [], 0
    radiographs = PosedRadiographs(count, seed, shape, first)
    for batch in render_in_batches(radiographs, batch_size, device, workers):
        image = batch.images["frontal"][:, 0]
        images[done : done + len(image)] = (image * 255).round().to(torch.uint8)
        corners.append(batch.landmarks["frontal"])
        visible.append(batch.present["frontal"])
        done += len(image)
    return FrontalRadiographs(
        images, torch.cat(corners).unflatten(1, (17, 4)), torch.cat(visible).unflatten(1, (17, 4))
    )

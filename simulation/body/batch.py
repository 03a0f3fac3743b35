"""N patients as tensors, padded to one shape.

Contract: float32. Every patient has V = ``SLOTS`` vertebrae, cranial to caudal. A missing vertebra is a copy of the
patient's last vertebra with ``present`` 0. A patient's row does not depend on the other patients of the batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulation.anatomy import CERVICAL
from simulation.body.constants import float_tensor
from simulation.parameters import PatientParameters
from simulation.pose.chest import axial_rotations, chest_half_depth, chest_half_width, sideways, sternum_ends
from simulation.pose.habitus import GAINS, LEFT_RIGHT, Habitus, arm_joints
from simulation.pose.spine_pose import PosedSpine, pedicle_centres
from spine.landmarks import VERTEBRAE
from spine.types import Float

SLOTS = 23
"""Largest number of vertebrae: C3..C7, T1..T12, one transitional vertebra, L1..L5."""

_LUMBAR_SHAPE = {"T11": 0.33, "T12": 0.67, "T13": 0.85} | {f"L{i}": 1.0 for i in range(1, 7)}
"""Level -> shape from 0 (cervical and thoracic) to 1 (lumbar)."""

_DROOP_AT = ("C3", "T1", "T5", "T9", "T12", "L6")
_DROOP = (0.25, 0.35, 0.95, 1.0, 0.35, 0.15)
"""Downward angle of the spinous processes at the levels ``_DROOP_AT``, radians."""

_ORDER = (*CERVICAL, *VERTEBRAE[:12], "T13", *VERTEBRAE[12:], "L6")


@dataclass(frozen=True)
class PatientBatch:
    """N patients on one device; mm, LPS, float32.

    Attributes:
        present: 1 where the patient has this vertebra, else 0.
        lumbar: shape from 0 (thoracic) to 1 (lumbar).
        droop: downward angle of the spinous process, radians.
        wall: thickness of the wall of the vertebral body.
        centre, axes: centres and axes of the upper and lower plate.
        plate_half: half-width and half-depth of both plates.
        canal: depth of the spinal canal.
        spinous, transverse: length of the spinous process, span of the transverse processes.
        pedicle_size: width and height of the pedicles.
        pedicle: centres of the pedicles, left then right.
        sclerosis, osteophyte: severity at both plates, 0 to 1.
        body_scale: density of a body relative to the patient's other bodies.
        arch: 0 where the lamina and the spinous process were removed, else 1.
        axial_rotation, sideways, chest_half_width, chest_half_depth: figures of the rib cage at T1..T12 (``chest``).
        thirteenth: 1 if the patient has a T13 with ribs, else 0.
        sternum: upper and lower end of the sternum.
        arms: positions of shoulder, elbow and hand of both sides.
        raised: 1 if the arms are raised, else 0.
        style, gains: the fields of ``Habitus``.
        lofts, ellipsoids, gas, vessels, fat: the soft tissue from ``SoftTissue.arrays``.
        bars, rods, rod_weight, plates: the metal from ``Metal.arrays``.
    """

    present: Float[Tensor, "N V"]
    lumbar: Float[Tensor, "N V"]
    droop: Float[Tensor, "N V"]
    wall: Float[Tensor, "N V"]
    centre: Float[Tensor, "N V 2 3"]
    axes: Float[Tensor, "N V 2 3 3"]
    plate_half: Float[Tensor, "N V 2 2"]
    height: Float[Tensor, "N V"]
    canal: Float[Tensor, "N V"]
    spinous: Float[Tensor, "N V"]
    transverse: Float[Tensor, "N V"]
    pedicle_size: Float[Tensor, "N V 2"]
    pedicle: Float[Tensor, "N 2 V 3"]
    sclerosis: Float[Tensor, "N V 2"]
    osteophyte: Float[Tensor, "N V 2"]
    body_scale: Float[Tensor, "N V"]
    arch: Float[Tensor, "N V"]
    s1_centre: Float[Tensor, "N 3"]
    s1_axes: Float[Tensor, "N 3 3"]
    s1_half: Float[Tensor, "N 2"]
    s1_to_hips: Float[Tensor, " N"]
    hip_spacing: Float[Tensor, " N"]
    hip_radius: Float[Tensor, " N"]
    size: Float[Tensor, " N"]
    density: Float[Tensor, " N"]
    pelvis_axes: Float[Tensor, "N 3 3"]
    hips: Float[Tensor, "N 2 3"]
    axial_rotation: Float[Tensor, "N 12"]
    sideways: Float[Tensor, "N 12"]
    chest_half_width: Float[Tensor, "N 12"]
    chest_half_depth: Float[Tensor, "N 12"]
    thirteenth: Float[Tensor, " N"]
    sternum: Float[Tensor, "N 2 3"]
    arms: Float[Tensor, "N 2 3 3"]
    raised: Float[Tensor, " N"]
    style: Float[Tensor, "N 12"]
    gains: Float[Tensor, "N 9"]
    lofts: Float[Tensor, "N S K 4"]
    ellipsoids: Float[Tensor, "N E 13"]
    gas: Float[Tensor, "N G 13"]
    vessels: Float[Tensor, "N W 7"]
    fat: Float[Tensor, " N"]
    bars: Float[Tensor, "N B 8"]
    rods: Float[Tensor, "N R M 3"]
    rod_weight: Float[Tensor, "N R"]
    plates: Float[Tensor, "N Q 14"]

    def __len__(self) -> int:
        return len(self.size)

    def scaled(self, *mm: float) -> Float[Tensor, "N K"]:
        """The K lengths ``mm`` of an adult man, scaled to the size of each patient, mm."""
        return float_tensor(self.device, *mm) * self.size[:, None]

    def gain(self, kind: str) -> Float[Tensor, "N 1"]:
        """Density of one kind of bone relative to the mean; ``habitus.GAINS`` lists the kinds."""
        at = GAINS.index(kind)
        return self.gains[:, at : at + 1]

    @property
    def device(self) -> torch.device:
        """The device of all tensors."""
        return self.size.device

    @property
    def body_centre(self) -> Float[Tensor, "N V 3"]:
        """The points midway between the centres of the two plates of each vertebra."""
        return self.centre.mean(dim=2)

    @property
    def body_axes(self) -> Float[Tensor, "N V 3 3"]:
        """Orthonormal axes of the bodies, midway between the axes of their two plates."""
        mean = self.axes.mean(dim=2)
        z = torch.nn.functional.normalize(mean[..., 2], dim=-1)
        y = torch.nn.functional.normalize(mean[..., 1] - (mean[..., 1] * z).sum(-1, keepdim=True) * z, dim=-1)
        return torch.stack([torch.linalg.cross(y, z), y, z], dim=-1)


Arrays = Mapping[str, NDArray[np.float32]]


def patient_arrays(
    parameters: PatientParameters, spine: PosedSpine, habitus: Habitus
) -> dict[str, NDArray[np.float32]]:
    """Name -> array of one patient for a ``PatientBatch``. Soft tissue and metal are not included."""
    names = spine.levels
    keep = np.minimum(np.arange(SLOTS), len(names) - 1)
    row = {name: np.asarray(array)[keep] for name, array in _per_level(parameters, spine).items()}
    row["present"] = (np.arange(SLOTS) < len(names)).astype(float)
    row["pedicle"] = pedicle_centres(spine)[:, keep]
    row |= _other_parts(spine, habitus)
    row |= {"density": np.asarray(parameters.bone_density), "thirteenth": np.asarray(float("T13" in names))}
    return {name: np.asarray(array, dtype=np.float32) for name, array in row.items()}


def _per_level(parameters: PatientParameters, spine: PosedSpine) -> dict[str, NDArray[np.float64]]:
    """Name -> (V, ...) array with one row for each vertebra."""
    names, sizes = spine.levels, spine.sizes
    rank = [_ORDER.index(name) for name in names]
    at = [_ORDER.index(name) for name in _DROOP_AT]
    laminectomy = _without_arch(parameters)
    return {
        "lumbar": np.array([_LUMBAR_SHAPE.get(name, 0.0) for name in names]),
        "droop": np.interp(rank, at, _DROOP),
        "wall": np.interp(rank, [0, _ORDER.index("T10"), _ORDER.index("L2")], [1.4, 1.4, 1.25]),
        "centre": spine.centre,
        "axes": spine.axes,
        "plate_half": np.stack([sizes.plate_width, sizes.plate_depth], axis=-1) / 2,
        "height": sizes.height,
        "canal": sizes.canal_depth,
        "spinous": sizes.spinous_length,
        "transverse": sizes.transverse_span,
        "pedicle_size": np.stack([sizes.pedicle_width, sizes.pedicle_height], axis=-1),
        "sclerosis": sizes.sclerosis,
        "osteophyte": sizes.osteophyte,
        "body_scale": _body_scale(parameters, names),
        "arch": np.array([name not in laminectomy for name in names], dtype=float),
    }


def _other_parts(spine: PosedSpine, habitus: Habitus) -> dict[str, NDArray[np.float64]]:
    """Name -> array that describes the pelvis, the rib cage, the arms or the build."""
    sizes = spine.sizes
    return {
        "s1_centre": spine.s1_centre,
        "s1_axes": spine.s1_axes,
        "s1_half": np.array([sizes.s1_width, sizes.s1_depth]) / 2,
        "s1_to_hips": np.asarray(sizes.s1_to_hips),
        "hip_spacing": np.asarray(sizes.hip_spacing),
        "hip_radius": np.asarray(spine.hip_radius),
        "pelvis_axes": spine.pelvis_axes,
        "hips": spine.hips,
        "size": np.asarray(habitus.size),
        "axial_rotation": axial_rotations(spine),
        "sideways": sideways(spine),
        "chest_half_width": chest_half_width(habitus),
        "chest_half_depth": chest_half_depth(habitus),
        "sternum": np.stack(sternum_ends(spine, habitus)),
        "arms": np.stack([np.stack(arm_joints(spine, habitus, side)) for side in LEFT_RIGHT]),
        "raised": np.asarray(float(habitus.posture == "raised")),
        "style": habitus.style,
        "gains": habitus.gains,
    }


def collate(rows: Sequence[Arrays], device: torch.device | str = "cpu") -> PatientBatch:
    """Stack rows of ``VirtualPatient.arrays`` into a batch."""
    names = [field.name for field in fields(PatientBatch)]
    return PatientBatch(**{n: torch.from_numpy(np.stack([row[n] for row in rows])).to(device) for n in names})


def tensors_of(batch: PatientBatch) -> dict[str, Tensor]:
    """Name -> tensor of a batch."""
    return {field.name: getattr(batch, field.name) for field in fields(PatientBatch)}


def _without_arch(parameters: PatientParameters) -> set[str]:
    """Levels whose lamina and spinous process were removed."""
    construct = parameters.instrumentation
    if construct is None or not construct.laminectomy:
        return set()
    end = len(_ORDER) if construct.lower == "S1" else _ORDER.index(construct.lower) + 1
    return set(_ORDER[_ORDER.index(construct.upper) + 1 : end])


def _body_scale(parameters: PatientParameters, names: Sequence[str]) -> NDArray[np.float64]:
    """(V,) relative density of the bodies. A fractured body is denser: it has the same bone in a smaller volume."""
    loss = {fracture.level: fracture.loss for fracture in parameters.fractures}
    return np.array([1.0 / (1.0 - 0.5 * loss.get(name, 0.0)) for name in names])

"""Bones behind the vertebral bodies: pedicles, articular processes, laminae, transverse and spinous processes.

Contract: positions are measured along the axes of the vertebral body. The centres of the pedicles are those that
``spine_pose`` computes. Thicknesses are choices that make images look like real frontal radiographs.
"""

import torch
from torch import Tensor

from simulation.body.batch import SLOTS, PatientBatch
from simulation.body.constants import float_tensor
from simulation.body.surfaces import Bones, Filling, Shell, bar
from simulation.pose.spine_pose import PEDICLE_MORE_MM, PEDICLE_OF_CANAL
from spine.types import Float

_WIDEST_PEDICLE_MM = 6.2  # limit of the radius, because the broad pedicles of L4 and L5 lie oblique to the beam
_RIND_MM, _CORE, _LUMBAR_RIND_MM, _LUMBAR_CORE = 0.8, 0.7, 0.4, 1.5  # cortex in mm, fraction of spongiosa
_CONVERGE, _CONVERGE_LUMBAR = 0.1, 0.16  # tangents of pedicles' angle to mid-line; screws' angle differs a little
LEVELS = tuple(f"slot{i}" for i in range(SLOTS))


def build_arches(batch: PatientBatch) -> Bones:
    """All bones behind the vertebral bodies."""
    return _arches(batch) + _processes(batch)


def _local(batch: PatientBatch, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """(N, V, 3) points at offsets (left, back, up) in mm from the centre of each body, along its axes."""
    offset = torch.stack(torch.broadcast_tensors(x, y, z), dim=-1)
    return batch.body_centre + (batch.body_axes @ offset[..., None])[..., 0]


def _pair(first: Tensor, second: Tensor) -> Tensor:
    return torch.stack(torch.broadcast_tensors(first, second), dim=-1)


def pedicle_length(batch: PatientBatch) -> Float[Tensor, "N V"]:
    """Distance from the posterior wall of the body to the facets, mm."""
    return PEDICLE_OF_CANAL * batch.canal + PEDICLE_MORE_MM


def _back(batch: PatientBatch) -> Tensor:
    """(N, V) distance from the centre of the body to its posterior wall, mm."""
    return batch.plate_half[..., 1].mean(dim=2)


def _arches(batch: PatientBatch) -> Bones:
    """Pedicles, articular processes and laminae on both sides."""
    axes, there, height = batch.body_axes, batch.present, batch.height
    up, length = axes[..., 2], pedicle_length(batch)
    behind = _back(batch) + length
    bones = Bones()
    for side, pedicle_centre in zip((1.0, -1.0), batch.pedicle.unbind(1), strict=True):
        # Pedicles converge towards the front, because parallel walls would lie along frontal rays. Lumbar pedicles
        # converge most.
        outward = side * (_CONVERGE + _CONVERGE_LUMBAR * batch.lumbar)[..., None] * axes[..., 0]
        along = (axes[..., 1] + outward) * (0.5 * length + 1.5)[..., None]
        radii = (batch.pedicle_size / 2).clamp(max=_WIDEST_PEDICLE_MM)
        pedicle, _ = bar(pedicle_centre - along, pedicle_centre + along, up, 1.06 * radii, 0.94 * radii, 4, 0.2)
        wall = 0.85 * batch.gain("pedicle") * there
        bones = bones + Bones((Shell("pedicle", pedicle, wall, bones=LEVELS),))
        x = _offset(batch, pedicle_centre)
        bones = bones + _facets(batch, x, behind)
        arch = behind + 0.55 * batch.canal
        near, far = (_pair(float_tensor(batch.device, 2.3), share * height) for share in (0.26, 0.36))
        start, end = (x * 0.9, behind + 1, -0.08 * height), (0 * x, arch, -0.27 * height)
        grid = bar(_local(batch, *start), _local(batch, *end), up, near, far)
        amount = (1.1 + 0.6 * batch.lumbar) * batch.gain("arch") * there * batch.arch
        bones = bones + _dense_bone("lamina", grid, batch.lumbar, amount)
    return bones


def _dense_bone(name: str, grid: tuple[Tensor, Tensor], lumbar: Tensor, amount: Tensor) -> Bones:
    """A small dense bone. In the lumbar spine, most mineral is inside, and the bone looks like a patch, not a ring."""
    surface, axis = grid
    rind = Shell(name, surface, (_RIND_MM + (_LUMBAR_RIND_MM - _RIND_MM) * lumbar) * amount, bones=LEVELS)
    core = (_CORE + (_LUMBAR_CORE - _CORE) * lumbar) * amount
    return Bones((rind,), (Filling(name, surface, axis, core, 2.0),))


def _offset(batch: PatientBatch, pedicle_centre: Tensor) -> Tensor:
    """(N, V) offset of a pedicle to the left of the mid-line, mm."""
    return ((pedicle_centre - batch.body_centre) * batch.body_axes[..., 0]).sum(-1)


def _facets(batch: PatientBatch, x: Tensor, behind: Tensor) -> Bones:
    """The upper and lower articular processes of one side.

    The upper processes enclose the lower processes of the vertebra above. Lumbar processes are wide apart and reach
    over the discs. With the laminae, they form a shape like a butterfly behind the body. Thoracic processes are short
    and flat.
    """
    height, lumbar, back = batch.height, batch.lumbar, batch.body_axes[..., 1]
    worn = 1.0 + 0.35 * batch.sclerosis.mean(dim=2)
    flat = _pair(2.6 + 1.2 * lumbar, 2.0 + 1.2 * lumbar) * worn[..., None]
    upper = (0.93 + 0.07 * lumbar) * x, (0.92 + 0.15 * lumbar) * x, behind + 1.0, 0.1 * height, 0.74 * height
    lower = (0.86 + 0.02 * lumbar) * x, (0.78 + 0.02 * lumbar) * x, behind + 4.0, 0.0 * height, -0.86 * height
    thickness = (0.9 + 0.6 * lumbar) * batch.gain("arch") * worn * batch.present * (0.4 + 0.6 * batch.arch)
    found = Bones()
    for near, far, y, start, end in (upper, lower):
        grid = bar(_local(batch, near, y, start), _local(batch, far, y + 0.8, end), back, flat, 1.15 * flat, 6, 0.2)
        found = found + _dense_bone("facet", grid, lumbar, thickness)
    return found


def _processes(batch: PatientBatch) -> Bones:
    """Transverse processes on both sides and the spinous process."""
    up, lumbar, height = batch.body_axes[..., 2], batch.lumbar, batch.height
    back = _back(batch)
    behind = back + pedicle_length(batch)
    wide = (1 + 0.06 * batch.style[:, 2])[:, None]
    tilt = 0.06 * batch.style[:, 3][:, None]
    shells: list[Shell] = []
    for side, pedicle_centre in zip((1.0, -1.0), batch.pedicle.unbind(1), strict=True):
        start = _local(batch, _offset(batch, pedicle_centre), behind, 0.12 * height)
        tip_y = behind + 9.0 * (1 - lumbar) + 2.0 * lumbar
        tip = _local(batch, side * batch.transverse / 2 * wide, tip_y, (0.32 - 0.15 * lumbar + tilt) * height)
        thick = _pair(float_tensor(batch.device, 2.8), (0.2 - 0.03 * lumbar) * height)
        shells.append(
            Shell(
                "transverse",
                bar(start, tip, up, thick, thick * 0.65)[0],
                (0.85 - 0.3 * lumbar) * batch.gain("transverse") * batch.present,
                bones=LEVELS,
            )
        )
    arch = behind + 0.55 * batch.canal - 1.0
    reach = (back + batch.spinous * (1 + 0.06 * batch.style[:, 4])[:, None] - arch).clamp(min=12.0)
    start = _local(batch, 0 * arch, arch, -0.2 * height)
    tip = _local(batch, 0 * arch, arch + reach * batch.droop.cos(), -0.2 * height - reach * batch.droop.sin())
    # On a frontal radiograph, a thin blade with a thicker edge looks like a line and not like a ring.
    tall = _pair(2.0 - 0.6 * lumbar, height * (0.2 + 0.14 * lumbar))
    taper = float_tensor(batch.device, 1.5, 0.95)
    grid = bar(start, tip, up, tall, tall * taper)[0]
    shells.append(
        Shell("spinous", grid, (0.9 - 0.4 * lumbar) * batch.gain("spinous") * batch.present * batch.arch, bones=LEVELS)
    )
    return Bones(tuple(shells))

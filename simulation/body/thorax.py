"""The rib cage: ribs and sternum.

Contract: every rib starts at its own vertebra and rotates with this vertebra, so a rotated spine has a rib hump on the
convex side. The front of the rib cage follows only a share of the rotation.
"""

import math

import torch
from torch import Tensor

from simulation.anatomy import T1_INDEX
from simulation.body.batch import PatientBatch
from simulation.body.constants import float_tensor
from simulation.body.surfaces import Bones, Shell, bar, tube
from simulation.pose.chest import FRONT_FOLLOWS

_SLOPE_DEG = (36, 35, 34, 34, 34, 35, 37, 39, 42, 45, 49, 55.0, 55.0)
_TALL_MM = (6.3, 6.2, 5.8, 5.3, 4.9, 4.9, 4.9, 4.9, 4.9, 4.9, 4.9, 4.6, 4.2)
"""Half the height of each rib at its back."""
_REACH_DEG = (150, 152, 150, 148, 146, 144, 142, 138, 132, 124, 92, 62.0, 38.0)
_STRAIGHT = (0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.75, 0.8, 0.85, 0.9, 1.0, 1.0)
"""How evenly each rib descends along its arc. At 0 it descends late and steeply; at 1 it descends from the start."""
_HEAD_AT = (0.15, 0.42, 0.45, 0.45, 0.45, 0.45, 0.45, 0.45, 0.42, 0.35, 0.15, 0.1, 0.1)
"""Height of each rib's head above the middle of its vertebra, as a share of the height of the body. The heads of ribs 2
to 9 are at the disc above the vertebra, the heads of the other ribs on the body."""
_HEAD_DEG = 8.0  # angle at which a rib starts on its arc
_STEPS = 34
_CORTEX_MM = 1.6
_RIBS = 13
"""Number of pairs of ribs; the last pair belongs to T13."""


def build_thorax(batch: PatientBatch) -> Bones:
    """Ribs and sternum."""
    return _ribs(batch) + _sternum(batch)


def _ribs(batch: PatientBatch) -> Bones:
    """The ribs of T1..T13 on both sides. Each rib is a tube along a sloping part of an ellipse."""
    t = torch.linspace(0.0, 1.0, _STEPS, device=batch.device)
    reach = float_tensor(batch.device, *_REACH_DEG)[:, None]
    angle = torch.deg2rad(_HEAD_DEG + (reach - _HEAD_DEG) * t)  # (R, M): 0 at the back, 180 in front
    there = torch.ones(len(batch), _RIBS, device=batch.device)
    there[:, -1] = batch.thirteenth
    radii, up = _rib_radii(batch, t), float_tensor(batch.device, 0.0, 0.0, 1.0)
    shells = []
    for side, word in ((1.0, "left"), (-1.0, "right")):
        grid = tube(_rib_path(batch, t, angle, side), radii, up, 12)
        names = tuple(f"rib {i + 1} {word}" for i in range(_RIBS))
        shells.append(Shell("rib", grid, _CORTEX_MM * batch.gain("rib") * there, 1.15, names))
    return Bones(tuple(shells))


def _rib_path(batch: PatientBatch, t: Tensor, angle: Tensor, side: float) -> Tensor:
    """(N, R, M, 3) axes of one side's ribs; ``t`` (M,) runs from 0 to 1, and ``angle`` (R, M) runs around the cage."""
    device, size, own = batch.device, batch.size[:, None, None], slice(T1_INDEX, T1_INDEX + _RIBS)
    width, depth = (_with_thirteenth(v)[..., None] for v in (batch.chest_half_width, batch.chest_half_depth))
    axial_rotation, aside = (_with_thirteenth(v)[..., None] for v in (batch.axial_rotation, batch.sideways))
    head_x, head_y = (half[..., None] for half in batch.plate_half[:, own].mean(dim=2).unbind(-1))
    joint = float_tensor(device, *_HEAD_AT)[:, None] * batch.height[:, own, None]
    around, straight = 1 - angle.cos(), float_tensor(device, *_STRAIGHT)[:, None]
    at_head = math.sin(math.radians(_HEAD_DEG)) ** 0.9
    bow = (angle.sin() ** 0.9 - at_head) / (1 - at_head)  # 0 at the head, 1 where the cage is widest
    x = side * (0.95 * head_x + (width - 0.95 * head_x) * bow)
    y = -depth * around + head_y + 17.0 * size * torch.sin(math.pi * (t * 3.2).clamp(max=1)) - 4
    # Lower ribs descend from their joints; upper ribs are level at first.
    slope = torch.deg2rad(float_tensor(device, *_SLOPE_DEG) + 6.0 * batch.style[:, 8, None])[..., None]
    fall = (1 - straight) * around + straight * 1.15 * angle / (math.pi / 2)
    drop = slope.tan() * (0.62 * depth * fall + 5 * t)
    drop = drop - drop[..., :1]  # the descent of a rib starts at its head
    # The back of a rib rotates with its vertebra. The front rotates less.
    turn = axial_rotation * (1 - (1 - FRONT_FOLLOWS) * (angle / math.pi * 1.3).clamp(0, 1))
    turned = torch.stack([x * turn.cos() - y * turn.sin(), x * turn.sin() + y * turn.cos(), joint - drop], dim=-1)
    lag = aside * (angle / (math.pi / 2)).clamp(0, 1)
    path = batch.body_centre[:, own, None] + turned
    return path + torch.stack([lag, torch.zeros_like(lag), torch.zeros_like(lag)], dim=-1)


def _rib_radii(batch: PatientBatch, t: Tensor) -> Tensor:
    """(N, R, M, 2) half-thickness and half-height. A rib is slender at head and neck, and tapered at the front end."""
    size = batch.size[:, None, None]
    neck = (0.7 + 0.3 * (t / 0.13).clamp(max=1)) * (0.45 + 0.55 * ((1 - t) / 0.12).clamp(max=1))
    tall = float_tensor(batch.device, *_TALL_MM)[:, None] - 0.9 * t
    radii = torch.stack(torch.broadcast_tensors(2.7 * size * neck, tall * size * neck), dim=-1)
    return radii.expand(len(batch), _RIBS, _STEPS, 2) * (1 + 0.06 * batch.style[:, 9])[:, None, None, None]


def _with_thirteenth(values: Tensor) -> Tensor:
    """(N, 13) values from (N, 12) values of T1..T12. The thirteenth pair of ribs is like the twelfth."""
    return torch.cat([values, values[:, -1:]], dim=1)


def _sternum(batch: PatientBatch) -> Bones:
    flat = float_tensor(batch.device, 14.0, 4.0) * batch.size[:, None]
    ahead = float_tensor(batch.device, 0.0, -1.0, 0.2)
    bone, _ = bar(batch.sternum[:, 0], batch.sternum[:, 1], ahead, flat * 1.3, flat * 0.8, 10, 0.08)
    ones = torch.ones(len(batch), 1, device=batch.device)
    return Bones((Shell("sternum", bone[:, None], 0.6 * ones, 2.0, ("sternum",)),))

"""Femora and tibiae: heads, necks with their trochanters, shafts, condyles.

Contract: the femoral head is a sphere about the hip centre with the radius of the reconstruction. One surface begins on
that sphere and runs from the neck to the condyles. Neighbouring grids of this surface share a ring, so that their
outlines do not cross. Legs are vertical at any tilt of the pelvis. The neck-shaft angle is about 127 degrees
(docs/sources.md, population and anatomy). The other numbers of the table are a choice.
"""

import torch
from torch import Tensor

from simulation.body.batch import PatientBatch
from simulation.body.constants import float_tensor
from simulation.body.surfaces import Bones, Filling, Shell, ball, bar, smooth, tube
from simulation.pose.habitus import LEFT_RIGHT

_HEAD_MM = 23.5
"""All lengths of the tables belong to a femur whose head has this radius."""
_FEMUR = (
    # Position (outwards, back, up) from the hip, half-width, half-depth, weights of the greater and lesser trochanter
    (13.9, 1.2, -10.7, 15.6, 15.6, 0.0, 0.0),
    (19.0, 1.5, -14.7, 14.6, 13.5, 0.0, 0.0),
    (25.3, 2.2, -19.8, 14.6, 12.5, 0.0, 0.0),
    (32.0, 3.0, -26.5, 16.0, 13.5, 0.05, 0.0),
    (39.0, 4.0, -36.5, 18.5, 15.0, 0.5, 0.1),
    (44.5, 5.0, -48.0, 19.0, 16.5, 1.0, 0.5),
    (48.0, 5.0, -62.0, 17.5, 16.5, 0.65, 1.0),
    (49.0, 5.0, -80.0, 15.6, 15.5, 0.1, 0.6),
    (48.0, 5.0, -105.0, 14.3, 14.3, 0.0, 0.0),
    (44.0, 3.0, -160.0, 13.6, 13.6, 0.0, 0.0),
    (36.0, 0.0, -250.0, 13.2, 13.2, 0.0, 0.0),
    (28.0, -3.0, -340.0, 14.5, 14.0, 0.0, 0.0),
    (23.0, -4.0, -385.0, 19.0, 16.0, 0.0, 0.0),
    (21.0, -3.0, -412.0, 29.0, 20.0, 0.0, 0.0),
    (20.0, 0.0, -430.0, 39.0, 27.0, 0.0, 0.0),
    (20.0, 2.0, -444.0, 40.0, 30.0, 0.0, 0.0),
    (20.0, 2.0, -456.0, 35.0, 27.0, 0.0, 0.0),
    (20.0, 2.0, -464.0, 20.0, 16.0, 0.0, 0.0),
    (20.0, 2.0, -466.0, 0.0, 0.0, 0.0, 0.0),
)
_PER_ROW = 3
_PARTS = (
    (0, 7, 1.5, 0.85),
    (7, 8, 2.3, 0.4),
    (8, 9, 3.0, 0.15),
    (9, 11, 3.6, 0.0),
    (11, 12, 2.7, 0.1),
    (12, 13, 1.8, 0.4),
    (13, 18, 1.1, 0.7),
)
"""Parts of the femur: first and last row of the table, thickness of the cortex in mm, fraction of spongiosa."""
_GREATER, _LESSER = ((0.75, 0.15, 0.64), (3.0, 7.0, 36.0)), ((-0.75, 0.6, -0.28), (-9.0, 8.0, -2.0))
"""Direction of each trochanter from the axis of the bone, and displacement of the surface there, mm."""


def build_legs(batch: PatientBatch) -> Bones:
    """The bones of both legs. The right leg is a mirror image of the left leg."""
    device, ones = batch.device, torch.ones(len(batch), 1, device=batch.device)
    controls = float_tensor(device, *_FEMUR)
    rings = smooth(controls, (len(_FEMUR) - 1) * _PER_ROW + 1).clamp(min=controls.amin(0))
    size = (batch.hip_radius / _HEAD_MM)[:, None]
    found = Bones()
    sides = zip(LEFT_RIGHT, batch.hips.unbind(1), ("left", "right"), strict=True)
    for side, hip, word in sides:
        bones, mirror = (f"femur {word}",), float_tensor(device, side, 1.0, 1.0)
        head, axis = ball(hip, torch.eye(3, device=device) * batch.hip_radius[:, None, None], 14, 28)
        found = found + Bones(
            (Shell("femoral head", head[:, None], 1.0 * ones, bones=bones),),
            (Filling("femoral head", head[:, None], axis[:, None], 1.15 * ones),),
        )
        surface, path = _femur(rings, size, hip, mirror)
        for first, last, cortex, spongiosa in _PARTS:
            part = slice(first * _PER_ROW, last * _PER_ROW + 1)
            grid, along = surface[:, None, part], path[:, None, part]
            shell = Shell("femur", grid, cortex * ones, 1.5, bones)
            inside = (Filling("femur", grid, along, spongiosa * ones, 4.5),) if spongiosa else ()
            found = found + Bones((shell,), inside)
        found = found + Bones((_tibia(hip, size, mirror, ones, word),))
    return found


def _femur(rings: Tensor, size: Tensor, hip: Tensor, mirror: Tensor) -> tuple[Tensor, Tensor]:
    """(N, M, K, 3) surface and (N, M, 3) axis of one femur without its head, from (M, 7) rows like ``_FEMUR``."""
    place, radii, greater, lesser = rings[:, :3], rings[:, 3:5], rings[:, 5], rings[:, 6]
    grid = tube(place, radii, float_tensor(rings.device, 0.0, 1.0, 0.0), 20)  # (M, K, 3)
    out = (grid - place[:, None]) / radii.amax(dim=1).clamp(min=1.0)[:, None, None]
    for amount, (way, draw), sharp in ((greater, _GREATER, 2), (lesser, _LESSER, 4)):
        facing = (out @ float_tensor(rings.device, *way)).clamp(0, 1) ** sharp
        grid = grid + (amount[:, None] * facing)[..., None] * float_tensor(rings.device, *draw)
    scale = mirror * size
    return hip[:, None, None] + grid * scale[:, None, None], hip[:, None] + place * scale[:, None]


def _tibia(hip: Tensor, size: Tensor, mirror: Tensor, ones: Tensor, word: str) -> Shell:
    """The upper tibia, which is visible only on whole-body images."""
    device, ahead = hip.device, float_tensor(hip.device, 0.0, 1.0, 0.0)
    start, end = (hip + float_tensor(device, *at) * mirror * size for at in ((20.0, 2.0, -472.0), (18.0, 8.0, -836.0)))
    wide, slim = (float_tensor(device, *radii) * size for radii in ((33.0, 33.0), (12.0, 12.0)))
    return Shell("tibia", bar(start, end, ahead, wide, slim, 12, 0.06)[0][:, None], 2.2 * ones, 2.4, (f"tibia {word}",))

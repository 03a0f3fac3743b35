"""The bones above C3: axis, atlas, skull, mandible.

Contract: positions are relative to the upper plate of C3. Sizes are choices.
"""

import torch
from torch import Tensor

from simulation.body.batch import PatientBatch
from simulation.body.constants import float_tensor
from simulation.body.surfaces import Bones, Filling, Shell, ball, bar, tube
from simulation.pose.habitus import LEFT_RIGHT

Place = tuple[float, float, float]


def build_skull(batch: PatientBatch) -> Bones:
    """Axis, atlas, skull and mandible."""
    return _axis(batch) + _atlas(batch) + _skull(batch) + _jaw(batch)


def _at(batch: PatientBatch, place: Place) -> Tensor:
    """(N, 3) points from offsets (left, back, up) along the axes of the upper plate of C3, in mm of an adult man."""
    offset = batch.scaled(*place)
    return batch.centre[:, 0, 0] + (batch.axes[:, 0, 0] @ offset[..., None])[..., 0]


def _above(batch: PatientBatch, x: float, y: float, z: float) -> Tensor:
    """(N, 3) points from offsets along the patient frame: a head is level, whatever the tilt of C3."""
    return batch.centre[:, 0, 0] + batch.scaled(x, y, z)


def _solid(batch: PatientBatch, name: str, bone: str, ends: tuple[Place, Place], radii: tuple[float, ...]) -> Bones:
    """A bar of bone with spongiosa inside; ``radii`` are the two radii at its start, then the two radii at its end."""
    back = batch.axes[:, 0, 0, :, 1]
    start, end = (_at(batch, place) for place in ends)
    grid, axis = bar(start, end, back, batch.scaled(*radii[:2]), batch.scaled(*radii[2:]), 6, 0.12)
    shell = Shell(name, grid[:, None], 0.6 * batch.gain("shoulder"), 1.6, (bone,))
    return Bones((shell,), (Filling(name, grid[:, None], axis[:, None], 0.6 * batch.gain("shoulder")),))


def _axis(batch: PatientBatch) -> Bones:
    """C2: body, dens, spinous process, lateral parts."""
    body = _solid(batch, "axis", "C2", ((0, 0, 4.5), (0, 0, 23)), (9.0, 7.5, 8.0, 7.0))
    dens = _solid(batch, "dens", "C2", ((0, -1, 20), (0, 0, 39)), (5.2, 5.2, 4.6, 4.6))
    spinous = _solid(batch, "axis", "C2", ((0, 22, 12), (0, 42, 4)), (9.0, 4.0, 5.0, 4.5))
    sides = [
        _solid(batch, "axis", "C2", ((side * 9, 3, 16), (side * 16, 26, 10)), (5.0, 4.5, 4.0, 4.0))
        for side in LEFT_RIGHT
    ]
    return body + dens + spinous + sides[0] + sides[1]


def _atlas(batch: PatientBatch) -> Bones:
    """C1: the ring around the dens and the lateral masses."""
    device = batch.device
    turn = torch.linspace(0.0, 2 * torch.pi, 25, device=device)
    ring = torch.stack([21 * turn.sin(), 11 - 21 * turn.cos(), 33 + 0 * turn], dim=-1) * batch.size[:, None, None]
    path = batch.centre[:, :1, 0] + ring @ batch.axes[:, 0, 0].transpose(-1, -2)
    grid = tube(path, batch.scaled(3.2, 4.6)[:, None].expand(-1, 25, 2), float_tensor(device, 0.0, 0.0, 1.0), 12)
    masses = [
        _solid(batch, "atlas", "C1", ((side * 17, 2, 26), (side * 18, 2, 40)), (7.5, 7.5, 8.0, 8.0))
        for side in LEFT_RIGHT
    ]
    return Bones((Shell("atlas", grid[:, None], 1.0 * batch.gain("shoulder"), 1.6, ("C1",)),)) + masses[0] + masses[1]


def _skull(batch: PatientBatch) -> Bones:
    """Skull vault, skull base and upper teeth."""
    c3, device = batch.centre[:, 0, 0], batch.device
    centre = c3 + float_tensor(device, 0.0, -20.0, 118.0) * (0.4 + 0.6 * batch.size)[:, None]
    half = torch.diag(float_tensor(device, 72.0, 92.0, 80.0)) * (0.5 + 0.5 * batch.size)[:, None, None]
    case, _ = ball(centre, half, 16, 32)
    up = float_tensor(device, 0.0, 0.0, 1.0)
    ends = (_above(batch, 0, 26, 46), _above(batch, 0, -70, 64))
    base, _ = bar(*ends, up, batch.scaled(34, 8), batch.scaled(26, 18), 8, 0.15)
    ends = (_above(batch, -22, -70, 32), _above(batch, 22, -70, 32))
    teeth, _ = bar(*ends, up, *(batch.scaled(8, 12),) * 2, 8, 0.15)
    return Bones(
        (
            Shell("skull", case[:, None], 3.6 * batch.gain("shoulder"), 2.2, ("skull",)),
            Shell("skull base", base[:, None], 2.4 * batch.gain("shoulder"), 2.2, ("skull",)),
            Shell("teeth", teeth[:, None], 3.0 * batch.gain("shoulder"), 2.0, ("jaw",)),
        )
    )


def _jaw(batch: PatientBatch) -> Bones:
    """The body of the mandible and both rami."""
    device, up = batch.device, float_tensor(batch.device, 0.0, 0.0, 1.0)
    angle = torch.deg2rad(torch.linspace(-75, 75, 16, device=device))
    x, y = 46 * angle.sin(), -62 * angle.cos() + 8
    path = torch.stack([x, y - 20, 14 + 0.25 * (y + 54)], dim=-1) * batch.size[:, None, None]
    radii = float_tensor(device, 5.0, 13.0) * batch.size[:, None, None].expand(-1, 16, 1)
    grid = tube(batch.centre[:, :1, 0] + path, radii, up, 14)
    found = [Shell("jaw", grid[:, None], 1.6 * batch.gain("shoulder"), 2.2, ("jaw",))]
    ahead = float_tensor(device, 0.0, 1.0, 0.0)
    for side in LEFT_RIGHT:
        ends = (_above(batch, side * 44, -24, 18), _above(batch, side * 48, -6, 70))
        branch, _ = bar(*ends, ahead, batch.scaled(4.5, 15.0), batch.scaled(4.5, 10.0), 8, 0.1)
        found.append(Shell("jaw", branch[:, None], 1.4 * batch.gain("shoulder"), 2.2, ("jaw",)))
    return Bones(tuple(found))

"""The pelvis in place: sacrum with its S1 plate, iliac wings, acetabula, pubic and ischial rami, legs.

What belongs here: bone below L5. What does not: where S1 and the hips lie (``spine_pose``). Contract: the S1 plate
is drawn with exactly the margins its landmarks name, the femoral heads are spheres about the hip centres with the
recorded radius. Wings and rami hang between sacrum and hips, so they follow pelvic incidence. Figures:
docs/sources.md, population and anatomy (sacrum about 105 high and 112 wide, bicristal width 270-285, S1 centre 38
below the crest, neck-shaft angle 127 degrees).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from spine.phantom.body.batch import PatientBatch
from spine.phantom.body.constants import indices_on, numbers_on
from spine.phantom.body.surfaces import (
    Bones,
    Filling,
    Shell,
    ball,
    bar,
    cross,
    disc,
    outline,
    smooth,
    sweep,
    tube,
    unit,
)

_S1_AROUND, _S1_SQUARE = 32, 2.2
_SACRUM_AT = (0.0, 0.05, 0.12, 0.22, 0.35, 0.5, 0.65, 0.8, 0.92, 1.0)
_SACRUM_WIDTH = (1.0, 1.12, 1.72, 2.1, 2.12, 1.75, 1.35, 0.9, 0.55, 0.25)  # of the S1 plate
_SACRUM_DEPTH = (1.0, 1.0, 1.02, 0.98, 0.85, 0.68, 0.52, 0.4, 0.3, 0.18)
_SACRAL_KYPHOSIS_DEG = 62.0
_SHAFT_WIDTH = (0.3, 0.62, 0.7, 0.62, 0.58, 0.56, 0.55, 0.55, 0.55, 0.56, 0.57, 0.6, 0.68, 0.85, 1.15, 1.4)
_LEFT_RIGHT = (1.0, -1.0)
_UPRIGHT_DEG = 13.0  # pelvic tilt at which a pelvis stands upright


def build_pelvis(batch: PatientBatch) -> Bones:
    """All bone of pelvis and legs."""
    axes = _pelvic_axes(batch)
    return _sacrum(batch) + _wings(batch, axes) + _rami(batch, axes) + _legs(batch)


def _sacral_path(batch: PatientBatch) -> tuple[Tensor, Tensor]:
    """(N, M, 3) axis of the sacrum and its (N, M, 3, 3) ring axes; both begin on the S1 plate."""
    device = batch.device
    dense = torch.linspace(0.0, 1.0, 61, device=device)
    kyphosis = math.radians(_SACRAL_KYPHOSIS_DEG) * (1 + 0.15 * batch.style[:, 5])
    turn = (kyphosis[:, None] * (3 * dense**2 - 2 * dense**3))[..., None]
    x, y, z = (batch.s1_axes[:, None, :, i] for i in range(3))
    # Caudally along -Z, bending to the back first (the plate's own direction) and forwards towards the tip.
    down = -turn.cos() * z - turn.sin() * y
    lean = math.radians(14.0)
    down = math.cos(lean) * down + math.sin(lean) * (turn.cos() * y - turn.sin() * z)
    steps = (down[:, 1:] + down[:, :-1]) / 2 * batch.s1_to_hips[:, None, None] / 60
    path = torch.cat([torch.zeros_like(steps[:, :1]), steps.cumsum(dim=1)], dim=1)
    at = indices_on(device, *(round(60 * a) for a in _SACRUM_AT))
    angle = turn[:, at]
    back = angle.cos() * y - angle.sin() * z
    up = angle.cos() * z + angle.sin() * y
    return batch.s1_centre[:, None] + path[:, at], torch.stack([x.expand_as(back), back, up], dim=-1)


def _sacrum(batch: PatientBatch) -> Bones:
    device, ones = batch.device, torch.ones(len(batch), 1, device=batch.device)
    ring = outline(_S1_AROUND, _S1_SQUARE, device=device)
    centre, axes = _sacral_path(batch)
    shape = numbers_on(device, _SACRUM_WIDTH, _SACRUM_DEPTH).T
    ala = torch.ones(len(batch), 10, 2, device=device)
    ala[:, 2:6, 0] += 0.06 * batch.style[:, 6, None]
    radii = shape * ala * batch.s1_half[:, None]
    wall = sweep(centre, axes[..., 0], axes[..., 1], radii, ring)[:, None]
    plate = disc(batch.s1_centre, batch.s1_axes, batch.s1_half, ring, 9)[:, None]
    # Remnants of the sacral discs, fainter and smaller from S1-2 down to S4-5.
    where = indices_on(device, 3, 5, 6, 7)
    shrunk = radii[:, where] * numbers_on(device, 0.42, 0.75)
    remnants = disc(centre[:, where], axes[:, where], shrunk, outline(20, device=device), 5)
    crest, _ = bar(
        centre[:, 1] + axes[:, 1, :, 1] * radii[:, 0, 1:] * 1.1,
        centre[:, 7] + axes[:, 7, :, 1] * radii[:, 7, 1:] * 1.1,
        axes[:, 3, :, 1],
        numbers_on(device, 2.2, 5.0),
        numbers_on(device, 2.0, 4.0),
        10,
    )
    name = ("sacrum",)
    shells = (
        Shell("sacrum", wall, 0.75 * ones, bones=name),
        Shell("S1 plate", plate, 1.6 * ones, 1.2, bones=name),
        Shell("sacral disc", remnants, numbers_on(device, 0.9, 0.7, 0.5, 0.4) * ones),
        Shell("sacral crest", crest[:, None], 0.5 * ones, bones=name),
        _foramina(centre, axes, radii),
        _s1_arch(batch),
    )
    return Bones(shells, (Filling("sacrum", wall, centre[:, None], 0.85 * ones),))


def _foramina(centre: Tensor, axes: Tensor, radii: Tensor) -> Shell:
    """Rims of the four pairs of sacral foramina."""
    at, size = [], []
    for ring, scale in ((3, 1.0), (5, 0.9), (6, 0.75), (7, 0.6)):
        for side in _LEFT_RIGHT:
            at.append(centre[:, ring] + side * 0.48 * radii[:, ring, :1] * axes[:, ring, :, 0])
            size.append(axes[:, ring] * numbers_on(centre.device, 7.5, 6.0, 4.0) * scale)
    grid, _ = ball(torch.stack(at, 1), torch.stack(size, 1)[..., indices_on(centre.device, 0, 2, 1)], 6, 14)
    return Shell("sacral foramen", grid, torch.full(grid.shape[:2], 0.4, device=grid.device))


def _s1_arch(batch: PatientBatch) -> Shell:
    """Articular processes and laminae of the first sacral vertebra, which carry L5 from behind."""
    half, axes = batch.s1_half, batch.s1_axes
    back, up = axes[:, :, 1], axes[:, :, 2]
    canal = batch.canal[:, -1]
    grids = []
    for side in _LEFT_RIGHT:
        foot, top, middle = (
            batch.s1_centre + x[:, None] * axes[:, :, 0] + y[:, None] * back + z[:, None] * up
            for x, y, z in (
                (side * 0.66 * half[:, 0], half[:, 1] + 0.7 * canal, -12.0 * batch.size),
                (side * 0.76 * half[:, 0], half[:, 1] + 0.6 * canal, 13.0 * batch.size),
                (0 * half[:, 0], half[:, 1] + 1.1 * canal, -16.0 * batch.size),
            )
        )
        thick = numbers_on(batch.device, 4.5, 3.5) * batch.size[:, None]
        flat = numbers_on(batch.device, 2.4, 8.0) * batch.size[:, None]
        grids += [bar(foot, top, back, thick, thick, 6, 0.2)[0], bar(foot, middle, up, flat, flat)[0]]
    ones = torch.ones(len(batch), 4, device=batch.device)
    return Shell("S1 arch", torch.stack(grids, dim=1), 1.6 * batch.gain("arch") * ones, bones=("sacrum",) * 4)


def _pelvic_axes(batch: PatientBatch) -> Tensor:
    """(N, 3, 3) axes of the hip bones: X along the hip axis, Z tilted back as the pelvis is."""
    to_s1 = batch.s1_centre - batch.hips.mean(dim=1)
    tilt = torch.atan2(to_s1[:, 1], to_s1[:, 2]) - math.radians(_UPRIGHT_DEG)
    z = torch.stack([torch.zeros_like(tilt), tilt.sin(), tilt.cos()], dim=-1)
    x = batch.pelvis_axes[:, :, 0]
    z = unit(z - (z * x).sum(-1, keepdim=True) * x)
    return torch.stack([x, cross(z, x), z], dim=-1)


def _points(rows: list[tuple[float | Tensor, float | Tensor, float | Tensor]], like: Tensor) -> Tensor:
    """(N, K, 3) from K rows of numbers or (N,) tensors."""
    columns = [[v.expand_as(like) if isinstance(v, Tensor) else torch.full_like(like, v) for v in row] for row in rows]
    return torch.stack([torch.stack(row, dim=-1) for row in columns], dim=1)


def _wings(batch: PatientBatch, axes: Tensor) -> Bones:
    """Iliac wings: two faces between the crest and the line from the sacro-iliac joint to the acetabulum."""
    to_s1 = ((batch.s1_centre - batch.hips.mean(dim=1))[:, None] @ axes)[:, 0]
    back, up, half = to_s1[:, 1], to_s1[:, 2], batch.hip_spacing / 2
    flare = 1 + 0.05 * batch.style[:, 7]
    scale = (batch.s1_to_hips / 108.0)[:, None, None]
    grids = []
    for side, hip in zip(_LEFT_RIGHT, batch.hips.unbind(1), strict=True):
        # Crest from the posterior superior spine over the top to the anterior superior spine; relative to the hip.
        crest = [(42, 42, -22), (62, 36, 14), (100, 14, 34), (128, -22, 32), (139, -52, 8)]
        top = _points(
            [(x * flare - half, back + y, up + z) for x, y, z in crest] + [(126 * flare - half, -34.0, 72.0)], back
        )
        lower = [(50, 30, -52), (54, 8, -48), (60, -14, -62)]
        bottom = _points(
            [(x - half, back + y, up + z) for x, y, z in lower]
            + [(70 - half, 10.0, 34.0), (88 - half, -4.0, 26.0), (102 - half, -24.0, 30.0)],
            back,
        )
        turned = scale * numbers_on(batch.device, side, 1.0, 1.0)
        grids.append(_wing(hip, axes, smooth(top * turned, 15), smooth(bottom * turned, 15)))
    vertices = torch.stack(grids, dim=1)
    names = ("hip left", "hip right")
    return Bones((Shell("ilium", vertices, torch.full((len(batch), 2), 1.45, device=batch.device), 1.25, names),))


def _wing(hip: Tensor, axes: Tensor, top: Tensor, bottom: Tensor) -> Tensor:
    """A flat loft between two (N, M, 3) lines: thick along the crest, thin in the fossa."""
    centre, half = (top + bottom) / 2, (top - bottom) / 2
    along = torch.gradient(centre, dim=1)[0]
    normal = unit(cross(unit(half), unit(along)))
    angle = torch.linspace(0.0, 2 * math.pi, 41, device=hip.device)
    height, thick = angle.cos(), angle.sin()
    profile = 2.2 + 4.2 * height.clamp(min=0) ** 6 + 3.0 * (-height).clamp(min=0) ** 3
    bow = 5.0 * (1 - height**2)  # the fossa is hollow towards the inside
    aside = thick.sign() * thick.abs().sqrt() * profile + bow
    grid = centre[:, :, None] + half[:, :, None] * height[:, None] + normal[:, :, None] * aside[:, None]
    grid = torch.cat([grid[:, :, :-1], grid[:, :, :1]], dim=2)
    return hip[:, None, None] + grid @ axes[:, None].transpose(-1, -2)


def _rami(batch: PatientBatch, axes: Tensor) -> Bones:
    """Acetabular shells, pubic and ischial rami around the obturator foramen, symphysis."""
    device, r = batch.device, batch.hip_radius
    middle = batch.hips.mean(dim=1)
    shells = []
    inner = batch.hip_spacing / 2 - r - 4
    scale = batch.s1_to_hips / 108.0
    for side, hip, name in zip(_LEFT_RIGHT, batch.hips.unbind(1), ("hip left", "hip right"), strict=True):
        # The cup opens outwards, downwards and a little forwards.
        pole = unit(axes @ numbers_on(device, -side * 0.72, 0.12, 0.68))
        y = unit(axes[..., 1] - (axes[..., 1] * pole).sum(-1, keepdim=True) * pole)
        cup_axes = torch.stack([cross(y, -pole), y, -pole], dim=-1)
        cup, _ = ball(hip, cup_axes * (r + 3.5)[:, None, None], 9, 24, 0.5)
        shells.append(Shell("acetabulum", cup[:, None], torch.full((len(batch), 1), 1.7, device=device), bones=(name,)))
        turned = numbers_on(device, side, 1.0, 1.0)
        loop = _points(
            [
                (inner + 6, -12.0, 8.0),
                (inner * 0.6, -30.0, -4.0),
                (11.0, -41.0, -22.0),
                (12.0, -38.0, -40.0),
                (26.0, -20.0, -62.0),
                (50.0, 8.0, -78.0),
                (62.0, 18.0, -70.0),
                (58.0, 18.0, -42.0),
                (inner + 8, 16.0, -14.0),
            ],
            r,
        )
        loop = loop * turned * torch.stack([torch.ones_like(scale), scale, scale], -1)[:, None]
        path = middle[:, None] + smooth(loop, 30) @ axes.transpose(-1, -2)
        wide = numbers_on(device, 7.5, 6.5, 6.5, 5.0, 4.6, 8.0, 9.5, 8.0, 8.0)
        thick = numbers_on(device, 6.0, 5.2, 5.5, 4.5, 4.0, 6.5, 8.0, 7.0, 8.0)
        at = torch.linspace(0, 8, 30, device=device)
        low = at.floor().long().clamp(max=7)
        share = at - low
        radii = torch.stack([(w[low] * (1 - share) + w[low + 1] * share) for w in (wide, thick)], dim=-1)
        normal = axes[:, None, :, 1] + 0.3 * axes[:, None, :, 2]
        grid = tube(path, (radii * scale[:, None, None]).expand(len(batch), 30, 2), normal, 16)
        shells.append(Shell("ramus", grid[:, None], torch.ones(len(batch), 1, device=device), 1.6, (name,)))
    return Bones(tuple(shells))


def _legs(batch: PatientBatch) -> Bones:
    """Heads, necks, trochanters, shafts, knees; legs stand straight whatever the pelvis does."""
    device, r = batch.device, batch.hip_radius
    shells: list[Shell] = []
    fillings: list[Filling] = []
    up = numbers_on(device, 0.0, 0.0, 1.0)
    ahead = numbers_on(device, 0.0, 1.0, 0.0)
    ones = torch.ones(len(batch), 1, device=device)
    for side, hip, name in zip(_LEFT_RIGHT, batch.hips.unbind(1), ("femur left", "femur right"), strict=True):

        def at(x: float, y: float, z: float, side: float = side, hip: Tensor = hip) -> Tensor:
            return hip + numbers_on(device, side * x, y, z) * (r / 23.5)[:, None]

        def wide(first: float, second: float | None = None) -> Tensor:
            return torch.stack([first * r, (first if second is None else second) * r], dim=-1)

        bones = (name,)
        head, axis = ball(hip, torch.eye(3, device=device) * r[:, None, None], 14, 28)
        shells.append(Shell("femoral head", head[:, None], 1.15 * ones, bones=bones))
        fillings.append(Filling("femoral head", head[:, None], axis[:, None], 1.15 * ones))
        neck, _ = bar(at(8, 0, -7), at(48, 4, -38), up, wide(0.62), wide(0.78), 8, 0.1)
        shells.append(Shell("femoral neck", neck[:, None], 1.5 * ones, bones=bones))
        trochanter, _ = bar(at(58, 8, -12), at(52, 6, -48), ahead, wide(0.5), wide(0.5))
        shells.append(Shell("trochanter", trochanter[:, None], 0.9 * ones, bones=bones))
        lesser, _ = bar(at(44, 10, -56), at(32, 16, -66), up, wide(0.32), wide(0.22))
        shells.append(Shell("trochanter", lesser[:, None], 0.7 * ones, bones=bones))
        t = torch.linspace(0.0, 1.0, 16, device=device)[:, None]
        path = at(50, 5, -38)[:, None] * (1 - t) + at(20, -4, -420)[:, None] * t
        radii = (numbers_on(device, *_SHAFT_WIDTH) * r[:, None])[..., None].expand(-1, -1, 2)
        cortex = 3.4
        shells.append(Shell("femoral shaft", tube(path, radii, ahead, 24)[:, None], cortex * ones, 1.5, bones))
        shells += _knee(at, wide, ahead, ones, bones)
    return Bones(tuple(shells), tuple(fillings))


def _knee(
    at: Callable[[float, float, float], Tensor],
    wide: Callable[[float], Tensor],
    ahead: Tensor,
    ones: Tensor,
    bones: tuple[str, ...],
) -> list[Shell]:
    """Condyles and the upper tibia, seen only on whole-body pictures."""
    found = []
    for x in (-2.0, 42.0):
        condyle, _ = bar(at(x, -14, -428), at(x, 18, -432), ahead.roll(1), wide(0.8), wide(0.85), 5, 0.3)
        found.append(Shell("condyle", condyle[:, None], 0.9 * ones, 2.2, bones))
    tibia, _ = bar(at(20, 2, -456), at(18, 8, -820), ahead, wide(1.4), wide(0.5), 12, 0.06)
    found.append(Shell("tibia", tibia[:, None], 2.2 * ones, 2.4, (bones[0].replace("femur", "tibia"),)))
    return found

"""The posed pelvis: sacrum with its S1 plate, iliac wings, acetabula, pubic and ischial rami.

Contract: the margins of the S1 plate are exactly its landmarks. Wings and rami connect the sacrum and the hips, so they
follow the pelvic incidence. The sacrum is about 105 mm high and 112 mm wide, and the bicristal width is 270-285 mm. The
centre of the S1 plate is 38 mm below the crest. Sources of the sizes: docs/sources.md, population and anatomy.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from simulation.body.batch import PatientBatch
from simulation.body.constants import float_tensor, index_tensor
from simulation.body.surfaces import Bones, Filling, Shell, ball, bar, cross, disc, outline, smooth, sweep, tube, unit
from simulation.pose.habitus import LEFT_RIGHT

_S1_AROUND, _S1_SQUARE = 32, 2.2
_SACRUM_AT = (0.0, 0.05, 0.12, 0.22, 0.35, 0.5, 0.65, 0.8, 0.92, 1.0)
_SACRUM_WIDTH = (1.0, 1.14, 1.52, 1.96, 2.16, 1.98, 1.58, 1.1, 0.68, 0.3)  # width of each ring / width of the S1 plate
_SACRUM_DEPTH = (1.0, 1.0, 1.02, 0.98, 0.85, 0.68, 0.52, 0.4, 0.3, 0.18)
_SACRAL_KYPHOSIS_DEG = 62.0
_UPRIGHT_DEG = 13.0  # pelvic tilt of an upright pelvis


def build_pelvis(batch: PatientBatch) -> Bones:
    """Sacrum and both hip bones."""
    axes = _pelvic_axes(batch)
    return _sacrum(batch) + _wings(batch, axes) + _rami(batch, axes)


def _sacral_path(batch: PatientBatch) -> tuple[Tensor, Tensor]:
    """(N, M, 3) path of the sacrum from the S1 plate to its tip, and (N, M, 3, 3) axes of its rings."""
    device = batch.device
    dense = torch.linspace(0.0, 1.0, 61, device=device)
    kyphosis = math.radians(_SACRAL_KYPHOSIS_DEG) * (1 + 0.15 * batch.style[:, 5])
    turn = (kyphosis[:, None] * (3 * dense**2 - 2 * dense**3))[..., None]
    x, y, z = (batch.s1_axes[:, None, :, i] for i in range(3))
    # The path runs downwards: first towards the back, then forwards to the tip.
    down = -turn.cos() * z - turn.sin() * y
    lean = math.radians(14.0)
    down = math.cos(lean) * down + math.sin(lean) * (turn.cos() * y - turn.sin() * z)
    steps = (down[:, 1:] + down[:, :-1]) / 2 * batch.s1_to_hips[:, None, None] / 60
    path = torch.cat([torch.zeros_like(steps[:, :1]), steps.cumsum(dim=1)], dim=1)
    at = index_tensor(device, *(round(60 * a) for a in _SACRUM_AT))
    angle = turn[:, at]
    back = angle.cos() * y - angle.sin() * z
    up = angle.cos() * z + angle.sin() * y
    return batch.s1_centre[:, None] + path[:, at], torch.stack([x.expand_as(back), back, up], dim=-1)


def _sacrum(batch: PatientBatch) -> Bones:
    device, ones = batch.device, torch.ones(len(batch), 1, device=batch.device)
    ring = outline(_S1_AROUND, _S1_SQUARE, device=device)
    centre, axes = _sacral_path(batch)
    shape = float_tensor(device, _SACRUM_WIDTH, _SACRUM_DEPTH).T
    ala = torch.ones(len(batch), 10, 2, device=device)
    ala[:, 2:6, 0] += 0.06 * batch.style[:, 6, None]
    radii = shape * ala * batch.s1_half[:, None]
    wall = sweep(centre, axes[..., 0], axes[..., 1], radii, ring)[:, None]
    plate = disc(batch.s1_centre, batch.s1_axes, batch.s1_half, ring, 9)[:, None]
    # Remnants of the sacral discs become fainter and smaller from S1-2 to S4-5.
    where = index_tensor(device, 3, 5, 6, 7)
    shrunk = radii[:, where] * float_tensor(device, 0.42, 0.75)
    remnants = disc(centre[:, where], axes[:, where], shrunk, outline(20, device=device), 5)
    crest, _ = bar(
        centre[:, 1] + axes[:, 1, :, 1] * radii[:, 0, 1:] * 1.1,
        centre[:, 7] + axes[:, 7, :, 1] * radii[:, 7, 1:] * 1.1,
        axes[:, 3, :, 1],
        float_tensor(device, 2.2, 5.0),
        float_tensor(device, 2.0, 4.0),
        10,
    )
    name = ("sacrum",)
    shells = (
        Shell("sacrum", wall, 0.75 * ones, bones=name),
        Shell("S1 plate", plate, 1.6 * ones, 1.2, bones=name),
        Shell("sacral disc", remnants, float_tensor(device, 0.9, 0.7, 0.5, 0.4) * ones),
        Shell("sacral crest", crest[:, None], 0.5 * ones, bones=name),
        _foramina(centre, axes, radii),
        _s1_arch(batch),
    )
    return Bones(shells, (Filling("sacrum", wall, centre[:, None], 0.85 * ones),))


def _foramina(centre: Tensor, axes: Tensor, radii: Tensor) -> Shell:
    """Rims of the four pairs of sacral foramina."""
    at, size = [], []
    for ring, scale in ((3, 1.0), (5, 0.9), (6, 0.75), (7, 0.6)):
        for side in LEFT_RIGHT:
            at.append(centre[:, ring] + side * 0.48 * radii[:, ring, :1] * axes[:, ring, :, 0])
            size.append(axes[:, ring] * float_tensor(centre.device, 6.0, 11.0, 4.5) * scale)
    grid, _ = ball(torch.stack(at, 1), torch.stack(size, 1)[..., index_tensor(centre.device, 0, 2, 1)], 6, 14)
    return Shell("sacral foramen", grid, torch.full(grid.shape[:2], 0.4, device=grid.device))


def _s1_arch(batch: PatientBatch) -> Shell:
    """Articular processes and laminae of the first sacral vertebra, which support L5 from behind."""
    half, axes = batch.s1_half, batch.s1_axes
    back, up = axes[:, :, 1], axes[:, :, 2]
    canal = batch.canal[:, -1]
    grids = []
    for side in LEFT_RIGHT:
        foot, top, middle = (
            batch.s1_centre + x[:, None] * axes[:, :, 0] + y[:, None] * back + z[:, None] * up
            for x, y, z in (
                (side * 0.66 * half[:, 0], half[:, 1] + 0.7 * canal, -12.0 * batch.size),
                (side * 0.76 * half[:, 0], half[:, 1] + 0.6 * canal, 13.0 * batch.size),
                (0 * half[:, 0], half[:, 1] + 1.1 * canal, -16.0 * batch.size),
            )
        )
        thick = float_tensor(batch.device, 4.5, 3.5) * batch.size[:, None]
        flat = float_tensor(batch.device, 2.4, 8.0) * batch.size[:, None]
        grids += [bar(foot, top, back, thick, thick, 6, 0.2)[0], bar(foot, middle, up, flat, flat)[0]]
    ones = torch.ones(len(batch), 4, device=batch.device)
    return Shell("S1 arch", torch.stack(grids, dim=1), 1.6 * batch.gain("arch") * ones, bones=("sacrum",) * 4)


def _pelvic_axes(batch: PatientBatch) -> Tensor:
    """(N, 3, 3) axes of the hip bones: X along the hip axis, Z tilted back by the pelvic tilt."""
    to_s1 = batch.s1_centre - batch.hips.mean(dim=1)
    tilt = torch.atan2(to_s1[:, 1], to_s1[:, 2]) - math.radians(_UPRIGHT_DEG)
    z = torch.stack([torch.zeros_like(tilt), tilt.sin(), tilt.cos()], dim=-1)
    x = batch.pelvis_axes[:, :, 0]
    z = unit(z - (z * x).sum(-1, keepdim=True) * x)
    return torch.stack([x, cross(z, x), z], dim=-1)


def _points(rows: Sequence[tuple[float | Tensor, float | Tensor, float | Tensor]], like: Tensor) -> Tensor:
    """(N, K, 3) points from K rows of numbers or (N,) tensors."""
    columns = [[v.expand_as(like) if isinstance(v, Tensor) else torch.full_like(like, v) for v in row] for row in rows]
    return torch.stack([torch.stack(row, dim=-1) for row in columns], dim=1)


def _wings(batch: PatientBatch, axes: Tensor) -> Bones:
    """Iliac wings: two faces between the crest and the line from the sacro-iliac joint to the acetabulum."""
    to_s1 = ((batch.s1_centre - batch.hips.mean(dim=1))[:, None] @ axes)[:, 0]
    back, up, half = to_s1[:, 1], to_s1[:, 2], batch.hip_spacing / 2
    flare = 1 + 0.05 * batch.style[:, 7]
    scale, ala = batch.s1_to_hips / 108.0, 2.1 * batch.s1_half[:, 0]
    grids = []
    for side, hip in zip(LEFT_RIGHT, batch.hips.unbind(1), strict=True):
        # Lateral positions are measured from the mid-line, other positions from S1 or the hip. The wing reaches behind
        # the ala.
        top = _points(
            [
                (0.74 * ala - half, back + 42 * scale, up - 24 * scale),
                (1.12 * ala * flare - half, back + 37 * scale, up + 13 * scale),
                (100 * flare * scale - half, back + 14 * scale, up + 34 * scale),
                (128 * flare * scale - half, back - 22 * scale, up + 31 * scale),
                (139 * flare * scale - half, back - 52 * scale, up + 6 * scale),
                (128 * flare * scale - half, -34.0 * scale, 72.0 * scale),
            ],
            back,
        )
        bottom = _points(
            [
                (0.8 * ala - half, back + 30 * scale, up - 54 * scale),
                (0.88 * ala - half, back + 12 * scale, up - 53 * scale),
                (1.06 * ala - half, back - 12 * scale, up - 63 * scale),
                (-20 * scale, 8.0 * scale, 33.0 * scale),
                (0 * scale, -4.0 * scale, 27.0 * scale),
                (16 * scale, -24.0 * scale, 30.0 * scale),
            ],
            back,
        )
        turned = float_tensor(batch.device, side, 1.0, 1.0)
        grids.append(_wing(hip, axes, smooth(top * turned, 15), smooth(bottom * turned, 15)))
    vertices = torch.stack(grids, dim=1)
    names = ("hip left", "hip right")
    return Bones((Shell("ilium", vertices, torch.full((len(batch), 2), 1.45, device=batch.device), 1.25, names),))


def _wing(hip: Tensor, axes: Tensor, top: Tensor, bottom: Tensor) -> Tensor:
    """(N, M, K, 3) flat surface between two (N, M, 3) lines, thick along the crest and thin in the fossa."""
    centre, half = (top + bottom) / 2, (top - bottom) / 2
    along = torch.gradient(centre, dim=1)[0]
    normal = unit(cross(unit(half), unit(along)))
    angle = torch.linspace(0.0, 2 * math.pi, 41, device=hip.device)
    height, thick = angle.cos(), angle.sin()
    profile = 2.2 + 4.2 * height.clamp(min=0) ** 6 + 3.0 * (-height).clamp(min=0) ** 3
    bow = 5.0 * (1 - height**2)  # the fossa is concave on the inside
    aside = thick.sign() * thick.abs().sqrt() * profile + bow
    grid = centre[:, :, None] + half[:, :, None] * height[:, None] + normal[:, :, None] * aside[:, None]
    grid = torch.cat([grid[:, :, :-1], grid[:, :, :1]], dim=2)
    return hip[:, None, None] + grid @ axes[:, None].transpose(-1, -2)


def _rami(batch: PatientBatch, axes: Tensor) -> Bones:
    """The acetabula, the pubic and ischial rami around the obturator foramen, and the symphysis."""
    device, r, ones = batch.device, batch.hip_radius, torch.ones(len(batch), 1, device=batch.device)
    shells, inside = [], []
    for side, hip, name in zip(LEFT_RIGHT, batch.hips.unbind(1), ("hip left", "hip right"), strict=True):
        # The acetabulum opens outwards, downwards and a little forwards.
        pole = unit(axes @ float_tensor(device, -side * 0.72, 0.12, 0.68))
        y = unit(axes[..., 1] - (axes[..., 1] * pole).sum(-1, keepdim=True) * pole)
        cup_axes = torch.stack([cross(y, -pole), y, -pole], dim=-1)
        outside, within = (ball(hip, cup_axes * (r + gap)[:, None, None], 9, 24, 0.5)[0] for gap in (4.4, 2.6))
        cup = torch.cat([outside, within.flip(1)], dim=1)[:, None]
        shells.append(Shell("acetabulum", cup, 0.85 * ones, bones=(name,)))
        loop, axis = _loop(batch, axes, side)
        shells.append(Shell("ramus", loop[:, None], 0.8 * ones, 1.6, (name,)))
        inside.append(Filling("ramus", loop[:, None], axis[:, None], 0.9 * ones, 4.0))
    return Bones(tuple(shells), tuple(inside))


_LOOP = (
    # Lateral position (below 2: share of the distance to the acetabulum, else mm), back, up, half-height, half-depth
    (1.06, -6.0, 27.0, 7.5, 8.0),
    (0.98, -18.0, 6.0, 9.0, 8.0),
    (0.64, -32.0, -6.0, 7.8, 6.5),
    (17.0, -41.0, -15.0, 9.5, 6.5),
    (11.5, -40.0, -33.0, 9.0, 6.0),
    (24.0, -24.0, -57.0, 6.2, 4.5),
    (44.0, 2.0, -75.0, 8.5, 6.5),
    (57.0, 17.0, -70.0, 13.5, 11.0),
    (59.0, 20.0, -46.0, 12.0, 10.5),
    (1.03, 20.0, -14.0, 10.0, 9.0),
    (1.07, 15.0, 18.0, 7.5, 8.0),
)


def _loop(batch: PatientBatch, axes: Tensor, side: float) -> tuple[Tensor, Tensor]:
    """(N, M, K, 3) surface and (N, M, 3) axis of pubis and ischium around the obturator foramen.

    Surface and axis run from the front of the acetabulum to its back.
    """
    device, scale = batch.device, batch.s1_to_hips / 108.0
    inner = batch.hip_spacing / 2 - batch.hip_radius - 4
    rows = [(x * inner if x < 2 else x * scale, y * scale, z * scale) for x, y, z, _, _ in _LOOP]
    line = smooth(_points(rows, inner) * float_tensor(device, side, 1.0, 1.0), 3 * len(_LOOP))
    path = batch.hips.mean(dim=1)[:, None] + line @ axes.transpose(-1, -2)
    radii = smooth(float_tensor(device, *((*r[3:], 0.0) for r in _LOOP)), 3 * len(_LOOP))[:, :2]
    ends = (torch.arange(len(radii), device=device).clamp(max=2) / 2).sqrt()
    radii = radii * (ends * ends.flip(0))[:, None] * scale[:, None, None]
    normal = axes[:, None, :, 1] + 0.3 * axes[:, None, :, 2]
    return tube(path, radii, normal, 16), path

"""The vertebrae in place: bodies with end plates, pedicles, facets, laminae, transverse and spinous processes.

What belongs here: the shape of a vertebra, C3 to L6. What does not: where its plates lie (``spine_pose``) and how
large it is (``morphometry``). Contract: a body is lofted between its two posed plates, so its drawn end plates
have exactly the margins that the landmarks name; the posterior elements follow the body's own axes.
Thicknesses looked right in a prototype; they are not from the literature.
"""

import torch
from torch import Tensor

from spine.phantom.body.batch import SLOTS, PatientBatch
from spine.phantom.body.constants import numbers_on
from spine.phantom.body.surfaces import Bones, Filling, Shell, ball, bar, disc, outline, sweep

_AROUND, _SQUARE = 28, 2.35
_RIM = (0.0, 0.02, 0.06, 0.13, 0.26, 0.4, 0.5, 0.6, 0.74, 0.87, 0.94, 0.98, 1.0)
_WAIST = 0.165
_SCLEROSIS = 1.1  # extra plate thickness beside a disc that has lost all its height
_SPONGIOSA = 0.72  # of what fills long bones; with more, bodies outshine their discs as they do on no film
_THORACIC_PLATES = 0.5  # what thoracic plates have more than lumbar ones
_RIM_MM = 0.9  # the ring apophysis, a rounded edge around each plate
_LEVELS = tuple(f"slot{i}" for i in range(SLOTS))


def build_vertebrae(batch: PatientBatch) -> Bones:
    """All bone of the vertebrae."""
    return _bodies(batch) + _arches(batch) + _processes(batch) + _osteophytes(batch)


def body_ring(device: torch.device) -> Tensor:
    """(K, 2) outline of a body; a hollow back would reach behind the posterior margin and move its edge."""
    return outline(_AROUND, _SQUARE, device)


def body_grid(batch: PatientBatch) -> tuple[Tensor, Tensor]:
    """(N, V, M, K, 3) walls of the bodies from lower to upper plate, and their (N, V, M, 3) axes."""
    rim = numbers_on(batch.device, *_RIM)
    s = rim[:, None]
    lower, upper = batch.centre[:, :, 1, None], batch.centre[:, :, 0, None]
    path = lower * (1 - s) + upper * s
    # The waist is a parabola with short rounded rims; it is one exactly at both plates.
    depth = _WAIST * (1 + 0.22 * batch.style[:, 0])[:, None, None]
    waist = 1.0 - depth * (4 * rim * (1 - rim)) ** 0.8
    radii = (batch.plate_half[:, :, 1, None] * (1 - s) + batch.plate_half[:, :, 0, None] * s) * waist[..., None]
    mixed = batch.axes[:, :, 1, None] * (1 - s[..., None]) + batch.axes[:, :, 0, None] * s[..., None]
    return sweep(path, mixed[..., 0], mixed[..., 1], radii, body_ring(batch.device)), path


def _bodies(batch: PatientBatch) -> Bones:
    wall, path = body_grid(batch)
    count = len(batch)
    ring = body_ring(batch.device)
    # Plates are a little hollow towards the body; the rim carries the landmarks.
    sign = numbers_on(batch.device, 1.0, -1.0)
    hollow = 0.055 * batch.height[..., None] * sign * (1 + 0.25 * batch.style[:, 1])[:, None, None]
    plates = disc(batch.centre, batch.axes, batch.plate_half, ring, 7, hollow).flatten(1, 2)
    sclerosis = 1.0 + _SCLEROSIS * batch.sclerosis
    rims = _plate_rims(batch, ring)
    there = batch.present
    twice = there.repeat_interleave(2, dim=1)
    plate = batch.gain("plate") * sclerosis.flatten(1) * twice
    thoracic = 1 + _THORACIC_PLATES * (1 - batch.lumbar.repeat_interleave(2, dim=1))
    spongiosa = Filling("body", wall, path, _SPONGIOSA * batch.gain("spongiosa") * batch.body_scale * there)
    shells = (
        Shell("body", wall, batch.gain("wall") * batch.wall * batch.body_scale * there, bones=_LEVELS),
        Shell("end plate", plates, 1.25 * plate * thoracic, bones=tuple(n for n in _LEVELS for _ in range(2))),
        Shell("rim", rims.reshape(count, -1, *rims.shape[3:]), 0.5 * plate * thoracic, 1.6),
    )
    return Bones(shells, (spongiosa,))


def _plate_rims(batch: PatientBatch, ring: Tensor) -> Tensor:
    """(N, V, 2, 4, K, 3) a narrow band just inside the edge of each plate: the ring apophysis."""
    shares = numbers_on(batch.device, 0.90, 0.94, 0.97, 0.995)
    offset = numbers_on(batch.device, 1.0, -1.0)[:, None] * numbers_on(batch.device, -0.5, -0.1, -0.1, -0.6)
    z = batch.axes[..., 2]
    path = batch.centre[..., None, :] + _RIM_MM * offset[..., None] * z[..., None, :]
    radii = batch.plate_half[..., None, :] * shares[:, None]
    return sweep(path, batch.axes[..., None, :, 0], batch.axes[..., None, :, 1], radii, ring)


def _local(batch: PatientBatch, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """(N, V, 3) points given in the bodies' own axes, mm (left, back, up) from the body's centre."""
    offset = torch.stack(torch.broadcast_tensors(x, y, z), dim=-1)
    return batch.body_centre + (batch.body_axes @ offset[..., None])[..., 0]


def _pair(first: Tensor, second: Tensor) -> Tensor:
    return torch.stack(torch.broadcast_tensors(first, second), dim=-1)


def pedicle_length(batch: PatientBatch) -> Tensor:
    """(N, V) from the posterior wall to the facets, mm."""
    return 0.55 * batch.canal + 2.0


def _back(batch: PatientBatch) -> Tensor:
    """(N, V) from the body's centre to its posterior wall, mm."""
    return batch.plate_half[..., 1].mean(dim=2)


def _arches(batch: PatientBatch) -> Bones:
    """Pedicles, facet masses and laminae on both sides."""
    axes, there, height = batch.body_axes, batch.present, batch.height
    up, length = axes[..., 2], pedicle_length(batch)
    behind = _back(batch) + length
    shells: list[Shell] = []
    for pedicle_centre in batch.pedicle.unbind(1):
        along = axes[..., 1] * (0.5 * length + 1.5)[..., None]
        radii = batch.pedicle_size / 2
        pedicle, _ = bar(pedicle_centre - along, pedicle_centre + along, up, radii, radii, 4, 0.12)
        shells.append(Shell("pedicle", pedicle, 0.95 * batch.gain("pedicle") * there, bones=_LEVELS))
        x = _offset(batch, pedicle_centre)
        shells += _facets(batch, x, behind)
        arch = behind + 0.55 * batch.canal
        thin = _pair(numbers_on(batch.device, 2.4), 0.36 * height)
        lamina, _ = bar(
            _local(batch, x * 0.95, behind, -0.10 * height), _local(batch, 0 * x, arch, -0.22 * height), up, thin, thin
        )
        shells.append(Shell("lamina", lamina, batch.gain("arch") * there * batch.arch, bones=_LEVELS))
    return Bones(tuple(shells))


def _offset(batch: PatientBatch, pedicle_centre: Tensor) -> Tensor:
    """(N, V) how far to the left of the mid-line a pedicle lies, mm."""
    return ((pedicle_centre - batch.body_centre) * batch.body_axes[..., 0]).sum(-1)


def _facets(batch: PatientBatch, x: Tensor, behind: Tensor) -> list[Shell]:
    """Upper and lower joint masses of one side: the butterfly behind the body."""
    height, axes = batch.height, batch.body_axes
    facet_x = x * (1.02 + 0.08 * batch.lumbar)
    found = []
    for sign, reach in ((1.0, 0.62), (-1.0, 0.72)):
        at = _local(batch, facet_x * (1.0 if sign > 0 else 0.86), behind + 3.0 - sign, sign * reach * height)
        worn = 1.0 + 0.35 * batch.sclerosis.mean(dim=2)
        size = torch.stack([(0.16 * height + 2.2) * worn, 3.2 * worn, 0.34 * height], dim=-1)
        grid = ball(at, axes * size[..., None, :], 8, 14)[0]
        found.append(
            Shell(
                "facet", grid, 0.7 * batch.gain("arch") * worn * batch.present * (0.4 + 0.6 * batch.arch), bones=_LEVELS
            )
        )
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
        thick = _pair(numbers_on(batch.device, 3.0), 0.24 * height)
        shells.append(
            Shell(
                "transverse",
                bar(start, tip, up, thick, thick * 0.75)[0],
                0.65 * batch.gain("transverse") * batch.present,
                bones=_LEVELS,
            )
        )
    arch = behind + 0.55 * batch.canal - 1.0
    reach = (back + batch.spinous * (1 + 0.06 * batch.style[:, 4])[:, None] - arch).clamp(min=12.0)
    start = _local(batch, 0 * arch, arch, -0.2 * height)
    tip = _local(batch, 0 * arch, arch + reach * batch.droop.cos(), -0.2 * height - reach * batch.droop.sin())
    tall = _pair(numbers_on(batch.device, 2.6), height * (0.22 + 0.18 * lumbar))
    taper = numbers_on(batch.device, 1.3, 0.95)
    grid = bar(start, tip, up, tall, tall * taper)[0]
    shells.append(Shell("spinous", grid, 0.8 * batch.gain("spinous") * batch.present * batch.arch, bones=_LEVELS))
    return Bones(tuple(shells))


def _osteophytes(batch: PatientBatch) -> Bones:
    """Beaks in front and on both sides of plates beside worn discs; thickness zero where there are none."""
    places = numbers_on(batch.device, (0.0, -1.0), (0.75, -0.62), (-0.75, -0.62), (1.0, 0.0), (-1.0, 0.0))
    sign = numbers_on(batch.device, 1.0, -1.0)  # away from the body
    worn = batch.osteophyte
    offset = places * batch.plate_half[..., None, :]  # (N, V, 2, 5, 2)
    at = batch.centre[..., None, :] + offset @ batch.axes[..., :2].transpose(-1, -2)
    at = at - (0.8 * sign)[:, None, None] * batch.axes[..., None, :, 2]
    size = numbers_on(batch.device, 3.6, 3.6, 1.7) * (0.5 + worn)[..., None]
    axes = (batch.axes * size[..., None, :])[:, :, :, None].expand(*at.shape, 3)
    grid, _ = ball(at, axes, 6, 10)
    thickness = 0.9 * (worn * batch.present[..., None])[..., None].expand(at.shape[:-1])
    names = tuple(n for n in _LEVELS for _ in range(10))
    return Bones((Shell("osteophyte", grid.flatten(1, 3), thickness.flatten(1), bones=names),))

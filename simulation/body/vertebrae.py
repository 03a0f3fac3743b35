"""The vertebral bodies with their end plates and osteophytes.

Contract: a body is a loft between its two posed plates, so its rendered end plates have exactly the margins of the
landmarks. Thicknesses are choices that make images look like real radiographs.
"""

import torch
from torch import Tensor

from simulation.body.arches import LEVELS, build_arches
from simulation.body.batch import PatientBatch
from simulation.body.constants import float_tensor
from simulation.body.surfaces import Bones, Filling, Shell, ball, disc, outline, sweep
from spine.types import Float

_AROUND, _SQUARE = 28, 2.35
_RIM = (0.0, 0.02, 0.06, 0.13, 0.26, 0.4, 0.5, 0.6, 0.74, 0.87, 0.94, 0.98, 1.0)
_WAIST, _THORACIC_WAIST = 0.15, 0.085
_SCLEROSIS = 1.1  # extra plate thickness beside a disc that has lost all its height
_SPONGIOSA = 0.85  # relative to long bones; a higher value would give bodies too much contrast to discs
_THORACIC_SPONGIOSA = 0.45  # thoracic bodies are smaller and denser
_PLATE_MM, _RIM_PLATE_MM = 0.75, 0.3
_RIM_MM = 0.9  # the ring apophysis, a rounded edge around each plate


def build_vertebrae(batch: PatientBatch) -> Bones:
    """The bodies with their end plates, the arches and the osteophytes of all vertebrae."""
    return _bodies(batch) + build_arches(batch) + _osteophytes(batch)


def body_ring(device: torch.device) -> Float[Tensor, "K 2"]:
    """Outline of a body. The outline is convex: with a concave back, it would extend behind the posterior margin."""
    return outline(_AROUND, _SQUARE, device)


def body_grid(batch: PatientBatch) -> tuple[Float[Tensor, "N V M K 3"], Float[Tensor, "N V M 3"]]:
    """Walls of the bodies from lower to upper plate, and their axes."""
    rim = float_tensor(batch.device, *_RIM)
    s = rim[:, None]
    lower, upper = batch.centre[:, :, 1, None], batch.centre[:, :, 0, None]
    path = lower * (1 - s) + upper * s
    # The waist is a parabola with short rounded rims; the factor is exactly 1 at both plates.
    depth = (_THORACIC_WAIST + (_WAIST - _THORACIC_WAIST) * batch.lumbar)[..., None]
    depth = depth * (1 + 0.22 * batch.style[:, 0])[:, None, None]
    waist = 1.0 - depth * (4 * rim * (1 - rim)) ** 0.8
    radii = (batch.plate_half[:, :, 1, None] * (1 - s) + batch.plate_half[:, :, 0, None] * s) * waist[..., None]
    mixed = batch.axes[:, :, 1, None] * (1 - s[..., None]) + batch.axes[:, :, 0, None] * s[..., None]
    return sweep(path, mixed[..., 0], mixed[..., 1], radii, body_ring(batch.device)), path


def _bodies(batch: PatientBatch) -> Bones:
    wall, path = body_grid(batch)
    count = len(batch)
    ring = body_ring(batch.device)
    # Plates are slightly concave. The landmarks lie on the rim.
    sign = float_tensor(batch.device, 1.0, -1.0)
    hollow = 0.07 * batch.height[..., None] * sign * (1 + 0.25 * batch.style[:, 1])[:, None, None]
    plates = disc(batch.centre, batch.axes, batch.plate_half, ring, 7, hollow).flatten(1, 2)
    sclerosis = 1.0 + _SCLEROSIS * batch.sclerosis
    rims = _plate_rims(batch, ring)
    there = batch.present
    twice = there.repeat_interleave(2, dim=1)
    plate = batch.gain("plate") * sclerosis.flatten(1) * twice
    dense = _SPONGIOSA * (1 + _THORACIC_SPONGIOSA * (1 - batch.lumbar))
    spongiosa = Filling("body", wall, path, dense * batch.gain("spongiosa") * batch.body_scale * there)
    shells = (
        Shell("body", wall, batch.gain("wall") * batch.wall * batch.body_scale * there, bones=LEVELS),
        Shell("end plate", plates, _PLATE_MM * plate, bones=tuple(n for n in LEVELS for _ in range(2))),
        Shell("rim", rims.reshape(count, -1, *rims.shape[3:]), _RIM_PLATE_MM * plate, 1.6),
    )
    return Bones(shells, (spongiosa,))


def _plate_rims(batch: PatientBatch, ring: Tensor) -> Tensor:
    """(N, V, 2, 4, K, 3) ring apophyses: a narrow band just inside the edge of each plate."""
    shares = float_tensor(batch.device, 0.90, 0.94, 0.97, 0.995)
    offset = float_tensor(batch.device, 1.0, -1.0)[:, None] * float_tensor(batch.device, -0.5, -0.1, -0.1, -0.6)
    z = batch.axes[..., 2]
    path = batch.centre[..., None, :] + _RIM_MM * offset[..., None] * z[..., None, :]
    radii = batch.plate_half[..., None, :] * shares[:, None]
    return sweep(path, batch.axes[..., None, :, 0], batch.axes[..., None, :, 1], radii, ring)


def _osteophytes(batch: PatientBatch) -> Bones:
    """Osteophytes at the front and at the sides of each plate. A missing osteophyte has a thickness of 0."""
    places = float_tensor(batch.device, (0.0, -1.0), (0.75, -0.62), (-0.75, -0.62), (1.0, 0.0), (-1.0, 0.0))
    sign = float_tensor(batch.device, 1.0, -1.0)  # away from the body
    worn = batch.osteophyte
    offset = places * batch.plate_half[..., None, :]  # (N, V, 2, 5, 2)
    at = batch.centre[..., None, :] + offset @ batch.axes[..., :2].transpose(-1, -2)
    at = at - (0.8 * sign)[:, None, None] * batch.axes[..., None, :, 2]
    size = float_tensor(batch.device, 3.6, 3.6, 1.7) * (0.5 + worn)[..., None]
    axes = (batch.axes * size[..., None, :])[:, :, :, None].expand(*at.shape, 3)
    grid, _ = ball(at, axes, 6, 10)
    thickness = 0.9 * (worn * batch.present[..., None])[..., None].expand(at.shape[:-1])
    names = tuple(n for n in LEVELS for _ in range(10))
    return Bones((Shell("osteophyte", grid.flatten(1, 3), thickness.flatten(1), bones=names),))

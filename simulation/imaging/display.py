"""Display processing: measured line integrals become 12-bit images, bone bright unless inverted.

Contract: (N, H, W) int32 in 0..4095. The scanner's recipe: log, mask-normalised flattening with a 26 mm kernel,
division by the local standard deviation over 55 mm, sigmoid, edge boost (docs/sources.md, materials, exposure and
display); other looks are other numbers in the same recipe.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulation.imaging.appearance import Look
from simulation.imaging.blur import blur, masked_mean
from simulation.imaging.exposure import PathLengths
from simulation.imaging.rays import Rays

MAXIMUM = 4095
_WIDEST_MM = 90.0
_LOCAL_MM = 55.0
_COARSEST_EDGE_MM = 6.0
_THIN_MM = 12.0
_BONE_MM, _CHAMBER_MM = 2.0, 90.0
"""What an image is windowed for: bone within this distance of the middle."""
_BURNT_SPREADS, _WINDOW_END, _SIGMOID_END = 1.7, 2.0, 3.3
"""So far above its mean the spine must not yet be white: where a window ends, or a sigmoid hardly rises any more."""


@dataclass(frozen=True)
class LookBatch:
    """(N,) tensors of the fields of ``Look``."""

    flatten: Tensor
    flatten_mm: Tensor
    normalise: Tensor
    linear: Tensor
    gain: Tensor
    brightness: Tensor
    edge: Tensor
    edge_mm: Tensor
    gamma: Tensor
    tilt_across: Tensor
    tilt_down: Tensor
    seam: Tensor
    seam_step: Tensor
    seam_gain: Tensor
    seam_line: Tensor
    inverted: Tensor
    background: Tensor
    floor: Tensor
    ceiling: Tensor


def look_table(looks: Sequence[Look]) -> NDArray[np.float32]:
    """(N, L) the fields of each, on the host."""
    return np.array([[getattr(look, f.name) for f in fields(Look)] for look in looks], dtype=np.float32)


def looks_of(looks: Sequence[Look] | NDArray[np.float32], device: torch.device | str = "cpu") -> LookBatch:
    """A batch, from records or from their table."""
    table = looks if isinstance(looks, np.ndarray) else look_table(looks)
    return LookBatch(*torch.from_numpy(table).to(device).unbind(1))


def process(measured: Tensor, paths: PathLengths, rays: Rays, look: LookBatch) -> Tensor:
    """(N, H, W) measured line integrals -> (N, H, W) int32 in 0..4095.

    ``paths`` says where the patient is, and where the bone that the image is exposed and windowed for.
    """
    skin_mm = paths.skin
    wide = [value[:, None, None] for value in (look.flatten, look.normalise, look.edge)]
    flatten, normalise, edge = wide
    pixel, finest = rays.row_mm, rays.finest_mm
    mask = (skin_mm > _THIN_MM).to(torch.float32)
    measured = measured + _tilts(rays, look)
    base = masked_mean(measured, mask, look.flatten_mm / pixel, _WIDEST_MM / finest)
    chamber = mask * (paths.mineral > _BONE_MM) * (rays.column_u_mm.abs() < _CHAMBER_MM)[:, None] + 1e-6 * mask
    amount = chamber.sum((1, 2), keepdim=True).clamp(min=1e-3)
    middle = (measured * chamber).sum((1, 2), keepdim=True) / amount
    flat = measured - flatten * (base - middle) - middle
    # The mean that local contrast is taken about follows the flattening kernel, twice as wide.
    centred = flat - 0.5 * (1 - flatten) * (base - middle)
    local = torch.sqrt(masked_mean(centred**2, mask, _LOCAL_MM / pixel, _WIDEST_MM / finest).clamp(min=1e-4))
    everywhere = mask.sum((1, 2), keepdim=True).clamp(min=1)
    overall = torch.sqrt((centred**2 * mask).sum((1, 2), keepdim=True) / everywhere).clamp(min=1e-2)
    even = flat / (local**normalise * overall ** (1 - normalise))
    sharp = even + edge * (even - blur(even, look.edge_mm / pixel, _COARSEST_EDGE_MM / finest))
    spread = torch.sqrt((sharp.square() * chamber).sum((1, 2), keepdim=True) / amount)
    return _greys(_joined(sharp, look), skin_mm, look, spread)


def _tilts(rays: Rays, look: LookBatch) -> Tensor:
    """(N, H, W) brightness that rises evenly across and down."""
    height, width = rays.shape
    across = torch.linspace(-1, 1, width, device=rays.device)
    down = torch.linspace(-1, 1, height, device=rays.device)
    return (look.tilt_across[:, None] * across)[:, None] + (look.tilt_down[:, None] * down)[..., None]


def _joined(values: Tensor, look: LookBatch) -> Tensor:
    """Two radiographs joined: another exposure and contrast below the seam, and the joint itself."""
    at = torch.linspace(0, 1, values.shape[1], device=values.device)
    below = ((at >= look.seam[:, None]) & (look.seam[:, None] > 0)).to(values.dtype)[..., None]
    line = torch.exp(-0.5 * ((at - look.seam[:, None]) / 0.0022) ** 2)[..., None] * (look.seam[:, None, None] > 0)
    gain = 1 + below * (look.seam_gain[:, None, None] - 1)
    return values * gain + below * look.seam_step[:, None, None] + 2.5 * look.seam_line[:, None, None] * line


def _greys(values: Tensor, skin_mm: Tensor, look: LookBatch, spread: Tensor) -> Tensor:
    """Window or sigmoid, gamma, polarity; outside the patient the beam blackens the image.

    ``spread`` (N, 1, 1) is that of the spine's values: a radiograph on which most of it is burnt out would be taken
    again.
    """
    gain, brightness, linear = (v[:, None, None] for v in (look.gain, look.brightness, look.linear))
    end = torch.where(linear > 0, _WINDOW_END, _SIGMOID_END)
    gain = torch.minimum(gain, (end - brightness).clamp(min=0.5) / (_BURNT_SPREADS * spread).clamp(min=1e-3))
    x = gain * values + brightness
    grey = torch.where(linear > 0, 0.5 + 0.25 * x, torch.sigmoid(x))
    # Thin skin fades into the black of the unattenuated beam.
    fade = (skin_mm / 60.0).clamp(0, 1) ** 0.5
    grey = (grey * fade).clamp(0, 1) ** look.gamma[:, None, None]
    floor, ceiling = look.floor[:, None, None], look.ceiling[:, None, None]
    grey = floor + (ceiling - floor) * grey
    inverted = look.inverted[:, None, None]
    return ((grey * (1 - inverted) + (1 - grey) * inverted) * MAXIMUM).round().to(torch.int32)

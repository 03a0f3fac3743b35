"""Display processing, which computes 12-bit images from measured line integrals.

Contract: images are (N, H, W) int32 in 0..4095. Bone is bright, or dark if the appearance is inverted. The slot scanner
has these steps (docs/sources.md, materials, exposure and display): logarithm, flattening with a 26 mm kernel inside the
patient, division by the local standard deviation over 55 mm, edge enhancement, sigmoid. Other appearances have the same
steps with other numbers.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulation.imaging.appearance import Appearance
from simulation.imaging.blur import blur, masked_mean
from simulation.imaging.exposure import PathLengths
from simulation.imaging.rays import Rays
from spine.types import Float, Int

MAXIMUM = 4095
_WIDEST_MM = 90.0
_LOCAL_MM = 55.0
_COARSEST_EDGE_MM = 6.0
_THIN_MM = 12.0
_BONE_MM, _CHAMBER_MM = 2.0, 90.0
"""The window is adjusted to pixels with more mineral than the first length, nearer to the mid-line than the second."""
_BRIGHT_SD, _WINDOW_END, _SIGMOID_END = 1.7, 2.0, 3.3
"""The gain is limited so that a value 1.7 SD above the mean of the spine stays below white. A linear window becomes
white at 2.0. A sigmoid is nearly white at 3.3."""


@dataclass(frozen=True)
class AppearanceBatch:
    """The fields of ``Appearance`` for N images."""

    flatten: Float[Tensor, " N"]
    flatten_mm: Float[Tensor, " N"]
    normalise: Float[Tensor, " N"]
    linear: Float[Tensor, " N"]
    gain: Float[Tensor, " N"]
    brightness: Float[Tensor, " N"]
    edge: Float[Tensor, " N"]
    edge_mm: Float[Tensor, " N"]
    gamma: Float[Tensor, " N"]
    tilt_across: Float[Tensor, " N"]
    tilt_down: Float[Tensor, " N"]
    seam: Float[Tensor, " N"]
    seam_step: Float[Tensor, " N"]
    seam_gain: Float[Tensor, " N"]
    seam_line: Float[Tensor, " N"]
    inverted: Float[Tensor, " N"]
    background: Float[Tensor, " N"]
    floor: Float[Tensor, " N"]
    ceiling: Float[Tensor, " N"]


def appearance_table(appearances: Sequence[Appearance]) -> Float[NDArray[np.float32], "N 19"]:
    """The fields of each appearance, in the order of ``Appearance``."""
    return np.array([astuple(appearance) for appearance in appearances], dtype=np.float32)


def appearance_batch(
    appearances: Sequence[Appearance] | Float[NDArray[np.float32], "N 19"] | Float[Tensor, "N 19"],
    device: torch.device | str = "cpu",
) -> AppearanceBatch:
    """A batch on ``device``, made from appearances or from their table."""
    table = appearances if isinstance(appearances, np.ndarray | Tensor) else appearance_table(appearances)
    return AppearanceBatch(*torch.as_tensor(table, device=device).unbind(1))


def apply_display(
    measured: Float[Tensor, "N H W"], paths: PathLengths, rays: Rays, appearance: AppearanceBatch
) -> Int[Tensor, "N H W"]:
    """Images in 0..4095 (int32) from measured line integrals.

    ``paths`` provides the mask of the patient, and the bone to which the window is adjusted.
    """
    skin_mm = paths.skin
    flatten, normalise, edge = (v[:, None, None] for v in (appearance.flatten, appearance.normalise, appearance.edge))
    pixel, finest = rays.row_mm, rays.min_pixel_mm
    mask = (skin_mm > _THIN_MM).to(torch.float32)
    measured = measured + _tilts(rays, appearance)
    base = masked_mean(measured, mask, appearance.flatten_mm / pixel, _WIDEST_MM / finest)
    chamber = mask * (paths.mineral > _BONE_MM) * (rays.column_u_mm.abs() < _CHAMBER_MM)[:, None] + 1e-6 * mask
    amount = chamber.sum((1, 2), keepdim=True).clamp(min=1e-3)
    middle = (measured * chamber).sum((1, 2), keepdim=True) / amount
    flat = measured - flatten * (base - middle) - middle
    # The local contrast is relative to a mean half-way between this flattening and complete flattening.
    centred = flat - 0.5 * (1 - flatten) * (base - middle)
    local = torch.sqrt(masked_mean(centred**2, mask, _LOCAL_MM / pixel, _WIDEST_MM / finest).clamp(min=1e-4))
    everywhere = mask.sum((1, 2), keepdim=True).clamp(min=1)
    overall = torch.sqrt((centred**2 * mask).sum((1, 2), keepdim=True) / everywhere).clamp(min=1e-2)
    even = flat / (local**normalise * overall ** (1 - normalise))
    sharp = even + edge * (even - blur(even, appearance.edge_mm / pixel, _COARSEST_EDGE_MM / finest))
    spread = torch.sqrt((sharp.square() * chamber).sum((1, 2), keepdim=True) / amount)
    return _greys(_joined(sharp, appearance), skin_mm, appearance, spread)


def _tilts(rays: Rays, appearance: AppearanceBatch) -> Tensor:
    """(N, H, W) brightness that rises linearly across the image and down the image."""
    height, width = rays.shape
    across = torch.linspace(-1, 1, width, device=rays.device)
    down = torch.linspace(-1, 1, height, device=rays.device)
    return (appearance.tilt_across[:, None] * across)[:, None] + (appearance.tilt_down[:, None] * down)[..., None]


def _joined(values: Tensor, appearance: AppearanceBatch) -> Tensor:
    """(N, H, W) values with a seam, which is a visible line below which brightness and contrast are different."""
    at = torch.linspace(0, 1, values.shape[1], device=values.device)[:, None]
    seam, step, gain, line = (
        value[:, None, None]
        for value in (appearance.seam, appearance.seam_step, appearance.seam_gain, appearance.seam_line)
    )
    below = ((at >= seam) & (seam > 0)).to(values.dtype)
    joint = torch.exp(-0.5 * ((at - seam) / 0.0022) ** 2) * (seam > 0)
    return values * (1 + below * (gain - 1)) + below * step + 2.5 * line * joint


def _greys(values: Tensor, skin_mm: Tensor, appearance: AppearanceBatch, spread: Tensor) -> Tensor:
    """(N, H, W) int32 grey values after window or sigmoid, gamma and inversion. The image is black outside the patient.

    ``spread`` (N, 1, 1) is the SD of the values of the spine. This SD limits the gain, because a clinic would repeat
    an image with a saturated spine.
    """
    gain, brightness, linear = (v[:, None, None] for v in (appearance.gain, appearance.brightness, appearance.linear))
    end = torch.where(linear > 0, _WINDOW_END, _SIGMOID_END)
    gain = torch.minimum(gain, (end - brightness).clamp(min=0.5) / (_BRIGHT_SD * spread).clamp(min=1e-3))
    x = gain * values + brightness
    grey = torch.where(linear > 0, 0.5 + 0.25 * x, torch.sigmoid(x))
    # Thin tissue fades into the black of the unattenuated beam.
    fade = (skin_mm / 60.0).clamp(0, 1) ** 0.5
    grey = (grey * fade).clamp(0, 1) ** appearance.gamma[:, None, None]
    floor, ceiling = appearance.floor[:, None, None], appearance.ceiling[:, None, None]
    grey = floor + (ceiling - floor) * grey
    inverted = appearance.inverted[:, None, None]
    return ((grey * (1 - inverted) + (1 - grey) * inverted) * MAXIMUM).round().to(torch.int32)

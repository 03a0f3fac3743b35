"""The scanner's display processing: a measured line integral becomes a 12-bit picture, bone bright.

What belongs here: flattening, contrast, edges, grey values. What does not: physics (``exposure``). Contract:
(H, W) uint16 in 0..4095; a ``Look`` holds every choice, so another look (CR, film, inverted) is another record.
Recipe: log, mask-normalised flattening with a 26 mm kernel, division by the local standard deviation over 55 mm,
sigmoid, edge boost (docs/sources.md, materials, exposure and display).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from spine.phantom.splat import blur_rows

MAXIMUM = 4095
_EDGE_MM = 3.5
"""Standard deviation of the kernel whose remainder is boosted: end plates and cortices are finer than this."""


@dataclass(frozen=True)
class Look:
    """Choices of one display processing.

    Attributes:
        flatten: share of the large-scale picture that is removed, 0 to 1.
        flatten_mm: standard deviation of the flattening kernel.
        normalise: share of the local contrast that is evened out, 0 to 1.
        gain: steepness of the sigmoid.
        brightness: where mid-grey lies.
        edge: strength of the edge boost.
        gamma: of the final grey scale.
    """

    flatten: float = 0.76
    flatten_mm: float = 26.0
    normalise: float = 0.55
    gain: float = 1.0
    brightness: float = -0.2
    edge: float = 1.0
    gamma: float = 1.0


def sample_look(rng: np.random.Generator) -> Look:
    """A scanner's look, a little different from site to site."""
    return Look(
        flatten=float(rng.uniform(0.62, 0.88)),
        flatten_mm=float(rng.uniform(20, 34)),
        normalise=float(rng.uniform(0.4, 0.75)),
        gain=float(rng.uniform(0.8, 1.25)),
        brightness=float(rng.normal(-0.2, 0.15)),
        edge=float(rng.uniform(0.5, 1.6)),
        gamma=float(rng.uniform(0.85, 1.2)),
    )


def process(measured: torch.Tensor, skin_mm: torch.Tensor, pixel_mm: float, look: Look) -> NDArray[np.uint16]:
    """(H, W) measured line integral and skin path length -> (H, W) uint16 in 0..4095."""
    mask = (skin_mm > 12.0).to(torch.float32)
    base = _masked_mean(measured, mask, look.flatten_mm / pixel_mm)
    middle = (measured * mask).sum() / mask.sum().clamp(min=1)
    flat = measured - look.flatten * (base - middle) - middle
    centred = flat - _masked_mean(flat, mask, 2 * look.flatten_mm / pixel_mm) * 0.5
    local = torch.sqrt(_masked_mean(centred**2, mask, 55.0 / pixel_mm).clamp(min=1e-4))
    overall = torch.sqrt(((centred**2) * mask).sum() / mask.sum().clamp(min=1)).clamp(min=1e-2)
    even = flat / (local**look.normalise * overall ** (1 - look.normalise))
    sharp = even + look.edge * (even - blur_rows(even, _EDGE_MM / pixel_mm))
    grey = torch.sigmoid(look.gain * sharp + look.brightness)
    # Outside the patient the picture is black; thin skin fades into it.
    fade = torch.clamp(skin_mm / 60.0, 0, 1) ** 0.5
    value = (grey * fade).clamp(0, 1) ** look.gamma * MAXIMUM
    return np.asarray(value.round().to(torch.int32).cpu().numpy(), dtype=np.uint16)


def _masked_mean(picture: torch.Tensor, mask: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Gaussian mean over the mask only; large kernels work on a reduced picture."""
    weighted, weight = _wide_blur(picture * mask, sigma_px), _wide_blur(mask, sigma_px)
    return weighted / weight.clamp(min=1e-3)


def _wide_blur(picture: torch.Tensor, sigma_px: float) -> torch.Tensor:
    factor = max(1, int(sigma_px / 3))
    small = torch.nn.functional.interpolate(
        picture[None, None], size=[max(4, s // factor) for s in picture.shape], mode="area"
    )[0, 0]
    sigma = min(sigma_px / factor, (min(small.shape) - 1) / 3.01)
    blurred = blur_rows(small, sigma)
    return torch.nn.functional.interpolate(
        blurred[None, None], size=tuple(picture.shape), mode="bilinear", align_corners=False
    )[0, 0]

"""Gaussian blurs of N images, each with its own width.

Contract: images are (N, H, W). They are mirrored at their edges, so a blur does not change their sum. ``max_px`` bounds
the standard deviations of a batch. If every batch has the same bound, an image does not depend on the other images.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from spine.types import Float


def blur(images: Float[Tensor, "N H W"], sigma_px: Float[Tensor, " N"], max_px: float) -> Float[Tensor, "N H W"]:
    """The images, blurred along both axes by standard deviations of at most ``max_px`` pixels."""
    count, height, width = images.shape
    reach = min(max(1, math.ceil(3 * max_px)), height - 1, width - 1)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32, device=images.device)
    kernel = torch.exp(-0.5 * (offsets / sigma_px[:, None].clamp(min=1e-3)) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True))[:, None]  # (N, 1, 2 reach + 1)
    padded = functional.pad(images[None], (reach,) * 4, mode="reflect")
    down = functional.conv2d(padded, kernel[..., None], groups=count)
    return functional.conv2d(down, kernel[:, :, None], groups=count)[0]


def wide_blur(images: Float[Tensor, "N H W"], sigma_px: Float[Tensor, " N"], max_px: float) -> Float[Tensor, "N H W"]:
    """A faster ``blur`` for wide kernels, which blurs a reduced image and enlarges the result."""
    factor = max(1, int(max_px / 6))
    height, width = images.shape[-2:]
    # Pad to whole pooling windows; overlapping windows would count some pixels twice.
    padded = functional.pad(images[None], (0, -width % factor, 0, -height % factor), mode="replicate")
    small = functional.avg_pool2d(padded, factor)[0]
    blurred = blur(small, sigma_px / factor, max_px / factor)
    large = functional.interpolate(blurred[None], scale_factor=factor, mode="bilinear", align_corners=False)[0]
    return large[..., :height, :width]


def masked_mean(
    images: Float[Tensor, "N H W"], masks: Float[Tensor, "N H W"], sigma_px: Float[Tensor, " N"], max_px: float
) -> Float[Tensor, "N H W"]:
    """Gaussian means with wide kernels over the pixels inside the masks."""
    both = wide_blur(torch.cat([images * masks, masks]), sigma_px.repeat(2), max_px)
    weighted, weight = both.chunk(2)
    return weighted / weight.clamp(min=1e-3)

"""The differentiable spatial-to-numerical transform and its losses (Nibali 2018, arXiv:1801.07372).

Contract: arrays have B images, K landmarks and (H, W) cells. Coordinates are normalised (x, y) with -1 and 1 at the
edges. A masked landmark contributes neither a value nor a gradient.
"""

import torch
from torch import Tensor

from inference.decoding import cell_centres
from spine.types import Bool, Float

_TINY = 1e-12


def spatial_softmax(logits: Float[Tensor, "B K H W"]) -> Float[Tensor, "B K H W"]:
    """(B, K, H, W) logits -> (B, K, H, W) heat maps; the sum of each heat map is one."""
    flat: Tensor = torch.softmax(logits.flatten(2), dim=-1)
    return flat.reshape(logits.shape)


def expected_coordinates(heatmaps: Float[Tensor, "B K H W"]) -> Float[Tensor, "B K 2"]:
    """(B, K, H, W) heat maps that sum to one -> (B, K, 2) expected (x, y), normalised."""
    x = torch.as_tensor(cell_centres(heatmaps.shape[-1]), dtype=heatmaps.dtype, device=heatmaps.device)
    y = torch.as_tensor(cell_centres(heatmaps.shape[-2]), dtype=heatmaps.dtype, device=heatmaps.device)
    return torch.stack([(heatmaps.sum(dim=-2) * x).sum(-1), (heatmaps.sum(dim=-1) * y).sum(-1)], dim=-1)


def euclidean_loss(
    found: Float[Tensor, "B K 2"], target: Float[Tensor, "B K 2"], shape: tuple[int, int]
) -> Float[Tensor, "B K"]:
    """(B, K) distances between (B, K, 2) normalised points, in half heights of the image.

    Both axes are first scaled to the same unit: in a tall image, a normalised step is shorter in x than in y.
    """
    aspect = torch.tensor([shape[1] / shape[0], 1.0], dtype=found.dtype, device=found.device)
    # The slope of the square root is infinite at zero. Without _TINY, an exact or masked point gives NaN gradients.
    return ((((found - target) * aspect) ** 2).sum(-1) + _TINY).sqrt()


def jensen_shannon_loss(
    heatmaps: Float[Tensor, "B K H W"], target: Float[Tensor, "B K 2"], sigma_cells: float
) -> Float[Tensor, "B K"]:
    """(B, K) Jensen-Shannon divergences (nats, at most log 2) of (B, K, H, W) maps from Gaussians at (B, K, 2).

    The Gaussians sum to one and are cut off at the edges.
    """
    x, y = _gaussian_sides(target, (heatmaps.shape[-2], heatmaps.shape[-1]), sigma_cells)
    gaussians = y[..., :, None] * x[..., None, :]
    of_gaussians = _entropy(x) + _entropy(y)  # the entropy of a product is the sum of its factors' entropies
    return _entropy(0.5 * (heatmaps + gaussians), 2) - 0.5 * _entropy(heatmaps, 2) - 0.5 * of_gaussians


def masked_mean(
    values: Float[Tensor, "B K"], mask: Bool[Tensor, "B K"], weight: Float[Tensor, " B"] | None = None
) -> Float[Tensor, ""]:
    """Mean of the (B, K) values where the mask is true, times the ``weight`` of their image if it is given.

    The sum is divided by the number of values and not by the sum of weights, so that a batch of light images counts
    less than a batch of heavy ones. An empty mask gives a mean of zero with a gradient of zero.
    """
    kept = torch.where(mask, values, torch.zeros_like(values))
    kept = kept if weight is None else kept * weight[:, None]
    return kept.sum() / mask.sum().clamp(min=1)


def _gaussian_sides(target: Tensor, shape: tuple[int, int], sigma_cells: float) -> tuple[Tensor, Tensor]:
    """(B, K, 2) centres -> (B, K, W) and (B, K, H) factors of each Gaussian; the sum of each factor is one."""
    sides = []
    for axis, count in ((0, shape[1]), (1, shape[0])):
        grid = torch.as_tensor(cell_centres(count), dtype=target.dtype, device=target.device)
        distance = (grid - target[..., axis, None]) * (count / 2.0)  # cells
        sides.append(torch.softmax(-0.5 * (distance / sigma_cells) ** 2, dim=-1))
    return sides[0], sides[1]


def _entropy(maps: Tensor, axes: int = 1) -> Tensor:
    """Entropy (nats) of distributions over the last ``axes`` axes."""
    terms = maps * (maps + _TINY).log()
    return -terms.flatten(-axes).sum(-1)

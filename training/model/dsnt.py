"""The differentiable spatial-to-numerical transform and its losses (Nibali 2018, arXiv:1801.07372).

Contract: shapes stand in the docstrings with B images, K landmarks and (H, W) cells; coordinates are normalised (x,
y) with -1 and 1 at the edges; a masked landmark contributes neither value nor gradient, whatever stands in its target.
"""

import torch
from torch import Tensor

from inference.decoding import cell_centres

_TINY = 1e-12


def spatial_softmax(logits: Tensor) -> Tensor:
    """(B, K, H, W) logits -> (B, K, H, W) heat maps, each summing to one."""
    flat: Tensor = torch.softmax(logits.flatten(2), dim=-1)
    return flat.reshape(logits.shape)


def expected_coordinates(heatmaps: Tensor) -> Tensor:
    """(B, K, H, W) heat maps that sum to one -> (B, K, 2) expected (x, y), normalised."""
    x = torch.as_tensor(cell_centres(heatmaps.shape[-1]), dtype=heatmaps.dtype, device=heatmaps.device)
    y = torch.as_tensor(cell_centres(heatmaps.shape[-2]), dtype=heatmaps.dtype, device=heatmaps.device)
    return torch.stack([(heatmaps.sum(dim=-2) * x).sum(-1), (heatmaps.sum(dim=-1) * y).sum(-1)], dim=-1)


def gaussian_maps(target: Tensor, shape: tuple[int, int], sigma_cells: float) -> Tensor:
    """(B, K, 2) normalised (x, y) -> (B, K, H, W) Gaussians that sum to one; cut off at the edges."""
    x, y = _gaussian_sides(target, shape, sigma_cells)
    return y[..., :, None] * x[..., None, :]


def euclidean_loss(found: Tensor, target: Tensor, shape: tuple[int, int]) -> Tensor:
    """(B, K) distances between (B, K, 2) normalised points, in half heights of the image.

    Both axes are brought to the same unit first: in an oblong image one normalised step across is
    shorter than one down.
    """
    aspect = torch.tensor([shape[1] / shape[0], 1.0], dtype=found.dtype, device=found.device)
    # The root's slope is infinite at zero: a perfect (or masked) point would give NaN gradients.
    return ((((found - target) * aspect) ** 2).sum(-1) + _TINY).sqrt()


def jensen_shannon_loss(heatmaps: Tensor, target: Tensor, sigma_cells: float) -> Tensor:
    """(B, K) Jensen-Shannon divergences (nats, at most log 2) of (B, K, H, W) maps from Gaussians at (B, K, 2)."""
    x, y = _gaussian_sides(target, (heatmaps.shape[-2], heatmaps.shape[-1]), sigma_cells)
    gaussians = y[..., :, None] * x[..., None, :]
    of_gaussians = _entropy(x) + _entropy(y)  # a product's entropy is the sum of its factors'
    return _entropy(0.5 * (heatmaps + gaussians), 2) - 0.5 * _entropy(heatmaps, 2) - 0.5 * of_gaussians


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the (B, K) values where the (B, K) mask holds; zero (with zero gradient) where it holds nowhere."""
    kept = torch.where(mask, values, torch.zeros_like(values))
    return kept.sum() / mask.sum().clamp(min=1)


def _gaussian_sides(target: Tensor, shape: tuple[int, int], sigma_cells: float) -> tuple[Tensor, Tensor]:
    """(B, K, 2) -> (B, K, W) and (B, K, H): the two factors of each Gaussian, each summing to one."""
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

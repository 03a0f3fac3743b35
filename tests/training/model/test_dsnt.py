"""The transform and its losses on maps with known results, all sizes different."""

import math

import numpy as np
import pytest
import torch

from inference.decoding import cell_centres, expectation
from training.model.dsnt import euclidean_loss, expected_coordinates, jensen_shannon_loss, masked_mean, spatial_softmax

B, K, H, W = 2, 3, 5, 7


def _one_hot(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    maps = torch.zeros(B, K, H, W, dtype=torch.float64)
    for b in range(B):
        for k in range(K):
            maps[b, k, rows[b, k], columns[b, k]] = 1.0
    return maps


def _gaussians(target: torch.Tensor, sigma_cells: float) -> torch.Tensor:
    x, y = torch.as_tensor(cell_centres(W)), torch.as_tensor(cell_centres(H))[:, None]
    across, down = (x - target[..., 0, None, None]) * W / 2, (y - target[..., 1, None, None]) * H / 2
    return spatial_softmax(-0.5 * (across**2 + down**2) / sigma_cells**2)


def test_cell_centres_are_those_drawn_in_the_docstring():
    np.testing.assert_allclose(cell_centres(4), [-0.75, -0.25, 0.25, 0.75])


def test_expectation_of_single_cells_is_the_cell_centre():
    rows = torch.tensor([[0, 4, 2], [1, 3, 0]])
    columns = torch.tensor([[6, 0, 3], [5, 1, 2]])
    found = expected_coordinates(_one_hot(rows, columns))
    x = torch.as_tensor(cell_centres(W))[columns]
    y = torch.as_tensor(cell_centres(H))[rows]
    torch.testing.assert_close(found, torch.stack([x, y], dim=-1))


def test_expectation_between_two_cells_is_their_weighted_mean():
    maps = torch.zeros(B, K, H, W, dtype=torch.float64)
    maps[..., 2, 1], maps[..., 2, 4] = 0.25, 0.75
    found = expected_coordinates(maps)
    wanted = 0.25 * cell_centres(W)[1] + 0.75 * cell_centres(W)[4]
    torch.testing.assert_close(found[..., 0], torch.full((B, K), wanted, dtype=torch.float64))
    torch.testing.assert_close(found[..., 1], torch.zeros(B, K, dtype=torch.float64), atol=1e-12, rtol=0)


def test_softmax_sums_to_one_over_each_map_alone():
    heatmaps = spatial_softmax(torch.randn(B, K, H, W, generator=torch.Generator().manual_seed(1)))
    assert heatmaps.shape == (B, K, H, W)
    torch.testing.assert_close(heatmaps.sum(dim=(2, 3)), torch.ones(B, K))


def test_torch_and_numpy_give_the_same_expectation():
    heatmaps = spatial_softmax(torch.randn(B, K, H, W, dtype=torch.float64))
    mean, variance = expectation(heatmaps.numpy())
    np.testing.assert_allclose(expected_coordinates(heatmaps).numpy(), mean, atol=1e-12)
    assert variance.shape == (B, K, 2)
    assert (variance > 0).all()


def test_euclidean_loss_counts_both_axes_in_the_same_unit():
    found = torch.zeros(B, K, 2, dtype=torch.float64)
    one_cell_right = found + torch.tensor([2 / W, 0.0])
    one_cell_down = found + torch.tensor([0.0, 2 / H])
    right = euclidean_loss(found, one_cell_right, (H, W))
    down = euclidean_loss(found, one_cell_down, (H, W))
    torch.testing.assert_close(right, torch.full((B, K), 2 / H, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(right, down, atol=1e-6, rtol=0)


def test_euclidean_loss_has_a_finite_gradient_at_zero_distance():
    found = torch.zeros(B, K, 2, requires_grad=True)
    euclidean_loss(found, torch.zeros(B, K, 2), (H, W)).sum().backward()
    assert found.grad is not None
    assert torch.isfinite(found.grad).all()


def test_jensen_shannon_is_zero_for_the_gaussian_and_log_two_for_disjoint_maps():
    target = torch.tensor([[[0.0, 0.0], [0.5, -0.4], [-0.8, 0.1]]] * B, dtype=torch.float64)
    same = jensen_shannon_loss(_gaussians(target, 0.8), target, 0.8)
    torch.testing.assert_close(same, torch.zeros(B, K, dtype=torch.float64), atol=1e-9, rtol=0)
    corner = _one_hot(torch.zeros(B, K, dtype=torch.long), torch.zeros(B, K, dtype=torch.long))
    far = jensen_shannon_loss(corner, torch.full((B, K, 2), 0.85, dtype=torch.float64), 0.3)
    torch.testing.assert_close(far, torch.full((B, K), math.log(2), dtype=torch.float64), atol=1e-6, rtol=0)


def test_jensen_shannon_equals_its_definition():
    heatmaps = spatial_softmax(torch.randn(B, K, H, W, dtype=torch.float64, generator=torch.Generator().manual_seed(3)))
    target = torch.rand(B, K, 2, dtype=torch.float64) - 0.5
    g = _gaussians(target, 1.0)
    m = 0.5 * (heatmaps + g)
    wanted = 0.5 * (heatmaps * (heatmaps / m).log()).sum((2, 3)) + 0.5 * (g * (g / m).log()).sum((2, 3))
    torch.testing.assert_close(jensen_shannon_loss(heatmaps, target, 1.0), wanted, atol=1e-8, rtol=0)


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e30])
def test_a_masked_value_contributes_neither_value_nor_gradient(poison):
    values = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    mask = torch.tensor([[True, False, True], [False, True, False]])
    spoiled = torch.where(mask, values, torch.full_like(values, poison))
    loss = masked_mean(spoiled, mask)
    loss.backward()
    assert loss.item() == pytest.approx((1 + 3 + 5) / 3)
    assert values.grad is not None
    torch.testing.assert_close(values.grad, mask.float() / 3)


def test_masked_mean_of_nothing_is_zero():
    values = torch.ones(B, K, requires_grad=True)
    loss = masked_mean(values, torch.zeros(B, K, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0
    assert values.grad is not None
    assert not values.grad.any()

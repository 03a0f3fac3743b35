"""Shading of images: a linear change of brightness that may burn a part of the image."""

import torch

from training.data.pool import shaded


def test_black_stays_black_and_the_lower_part_becomes_white():
    pixels = torch.zeros(1, 8, 4)
    pixels[:, :, 0] = -1.0
    changed = shaded(pixels, torch.tensor([[0.0, 2.0]]))
    assert (changed[:, :, 0] == -1).all()
    assert (changed[0, -1, 1:] == 1).all()
    assert (changed[0, 0, 1:] == -1).all()


def test_an_image_without_slopes_keeps_grey_values_above_one():
    pixels = torch.full((2, 4, 4), 1.3)
    changed = shaded(pixels, torch.tensor([[0.0, 0.0], [0.1, 0.0]]))
    assert torch.equal(changed[0], pixels[0])
    assert changed[1].max() == 1.0

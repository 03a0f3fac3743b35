"""Fields of view cut from rendered images: what is black, which landmarks stay, and where they go."""

import numpy as np
import pytest
import torch

from spine.landmarks import GALBUSERA39, LEVELS
from training.data.fields_of_view import FIELDS, centred, cut_images, draw_windows, kept_landmarks, level_table

NAMES = GALBUSERA39.names
COUNT = 200


@pytest.fixture(scope="module")
def spines():
    """Straight spines from top to bottom of the image: (N, K, 2) points, all present."""
    levels = level_table(NAMES)
    heights = torch.linspace(-0.75, 0.75, len(LEVELS) + 1)[levels]
    points = torch.stack([torch.zeros(len(NAMES)), heights], dim=-1).expand(COUNT, -1, -1).clone()
    return points, torch.ones(COUNT, len(NAMES), dtype=torch.bool)


def windows_of(spines, probability=1.0, seed=1):
    random = np.random.default_rng(seed)
    return draw_windows(random, probability, *spines, level_table(NAMES))


def test_every_kind_occurs_and_a_share_of_the_images_shows_no_spine(spines):
    windows = windows_of(spines)
    kept = kept_landmarks(*spines, windows)
    assert windows.cut.float().mean() > 0.9
    without = (~windows.shows_spine).float().mean()
    expected = sum(field.share for field in FIELDS.values() if not field.shows_spine)
    assert abs(float(without) - expected) < 0.1
    assert not kept[~windows.shows_spine].any()
    assert kept[windows.shows_spine & windows.cut].any(dim=1).all()


def test_no_image_is_cut_with_probability_zero(spines):
    windows = windows_of(spines, probability=0.0)
    assert not windows.cut.any()
    assert kept_landmarks(*spines, windows).all()
    pixels = torch.rand(COUNT, 32, 16)
    assert torch.equal(cut_images(pixels, windows), pixels)
    linear, shift = torch.eye(2).expand(COUNT, 2, 2), torch.full((COUNT, 2), 0.1)
    moved = centred(linear, shift, windows)
    assert torch.equal(moved[0], linear)
    assert torch.equal(moved[1], shift)


def test_an_image_without_the_levels_of_a_kind_is_left_whole(spines):
    points, present = spines
    lumbar = level_table(NAMES) >= LEVELS.index("L3")
    windows = windows_of((points, present & lumbar))
    height = points[:, lumbar, 1].min()
    cut_above = windows.cut & (windows.bounds[:, 3] < height)
    assert not cut_above.any()


def test_the_window_is_centred_and_fits(spines):
    windows = windows_of(spines)
    linear, shift = centred(torch.eye(2).expand(COUNT, 2, 2), torch.zeros(COUNT, 2), windows)
    corners = windows.bounds.reshape(COUNT, 2, 2).transpose(1, 2)  # upper left and lower right
    moved = (linear[:, None] @ corners[..., None])[..., 0] + shift[:, None]
    assert torch.allclose(moved[:, 0], -moved[:, 1], atol=1e-5)
    assert moved.abs().max() < 1.0 + 1e-5


def test_outside_is_black_and_inside_spans_the_same_grey_values_as_in_service(spines):
    windows = windows_of(spines)
    pixels = torch.rand(COUNT, 128, 64, generator=torch.Generator().manual_seed(3)) * 0.4 - 0.9
    cut = cut_images(pixels, windows)
    y = (torch.arange(128) + 0.5) / 64 - 1
    for i in torch.nonzero(windows.cut)[:20, 0]:
        top, bottom = windows.bounds[i, 2:]
        outside = (y < top) | (y > bottom)
        assert (cut[i, outside] == -1).all()
        inside = cut[i][~outside]
        inside = inside[inside != -1]
        assert float(inside.quantile(0.5)) == pytest.approx(0.0, abs=0.15)
        assert float(inside.max()) == pytest.approx(1.0, abs=0.2)

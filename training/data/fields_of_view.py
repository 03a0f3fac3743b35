"""Cuts images to random fields of view.

Three kinds of cut show a part of the spine: thoracolumbar, lumbar, and ``cut``, whose lower edge runs through the
lumbar spine or the sacrum. The other kinds show no spine to measure: chest, pelvis, neck, head and thigh. They lose all
landmarks, so the network learns to find none there.

Contract: the same state of the random generator gives the same windows. Coordinates are normalised: (x, y), from -1 to
1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from inference.contract import DEFAULT_NORMALISATION
from inference.preprocessing import GREY_LIMIT, PERCENTILE_SAMPLES
from spine.landmarks import LEVELS, level_of
from spine.types import Bool, Float, Floats

_LEVEL = {**{level: i for i, level in enumerate(LEVELS)}, "hips": len(LEVELS)}


@dataclass(frozen=True)
class FieldOfView:
    """One kind of field of view. All numbers are choices.

    Attributes:
        share: share among the images that are cut.
        top, bottom: first and last level near which the edge may run.
        above, below: least and largest distance of the edge from that level in vertebral steps; down is positive.
        aspect: least and largest width as a share of the height.
        shows_spine: whether the image shows a spine to measure.
    """

    share: float
    top: tuple[str, str]
    bottom: tuple[str, str]
    above: tuple[float, float] = (-0.5, 0.5)
    below: tuple[float, float] = (-0.5, 0.5)
    aspect: tuple[float, float] = (0.28, 0.9)
    shows_spine: bool = True


FIELDS: Mapping[str, FieldOfView] = {
    "thoracolumbar": FieldOfView(0.18, ("T3", "T10"), ("S1", "S1"), below=(0.6, 5.0)),
    "lumbar": FieldOfView(0.32, ("T10", "L2"), ("S1", "S1"), below=(0.6, 5.0)),
    "cut": FieldOfView(0.20, ("T1", "T11"), ("L2", "S1")),
    "chest": FieldOfView(0.12, ("T1", "T1"), ("T11", "L2"), above=(-4.0, -1.0), aspect=(0.7, 1.3), shows_spine=False),
    "pelvis": FieldOfView(0.05, ("L4", "S1"), ("S1", "S1"), below=(4.0, 10.0), aspect=(0.7, 1.5), shows_spine=False),
    "neck": FieldOfView(0.09, ("T1", "T1"), ("T1", "T4"), above=(-12.0, -5.0), aspect=(0.5, 1.3), shows_spine=False),
    "head": FieldOfView(0.02, ("T1", "T1"), ("T1", "T1"), (-18.0, -10.0), (-6.0, -3.0), (0.6, 1.3), shows_spine=False),
    "thigh": FieldOfView(
        0.02, ("hips", "hips"), ("hips", "hips"), (2.0, 5.0), (7.0, 14.0), (0.4, 1.2), shows_spine=False
    ),
}

_LEAST_SIZE = 0.42
"""Least size of a window in the input, as a share of the largest size that fits. In service, a model tries sizes from
0.5 to 1 (``ModelContract.scales``)."""

_MAX_ENLARGEMENT = 2.6
"""Largest enlargement of a window; beyond it, the rendered images are too coarse."""

_BESIDE = 0.08
"""Least distance from a landmark to the side of a window."""

_LEAST_HEIGHT = 0.12
"""Least height of a window, as a share of the image's height."""


@dataclass(frozen=True)
class Windows:
    """Windows of N images.

    Attributes:
        bounds: (N, 4) left, right, top, bottom.
        enlargement: (N,) enlargement of the window in the input; 1 keeps its size.
        cut: (N,) whether the image is cut.
        shows_spine: (N,) whether the landmarks inside the window stay.
    """

    bounds: Float[Tensor, "N 4"]
    enlargement: Float[Tensor, " N"]
    cut: Bool[Tensor, " N"]
    shows_spine: Bool[Tensor, " N"]


def level_table(names: Sequence[str]) -> Tensor:
    """(K,) index of each landmark's level among T1..S1; one more for the hips."""
    return torch.tensor([_LEVEL.get(level_of(name), len(LEVELS)) for name in names])


def draw_windows(
    random: np.random.Generator,
    probability: float,
    points: Float[Tensor, "N K 2"],
    present: Bool[Tensor, "N K"],
    levels: Tensor,
    fields: Mapping[str, FieldOfView] = FIELDS,
) -> Windows:
    """Draw a field of view for each image; an image that lacks the levels of its kind is left whole.

    Args:
        random: the random generator of the batch.
        probability: the probability that an image is cut.
        points, present: the landmarks of the images, and whether each one is present.
        levels: the result of ``level_table``.
        fields: the kinds of field of view; the sum of their shares is one.
    """
    height, middle, spread = (each.cpu().numpy().astype(np.float64) for each in _level_places(points, present, levels))
    count = len(height)
    drawn = random.choice(len(fields), size=count, p=[field.share for field in fields.values()])
    kinds = [list(fields.values())[k] for k in drawn]
    chosen = random.random(count) < probability
    bounds, enlargement = np.tile([-1.0, 1.0, -1.0, 1.0], (count, 1)), np.ones(count)
    for i in np.flatnonzero(chosen):
        window = _window(random, kinds[i], height[i], middle[i], spread[i])
        chosen[i] = window is not None
        if window is not None:
            bounds[i] = window
            fit = 2.0 / max(window[1] - window[0], window[3] - window[2])
            enlargement[i] = min(fit * np.exp(random.uniform(np.log(_LEAST_SIZE), 0.0)), _MAX_ENLARGEMENT)
    shows = np.array([kind.shows_spine for kind in kinds], dtype=bool) | ~chosen
    return Windows(
        torch.from_numpy(bounds).float().to(points.device),
        torch.from_numpy(enlargement).float().to(points.device),
        torch.from_numpy(chosen).to(points.device),
        torch.from_numpy(shows).to(points.device),
    )


def _level_places(points: Tensor, present: Tensor, levels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, L) height of each level, its x, and the half width of its landmarks; NaN where no landmark is present."""
    count = len(LEVELS) + 1
    of_level = torch.nn.functional.one_hot(levels.to(points.device), count).float()  # (K, L)
    weight = present.float()
    total = weight @ of_level
    mean = [(points[..., axis] * weight) @ of_level / total for axis in (1, 0)]
    away = (points[..., 0] - mean[1].nan_to_num()[:, levels.to(points.device)]).abs() * weight
    half = torch.stack([torch.where(of_level[:, level] > 0, away, 0.0).amax(dim=1) for level in range(count)], dim=1)
    return mean[0], mean[1], half


def _window(
    random: np.random.Generator, kind: FieldOfView, height: Floats, middle: Floats, spread: Floats
) -> tuple[float, float, float, float] | None:
    """Left, right, top and bottom of one window; None if the image lacks the levels of this kind."""
    steps = np.diff(height[: len(LEVELS)])
    step = float(np.nanmedian(steps)) if np.isfinite(steps).any() else np.nan
    places = [_level_between(random, ends) for ends in (kind.top, kind.bottom)]
    if not np.isfinite([*height[places], step]).all():
        return None
    top = max(float(height[places[0]] + step * random.uniform(*kind.above)), -1.0)
    bottom = min(float(height[places[1]] + step * random.uniform(*kind.below)), 1.0)
    if bottom - top < 2 * _LEAST_HEIGHT:
        return None
    # In an input twice as high as wide, a square has twice the normalised width.
    half = (bottom - top) * random.uniform(*kind.aspect)
    shown = (height >= top) & (height <= bottom)
    if kind.shows_spine:
        if not shown.any():
            return None
        low, high = float((middle - spread)[shown].min()), float((middle + spread)[shown].max())
        half = max((high - low) / 2 + _BESIDE, half)
        aside = half - (high - low) / 2 - _BESIDE / 2  # all landmarks stay inside
    else:
        near = middle[shown] if shown.any() else middle[places]
        low, high, aside = float(near.min()), float(near.max()), half / 2
    centre = (low + high) / 2 + float(np.clip(random.normal() * 0.12, -aside, aside))
    return max(centre - half, -1.0), min(centre + half, 1.0), top, bottom


def _level_between(random: np.random.Generator, ends: tuple[str, str]) -> int:
    return int(random.integers(_LEVEL[ends[0]], _LEVEL[ends[1]] + 1))


def cut_images(pixels: Float[Tensor, "N H W"], windows: Windows) -> Float[Tensor, "N H W"]:
    """Black outside the windows; grey values scaled to the percentiles inside, as in ``inference.preprocessing``."""
    height, width = pixels.shape[1:]
    y = (torch.arange(height, device=pixels.device) + 0.5) * 2 / height - 1
    x = (torch.arange(width, device=pixels.device) + 0.5) * 2 / width - 1
    left, right, top, bottom = (windows.bounds[:, i, None] for i in range(4))
    inside = ((y >= top) & (y <= bottom))[:, :, None] & ((x >= left) & (x <= right))[:, None, :]
    step = max(1, round((height * width / PERCENTILE_SAMPLES) ** 0.5))
    sampled = pixels[:, ::step, ::step].masked_fill(~inside[:, ::step, ::step], torch.nan).flatten(1)
    wanted = (DEFAULT_NORMALISATION.low_percentile, DEFAULT_NORMALISATION.high_percentile)
    low, high = torch.nanquantile(sampled, pixels.new_tensor(wanted) / 100, dim=1)[:, :, None, None]
    scaled = ((pixels - low) * (2 / (high - low).clamp(min=1e-3)) - 1).clamp(-GREY_LIMIT, GREY_LIMIT)
    return torch.where(windows.cut[:, None, None], torch.where(inside, scaled, -1.0), pixels)


def kept_landmarks(
    points: Float[Tensor, "N K 2"], present: Bool[Tensor, "N K"], windows: Windows
) -> Bool[Tensor, "N K"]:
    """Whether each landmark lies inside its window, and the window shows a spine to measure."""
    left, right, top, bottom = (windows.bounds[:, i, None] for i in range(4))
    x, y = points[..., 0], points[..., 1]
    return present & (x > left) & (x < right) & (y > top) & (y < bottom) & windows.shows_spine[:, None]


def centred(
    linear: Float[Tensor, "N 2 2"], shift: Float[Tensor, "N 2"], windows: Windows
) -> tuple[Float[Tensor, "N 2 2"], Float[Tensor, "N 2"]]:
    """The affines that apply ``linear`` and ``shift`` to windows moved to the centre and enlarged."""
    centre = windows.bounds.reshape(-1, 2, 2).mean(dim=2)
    enlarged = linear * windows.enlargement[:, None, None]
    return enlarged, shift - (enlarged @ centre[..., None])[..., 0]

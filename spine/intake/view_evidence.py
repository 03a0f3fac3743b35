"""Detects exchanged views by comparing the images with the reconstruction, because view tags may be wrong.

Two measures are computed twice: once with the views as tagged and once with the views exchanged. The results are
compared. Both measures also work on images with inverted grey values.

- Vertebrae are brighter than most tissue next to them. The smoothed brightness at each level is ranked within its pixel
  row, up to 7 cm to each side. The measure is the mean rank. Hanging arms in a lateral image can be brighter than the
  spine.
- End plates are brighter than the middle of their vertebra. The measure is the mean difference over the levels, in
  standard errors. The measure becomes small if the reconstruction is wrong by millimetres, and is 0 without end plates.

On 600 virtual patients of all conditions, fields of view and appearances (`python -m benchmarks views`), two correct
pairs were reported as exchanged (0.3 %). After an exchange of the views, 95 % of the pairs were detected. The constants
were chosen on 694 other patients of an earlier renderer, where the true views scored higher in every pair. Contract:
views are reported as exchanged only if the exchanged views score clearly higher and enough levels are visible.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, uniform_filter

from spine.landmarks import VERTEBRAE, VIEWS, ViewName
from spine.reconstruction.checks import level_centres
from spine.reconstruction.reconstruction import Reconstruction
from spine.scanner import ViewGeometry
from spine.types import Floats

CLEAR_LEAD = 1.2
MIN_LEVELS = 5
SMOOTHING_MM = 8.0
BESIDE_MM = 70.0
RANK_WEIGHT = 20.0
"""A difference of 0.05 in the mean rank has the same weight as one standard error of the end plates."""

Image = NDArray[np.uint16]
Placed = Mapping[ViewName, tuple[Floats, ViewGeometry]]


def views_seem_exchanged(
    images: Mapping[ViewName, Image], geometries: Mapping[ViewName, ViewGeometry], reconstruction: Reconstruction
) -> bool:
    """Whether the (H, W) images fit the reconstruction clearly better with their views exchanged.

    The keys of ``images`` and ``geometries`` are the views that the tags name.
    """
    if len(images) < 2 or len(geometries) < 2:
        return False
    centres = level_centres(reconstruction.points)
    points = np.array([centres[level] for level in VERTEBRAE if level in centres])
    plain = {view: images[view].astype(np.float64) for view in VIEWS}
    smooth = {view: _smoothed(plain[view], geometries[view]) for view in VIEWS}
    claimed, exchanged = (_mean_rank(place(smooth, geometries), points) for place in (_as_claimed, _as_exchanged))
    if claimed is None or exchanged is None:
        return False
    plates = _plates(reconstruction)
    contrast = [_plate_contrast(place(plain, geometries), plates) for place in (_as_claimed, _as_exchanged)]
    return RANK_WEIGHT * (exchanged - claimed) + contrast[1] - contrast[0] > CLEAR_LEAD


def _as_claimed(images: Mapping[ViewName, Floats], geometries: Mapping[ViewName, ViewGeometry]) -> Placed:
    return {view: (images[view], geometries[view]) for view in VIEWS}


def _as_exchanged(images: Mapping[ViewName, Floats], geometries: Mapping[ViewName, ViewGeometry]) -> Placed:
    """View -> the image tagged as the other view, in the scanner position of this view."""
    found: dict[ViewName, tuple[Floats, ViewGeometry]] = {}
    for view, other in zip(VIEWS, VIEWS[::-1], strict=True):
        own = geometries[other]
        found[view] = images[other], replace(geometries[view], shape=own.shape, spacing_mm=own.spacing_mm)
    return found


def _smoothed(image: Floats, geometry: ViewGeometry) -> Floats:
    size = tuple(max(1, round(SMOOTHING_MM / spacing)) for spacing in geometry.spacing_mm)
    smooth: Floats = uniform_filter(image, size=size)
    return smooth


def _mean_rank(views: Placed, points: Floats) -> float | None:
    """Mean rank of the visible levels in all views. A level beside the image has rank 0. None with too few levels."""
    ranks: list[float] = []
    beside = 0
    for image, geometry in views.values():
        reach = max(1, round(BESIDE_MM / geometry.spacing_mm[1]))
        for column, row in np.rint(geometry.project(points)).astype(int):
            if not 0 <= row < geometry.shape[0]:
                continue
            if 0 <= column < geometry.shape[1]:
                around = image[row, max(0, column - reach) : column + reach + 1]
                ranks.append(float(np.mean(around < image[row, column])))
            else:
                beside += 1
    if len(ranks) + beside < MIN_LEVELS * len(views):
        return None
    # Inverted grey values reverse the ranks of visible levels. A level beside the image has rank 0 in either case.
    bright, dark = sum(ranks), len(ranks) - sum(ranks)
    return max(bright, dark) / (len(ranks) + beside)


def _plates(reconstruction: Reconstruction) -> Floats:
    """(V, 2, 3) upper and lower plate centres of every level that has both, LPS mm."""
    points = reconstruction.points
    both = [(f"{level}_sup", f"{level}_inf") for level in VERTEBRAE]
    found = [(points[upper], points[lower]) for upper, lower in both if upper in points and lower in points]
    return np.array(found).reshape(-1, 2, 3)


def _plate_contrast(views: Placed, plates: Floats) -> float:
    """Mean over both views of |plate minus middle brightness| in standard errors. It is 0 with too few levels."""
    found = 0.0
    for image, geometry in views.values():
        places = geometry.project(plates)  # (V, 2, 2)
        places = np.concatenate([places, places.mean(axis=1, keepdims=True)], axis=1)
        grey = map_coordinates(image, [places[..., 1], places[..., 0]], order=1, mode="constant", cval=np.nan)
        step = grey[:, :2].mean(axis=1) - grey[:, 2]
        step = step[np.isfinite(step)]
        if len(step) >= MIN_LEVELS and step.std() > 0:
            found += abs(step.mean()) / (step.std() / np.sqrt(len(step))) / len(views)
    return float(found)

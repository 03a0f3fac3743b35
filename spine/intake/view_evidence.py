"""What two images themselves say about their view tags, held against the reconstruction.

Two signs, each of them taken with the images as their tags say and exchanged, and each as good in a negative:

- Vertebrae are brighter than most of what lies beside them. The smoothed brightness at each level is ranked among its
  pixel row within 7 cm; what counts is the mean rank. Hanging arms in a lateral image can outshine the spine.
- End plates are brighter than the middle of their vertebra. What counts is the mean difference over levels, in its
  standard errors. It fades when a reconstruction is off by millimetres, and is silent without plates.

Measured on 600 virtual patients of all conditions, fields of view and looks (`python -m benchmarks views`): two good
pairs were called exchanged (0.3 %), and 95 % of the same pairs with their views exchanged. The rule's constants were
chosen on another 694, of an earlier renderer, where the true assignment led in every one. Contract: says exchanged
only with a clear lead; too few visible levels say nothing.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spine.landmarks import VERTEBRAE, VIEWS, ViewName
from spine.reconstruction.checks import level_centres
from spine.reconstruction.reconstruction import Reconstruction
from spine.scanner import ViewGeometry
from spine.types import Floats

CLEAR_LEAD = 1.2
LEAST_LEVELS = 5
SMOOTHING_MM = 8.0
BESIDE_MM = 70.0
RANK_WEIGHT = 20.0
"""A lead of 0.05 in the mean rank says as much as one standard error of the plates."""

Image = NDArray[np.uint16]
Placed = Mapping[ViewName, tuple[Floats, ViewGeometry]]


def views_seem_exchanged(
    images: Mapping[ViewName, Image],
    geometries: Mapping[ViewName, ViewGeometry],
    reconstruction: Reconstruction,
) -> bool:
    """Whether the (H, W) images fit the reconstruction clearly better with their views exchanged.

    Args:
        images: by the view their tags claim.
        geometries: their places in the scanner, by the same view.
        reconstruction: of the study, LPS mm.
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
    shown = [_plate_contrast(place(plain, geometries), plates) for place in (_as_claimed, _as_exchanged)]
    return RANK_WEIGHT * (exchanged - claimed) + shown[1] - shown[0] > CLEAR_LEAD


def _as_claimed(images: Mapping[ViewName, Floats], geometries: Mapping[ViewName, ViewGeometry]) -> Placed:
    return {view: (images[view], geometries[view]) for view in VIEWS}


def _as_exchanged(images: Mapping[ViewName, Floats], geometries: Mapping[ViewName, ViewGeometry]) -> Placed:
    """Each image looked at as if it were the other view: its own pixels, the other view's source."""
    found: dict[ViewName, tuple[Floats, ViewGeometry]] = {}
    for view, other in zip(VIEWS, VIEWS[::-1], strict=True):
        own = geometries[other]
        found[view] = images[other], replace(geometries[view], shape=own.shape, spacing_mm=own.spacing_mm)
    return found


def _smoothed(image: Floats, geometry: ViewGeometry) -> Floats:
    from scipy.ndimage import uniform_filter

    size = tuple(max(1, round(SMOOTHING_MM / spacing)) for spacing in geometry.spacing_mm)
    smooth: Floats = uniform_filter(image, size=size)
    return smooth


def _mean_rank(views: Placed, points: Floats) -> float | None:
    """Mean over views and visible levels; a level beside the image ranks 0. None with too few levels."""
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
    if len(ranks) + beside < LEAST_LEVELS * len(views):
        return None
    # In a negative all that is seen counts the other way round; what is beside the image is so in both.
    bright, dark = sum(ranks), len(ranks) - sum(ranks)
    return max(bright, dark) / (len(ranks) + beside)


def _plates(reconstruction: Reconstruction) -> Floats:
    """(V, 2, 3) upper and lower plate of every level that has both."""
    points = reconstruction.points
    both = [(f"{level}_sup", f"{level}_inf") for level in VERTEBRAE]
    found = [(points[upper], points[lower]) for upper, lower in both if upper in points and lower in points]
    return np.array(found).reshape(-1, 2, 3)


def _plate_contrast(views: Placed, plates: Floats) -> float:
    """Mean over both views of |plates minus middles| in standard errors; 0 for a view with too few levels."""
    from scipy.ndimage import map_coordinates

    found = 0.0
    for image, geometry in views.values():
        places = geometry.project(plates)  # (V, 2, 2)
        places = np.concatenate([places, places.mean(axis=1, keepdims=True)], axis=1)
        grey = map_coordinates(image, [places[..., 1], places[..., 0]], order=1, mode="constant", cval=np.nan)
        step = grey[:, :2].mean(axis=1) - grey[:, 2]
        step = step[np.isfinite(step)]
        if len(step) >= LEAST_LEVELS and step.std() > 0:
            found += abs(step.mean()) / (step.std() / np.sqrt(len(step))) / len(views)
    return float(found)

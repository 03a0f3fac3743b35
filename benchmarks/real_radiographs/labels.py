"""The reliability of the labels, by two estimates.

The first estimate uses exposures that are in the data set twice, cropped differently and with separate labels. The
labels of such a pair differ as two measurements by the same readers. The second estimate uses three measurements of
each radiograph: the labels, a model that was never trained on a label, and a model that was fine-tuned on other
radiographs. If their errors are independent, the SD of each follows from the differences. An error that both models
share appears as an error of the labels, so the estimate for the labels is an upper bound.

Contract: pairs are found by their pixels. The thresholds were chosen so that every pair above them, checked by eye, is
one exposure. The angles of the labels are the published angles.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.real_radiographs.folds import radiograph_of
from benchmarks.sim_to_real.pack import Pack
from spine.types import Floats

SAME_WHOLE = 0.975
"""Correlation of two whole radiographs, 128 x 64 pixels."""

SAME_SPINE = 0.865
"""Correlation of two spines of the same length, without structures larger than a vertebra."""

_WHOLE, _SPINE, _MARGIN = (128, 64), (120, 56), 8


def twice_labelled(radiographs: Pack) -> list[tuple[int, int]]:
    """Pairs of rows that show one exposure."""
    whole = np.stack([_standard(_resized(radiograph_of(p)[0].astype(np.float64), _WHOLE)) for p in radiographs.images])
    alike = whole.reshape(len(whole), -1) @ whole.reshape(len(whole), -1).T / whole[0].size
    spines = np.stack([_spine(p, c) for p, c in zip(radiographs.images, radiographs.corners, strict=True)])
    waves = np.fft.rfft2(spines)
    pairs = []
    for i, j in combinations(range(len(whole)), 2):
        # Most pairs already differ in the whole image, which takes less time to compare.
        if alike[i, j] > SAME_WHOLE or (alike[i, j] > 0.5 and _best_shift(waves[i], waves[j]) > SAME_SPINE):
            pairs.append((i, j))
    return pairs


def _best_shift(first: NDArray[np.complex128], second: NDArray[np.complex128]) -> float:
    """The largest correlation over shifts of a few pixels."""
    every = np.fft.irfft2(first * np.conj(second), s=_SPINE) / (_SPINE[0] * _SPINE[1])
    near = np.r_[0:_MARGIN, -_MARGIN:0]
    return float(every[np.ix_(near, near)].max())


def _spine(image: NDArray[np.uint8], corners: NDArray[np.float32]) -> Floats:
    """A window around the labelled spine, scaled to one length, without structures larger than a vertebra."""
    centres = corners.astype(np.float64).mean(axis=1)
    length, middle = np.linalg.norm(centres[-1] - centres[0]), (centres[-1] + centres[0]) / 2
    rows, columns = np.mgrid[-0.6 : 0.6 : _SPINE[0] * 1j, -0.28 : 0.28 : _SPINE[1] * 1j]
    at = [middle[1] + rows * length, middle[0] + columns * length]
    window = ndimage.map_coordinates(image.astype(np.float64), at, order=1, mode="constant")
    return _standard(np.clip(window - ndimage.uniform_filter(window, 15), -40, 40))


def _resized(radiograph: Floats, shape: tuple[int, int]) -> Floats:
    zoom = [wanted / have for wanted, have in zip(shape, radiograph.shape, strict=True)]
    smooth = ndimage.gaussian_filter(radiograph, [max(0.5 / z, 0.0) for z in zoom])
    return np.asarray(ndimage.zoom(smooth, zoom, order=1), dtype=np.float64)[: shape[0], : shape[1]]


def _standard(values: Floats) -> Floats:
    return (values - values.mean()) / max(float(values.std()), 1e-9)


def own_deviation(one: Floats, two: Floats, three: Floats) -> float:
    """SD of the errors of ``one``, from three measurements with independent errors; robust to outliers.

    Var(a - b) + Var(a - c) - Var(b - c) = 2 Var(a) if the errors are independent (Grubbs 1948).
    """
    variances = [_spread(one - two) ** 2, _spread(one - three) ** 2, _spread(two - three) ** 2]
    return float(np.sqrt(max(variances[0] + variances[1] - variances[2], 0.0) / 2))


def _spread(differences: Floats) -> float:
    """Standard deviation from the median absolute deviation."""
    return float(1.4826 * np.median(np.abs(differences - np.median(differences))))

"""Detection of images that show the same radiograph, even with another scale, cropped margins or other grey values.

Contract: the functions are pure functions of images. Two radiographs of one person are not the same radiograph.

1. A fast test. Their 255-bit perceptual hashes (signs of the low-frequency cosine coefficients minus their median,
   Zauner 2010) must be similar, and their frequency-whitened cosine coefficients must correlate. ``duplicate_search``
   applies it to all pairs with a ``Descriptor`` of 1.2 kB for each image, so that no pixels stay in memory.
2. Registration of the pairs that pass: normalised cross-correlation (Lewis 1995) of locally standardised detail, over
   shifts and seven scales.

Measured on the 481 AASCE radiographs: 12 pairs show the same radiograph with another scale, crop and grey values
(checked by eye). Their scores in step 2 are 0.79 to 0.98. The best score of any other pair is 0.48. Images of
virtual patients are more similar to each other. Among 100 virtual patients, 42 pairs pass step 1. In step 2, the best
score of these pairs is 0.60 in the frontal view and, for another pair, 0.72 in the lateral view.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter, uniform_filter, zoom

from spine.types import Floats

THUMBNAIL = 64
_FREQUENCIES = 24
_HASH_FREQUENCIES = 16
MAX_DIFFERING_BITS = 88
MIN_CORRELATION = 0.86

_DETAIL_ROWS = 128
_DETAIL_SIGMA = 2.0
_SCALES = (0.9, 0.94, 0.97, 1.0, 1.03, 1.06, 1.1)
_INNER_ROWS, _INNER_COLUMNS = (0.15, 0.85), (0.2, 0.8)
MIN_SIMILARITY = 0.76


@dataclass(frozen=True)
class ImageSignature:
    """Two reduced copies of an image, for comparison.

    Attributes:
        thumbnail: (64, 64) copy, which does not keep the aspect ratio.
        small: (128, W) copy with square pixels.
    """

    thumbnail: Floats
    small: Floats


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What step 1 compares of an image.

    Attributes:
        bits: (32,) uint8, the 255 bits of the perceptual hash.
        spectrum: (575,) float16, rounded from ``spectrum``.
    """

    bits: NDArray[np.uint8]
    spectrum: NDArray[np.float16]


def signature_of(image: NDArray[np.uint16]) -> ImageSignature:
    """The signature of an (H, W) image."""
    height, width = image.shape
    columns = max(16, round(_DETAIL_ROWS * width / height))
    return ImageSignature(_reduced(image, THUMBNAIL, THUMBNAIL), _reduced(image, _DETAIL_ROWS, columns))


def descriptor_of(image: NDArray[np.uint16]) -> Descriptor:
    """The descriptor of an (H, W) image."""
    thumbnail = _reduced(image, THUMBNAIL, THUMBNAIL)[None]
    return Descriptor(np.packbits(perceptual_hash(thumbnail)[0]), spectrum(thumbnail)[0].astype(np.float16))


def may_match(first: ImageSignature, second: ImageSignature) -> bool:
    """Step 1: whether two images may show the same radiograph."""
    thumbnails = first.thumbnail[None], second.thumbnail[None]
    bits, other_bits = (perceptual_hash(thumbnail)[0] for thumbnail in thumbnails)
    wave, other_wave = (spectrum(thumbnail)[0] for thumbnail in thumbnails)
    return int((bits != other_bits).sum()) <= MAX_DIFFERING_BITS and float(wave @ other_wave) >= MIN_CORRELATION


def similarity(first: ImageSignature, second: ImageSignature) -> float:
    """Step 2: the best correlation, in [-1, 1], of the inner part of the second image with any region of the first."""
    ground = standardised(first.small)
    return max(_best_match(ground, standardised(zoom(second.small, scale, order=1))) for scale in _SCALES)


def perceptual_hash(thumbnails: Floats) -> NDArray[np.bool_]:
    """(N, 64, 64) -> (N, 255) signs of the low-frequency cosine coefficients minus their median."""
    low = _cosine(thumbnails)[:, :_HASH_FREQUENCIES, :_HASH_FREQUENCIES].reshape(len(thumbnails), -1)[:, 1:]
    return np.asarray(low > np.median(low, axis=1, keepdims=True))


def spectrum(thumbnails: Floats) -> Floats:
    """(N, 64, 64) -> (N, 575) unit vectors of cosine coefficients; weights give all frequencies equal effect."""
    low = _cosine(thumbnails)[:, :_FREQUENCIES, :_FREQUENCIES].reshape(len(thumbnails), -1)[:, 1:]
    frequency = np.add.outer(np.arange(_FREQUENCIES), np.arange(_FREQUENCIES)).reshape(-1)[1:]
    raised = low * np.sqrt(frequency)
    lengths = np.linalg.norm(raised, axis=1, keepdims=True)
    return np.asarray(raised / np.where(lengths > 0, lengths, 1.0), dtype=np.float64)


def standardised(image: Floats) -> Floats:
    """(H, W) image minus its local mean, divided by its local spread, so that the grey curve has no influence."""
    detail = image - gaussian_filter(image, _DETAIL_SIGMA)
    spread = np.sqrt(gaussian_filter(detail * detail, 2 * _DETAIL_SIGMA))
    return np.asarray(detail / (spread + 1e-3 * image.std() + 1e-9), dtype=np.float64)


def _best_match(ground: Floats, image: Floats) -> float:
    from scipy.signal import fftconvolve  # loads scipy.stats, which would delay Dagster's start by a second

    height, width = image.shape
    rows, columns = (slice(int(a * n), int(b * n)) for (a, b), n in ((_INNER_ROWS, height), (_INNER_COLUMNS, width)))
    inner = image[rows, columns]
    if inner.shape[0] > ground.shape[0] or inner.shape[1] > ground.shape[1] or inner.std() == 0:
        return -1.0
    inner = (inner - inner.mean()) / inner.std()
    products = fftconvolve(ground, inner[::-1, ::-1], "valid") / inner.size
    mean, square = (_window_means(part, inner.shape) for part in (ground, ground * ground))
    return float(np.max(products / np.sqrt(np.maximum(square - mean * mean, 1e-6))))


def _window_means(image: Floats, window: tuple[int, ...]) -> Floats:
    """(H - a + 1, W - b + 1) means over all (a, b) windows inside an (H, W) image."""
    (rows, columns), (height, width) = window, image.shape
    means: Floats = uniform_filter(image, window, mode="constant")
    return means[rows // 2 :, columns // 2 :][: height - rows + 1, : width - columns + 1]


def _reduced(image: NDArray[np.uint16], rows: int, columns: int) -> Floats:
    """(H, W) -> (rows, columns); each cell is the mean of 4 x 4 samples, which is faster than a mean of all pixels."""
    height, width = image.shape
    at_rows = ((np.arange(4 * rows) + 0.5) * height / (4 * rows)).astype(int)
    at_columns = ((np.arange(4 * columns) + 0.5) * width / (4 * columns)).astype(int)
    cells = np.asarray(image[at_rows][:, at_columns], dtype=np.float64)
    return np.asarray(cells.reshape(rows, 4, columns, 4).mean(axis=(1, 3)), dtype=np.float64)


def _cosine(thumbnails: Floats) -> Floats:
    return np.asarray(dctn(thumbnails, axes=(1, 2), norm="ortho"), dtype=np.float64)

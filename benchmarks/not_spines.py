"""Images that are not whole-spine radiographs: chests, pelves, noise, blank images, photographs.

Chests and pelves are cut from radiographs of virtual patients. Photographs are cut from sample images of scikit-learn
and matplotlib. Contract: (H, W) uint16 in 0..4095; the same seed gives the same images.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image

from spine.dataset import ExampleView

GreyImage = NDArray[np.uint16]
_MOST = 4095


def chest(image: GreyImage, view: ExampleView, random: np.random.Generator) -> GreyImage | None:
    """The image from above T1 to below L1, about as wide as high; None if it does not show both."""
    return _cut(image, view, ("T1_sup", "L1_inf"), random)


def pelvis(image: GreyImage, view: ExampleView, random: np.random.Generator) -> GreyImage | None:
    """The image from the lower plate of L5 to below the hips, with a margin; None if it does not show both."""
    return _cut(image, view, ("L5_inf", "HIP_L"), random)


def _cut(
    image: GreyImage, view: ExampleView, between: tuple[str, str], random: np.random.Generator
) -> GreyImage | None:
    if any(name not in view.points for name in between):
        return None
    top, bottom = (view.points[name][1] for name in between)
    margin = random.uniform(0.05, 0.3) * (bottom - top)
    first, last = max(0, int(top - margin)), min(image.shape[0], int(bottom + random.uniform(0.0, 0.25) * margin))
    middle = float(np.mean([view.points[name][0] for name in between]))
    half = (last - first) * random.uniform(0.4, 0.6)
    left, right = max(0, int(middle - half)), min(image.shape[1], int(middle + half))
    cut = image[first:last, left:right]
    return np.ascontiguousarray(cut) if min(cut.shape) > 32 else None


def noise(random: np.random.Generator) -> GreyImage:
    """White noise, or noise with the spectrum of natural images."""
    shape = (int(random.integers(300, 900)), int(random.integers(200, 500)))
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    steepness = random.uniform(0.0, 2.2)
    spectrum = np.fft.rfft2(random.standard_normal(shape)) / np.maximum(np.hypot(rows, columns), 1e-2) ** steepness
    return _scaled(np.fft.irfft2(spectrum, s=shape), random)


def blank(random: np.random.Generator) -> GreyImage:
    """A grey ramp with a few rectangles and a little noise."""
    shape = (int(random.integers(300, 900)), int(random.integers(200, 500)))
    field = random.uniform(-1, 1) * np.linspace(0, 1, shape[0])[:, None] + random.uniform(-1, 1) * np.linspace(
        0, 1, shape[1]
    )
    for _ in range(int(random.integers(0, 4))):
        row, column = int(random.integers(shape[0])), int(random.integers(shape[1]))
        field[row : row + int(random.integers(10, 200)), column : column + int(random.integers(10, 200))] += 1.0
    return _scaled(field + 0.01 * random.standard_normal(shape), random)


def photographs() -> list[NDArray[np.float64]]:
    """Three grey photographs."""
    images = [
        np.asarray(sklearn.datasets.load_sample_image(n), float).mean(axis=2) for n in ("china.jpg", "flower.jpg")
    ]
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    images.append(np.asarray(Image.open(hopper).convert("L"), float))
    return images


def photograph(whole: Sequence[NDArray[np.float64]], random: np.random.Generator) -> GreyImage:
    """A part of one photograph, rotated by a multiple of 90 degrees and possibly inverted."""
    image = whole[int(random.integers(len(whole)))]
    height = int(random.uniform(0.35, 1.0) * image.shape[0])
    width = min(image.shape[1], int(height * random.uniform(0.4, 1.2)))
    row, column = (int(random.integers(n - m + 1)) for n, m in zip(image.shape, (height, width), strict=True))
    cut = np.rot90(image[row : row + height, column : column + width], int(random.integers(4)))
    return _scaled(cut if random.random() < 0.5 else -cut, random)


def generate(count: int, seed: int = 7) -> Mapping[str, list[GreyImage]]:
    """Kind -> ``count`` images, for each kind that needs no patient."""
    whole = photographs()
    kinds: Mapping[str, Callable[[np.random.Generator], GreyImage]] = {
        "noise": noise,
        "blank": blank,
        "photo": lambda random: photograph(whole, random),
    }
    return {
        kind: [make(np.random.default_rng((seed, k, i))) for i in range(count)]
        for k, (kind, make) in enumerate(kinds.items())
    }


def _scaled(values: NDArray[np.float64], random: np.random.Generator) -> GreyImage:
    low, high = np.quantile(values, [0.01, 0.99])
    unit = np.clip((values - low) / max(float(high - low), 1e-9), 0, 1)
    return np.rint(unit ** random.uniform(0.6, 1.6) * _MOST).astype(np.uint16)

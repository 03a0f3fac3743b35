"""Changed versions of the images of an example: another appearance, another field of view.

The calibration measures them, to learn the errors on images unlike those of the data set
(``training.export.calibrate``). The kinds and strengths of the changes are a choice: they are larger than the
differences between the images of one data set, and a person still sees most end plates.

Contract: the same example and seed give the same version. A part of an image is cut out of the stored array, so the
result is what a user would give.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from inference.inputs import ImageInput
from inference.measure import parameters_of
from spine.dataset import Example, ExampleView, Truth, load_example_image
from spine.landmarks import ViewName
from spine.measurement.registry import PARAMETERS
from spine.prediction import Prediction
from training.data.fields_of_view import FIELDS as KNOWN_FIELDS
from training.data.fields_of_view import draw_windows, level_table

Grey = NDArray[np.float32]
Window = tuple[int, int, int, int]
"""First and last column, first and last row; the last ones are exclusive. A window may exceed the image."""

FIELDS: Mapping[str, float] = {"whole": 0.35, "bordered": 0.15, "thoracolumbar": 0.2, "lumbar": 0.3}
"""Share of each field of view. A bordered image lies in a larger black one."""

_FULL_GREY = 4095
_INPUT_ROWS = 512
"""Lengths of the changes of grey values are in rows of an image with this number of rows."""


@dataclass(frozen=True)
class ChangedExample:
    """An example with the images to measure.

    Attributes:
        example: with landmarks in pixels of ``inputs``.
        inputs: view -> image.
        is_cut: whether the images lack a part of the spine.
    """

    example: Example
    inputs: Mapping[ViewName, ImageInput]
    is_cut: bool = False

    def reference(self, prediction: Prediction) -> Example:
        """The example with the reference values for the landmarks of the prediction.

        In an image that is cut, the reference value of a curve is that of the vertebrae that were found, because a
        vertebra at the edge may be found or not.
        """
        if not self.is_cut:
            return self.example
        in_space = {n: p for n, p in self.example.points_3d.items() if n in prediction.points_3d}
        points = {
            view: {n: p for n, p in record.points.items() if n in prediction.points.get(view, {})}
            for view, record in self.example.views.items()
        }
        measured = parameters_of(points, in_space or None, self.example.views, {})
        curves = {
            name: Truth(measured[name].value, known.unit, measured[name].absent_reason)
            for name, known in self.example.truth.items()
            if PARAMETERS[name].of_curve
        }
        return replace(self.example, truth={**self.example.truth, **curves})


def unchanged_example(folder: Path, example: Example) -> ChangedExample:
    """The example of the data set in ``folder`` as it is."""
    return ChangedExample(
        example, {view: _input(record, load_example_image(folder, record)) for view, record in example.views.items()}
    )


def changed_example(folder: Path, example: Example, seed: int = 0) -> ChangedExample:
    """A changed version of the example of the data set in ``folder``."""
    random = np.random.default_rng([seed, crc32(example.study_id.encode())])
    field = str(random.choice(list(FIELDS), p=list(FIELDS.values())))
    views: dict[ViewName, ExampleView] = {}
    inputs: dict[ViewName, ImageInput] = {}
    for view, record in example.views.items():
        window = _window(record, field, random) or (0, record.shape[1], 0, record.shape[0])
        image = changed_greys(_inside(load_example_image(folder, record), window), random)
        views[view] = _cut_record(record, window)
        inputs[view] = _input(views[view], np.pad(image, _border(record.shape, window)))
    return ChangedExample(replace(example, views=views), inputs, field in ("thoracolumbar", "lumbar"))


def _input(record: ExampleView, image: NDArray[np.uint16]) -> ImageInput:
    return ImageInput(image, record.spacing_mm, record.calibration, record.geometry)


def _window(record: ExampleView, field: str, random: np.random.Generator) -> Window | None:
    """The window of a field of view; None for the whole image, or if the image lacks the levels of the field."""
    height, width = record.shape
    if field == "bordered":
        border = random.uniform(0.1, 0.6)
        above, beside = (int(border * random.random() * n) for n in (height, width))
        return -beside, width - beside + int(border * width), -above, height - above + int(border * height)
    if field == "whole" or not record.points:
        return None
    size = np.array([width, height])
    points = (np.stack(list(record.points.values())) + 0.5) * 2 / size - 1
    present = torch.ones(1, len(points), dtype=torch.bool)
    kind = {field: replace(KNOWN_FIELDS[field], share=1.0)}
    levels = level_table(list(record.points))
    windows = draw_windows(random, 1.0, torch.from_numpy(points[None]).float(), present, levels, kind)
    if not bool(windows.cut[0]):
        return None
    left, right, top, bottom = (windows.bounds[0].numpy() + 1) / 2 * [width, width, height, height]
    return int(left), int(np.ceil(right)), int(top), int(np.ceil(bottom))


def _inside(image: NDArray[np.uint16], window: Window) -> NDArray[np.uint16]:
    """The part of the image that lies in the window."""
    left, right, top, bottom = window
    return image[max(top, 0) : bottom, max(left, 0) : right]


def _border(shape: tuple[int, int], window: Window) -> tuple[tuple[int, int], tuple[int, int]]:
    """(above, below) and (left, right) rows and columns of the window outside an image of this (H, W)."""
    left, right, top, bottom = window
    return (max(-top, 0), max(bottom - shape[0], 0)), (max(-left, 0), max(right - shape[1], 0))


def _cut_record(record: ExampleView, window: Window) -> ExampleView:
    """The record of a window, with the landmarks inside it and its position in the scanner."""
    left, right, top, bottom = window
    shape, first = (bottom - top, right - left), np.array([left, top], dtype=np.float64)
    points = {n: p - first for n, p in record.points.items() if left <= p[0] < right and top <= p[1] < bottom}
    geometry = record.geometry
    if geometry is not None:
        centre = geometry.plane_from_pixels(first + [(shape[1] - 1) / 2, (shape[0] - 1) / 2])
        geometry = replace(geometry, shape=shape, u0_mm=float(centre[0]), z0_mm=float(centre[1]))
    return replace(record, shape=shape, geometry=geometry, points=points)


def changed_greys(image: NDArray[np.uint16], random: np.random.Generator) -> NDArray[np.uint16]:
    """The (H, W) image after two to four changes of its grey values."""
    unit = image.shape[0] / _INPUT_ROWS
    grey = image.astype(np.float32) / _FULL_GREY
    for change in random.choice(len(_CHANGES), size=int(random.integers(2, 5)), replace=False):
        grey = np.clip(_CHANGES[change](grey, random, unit), 0.0, 1.0)
    return (grey * _FULL_GREY).astype(np.uint16)


def _blurred(grey: Grey, random: np.random.Generator, unit: float) -> Grey:
    return np.asarray(ndimage.gaussian_filter(grey, random.uniform(0.5, 2.0) * unit))


def _noisy(grey: Grey, random: np.random.Generator, unit: float) -> Grey:
    """Noise with a grain of about a pixel of the input."""
    grain = ndimage.gaussian_filter(random.standard_normal(grey.shape, dtype=np.float32), 0.6 * unit)
    return np.asarray(grey + grain * np.float32(random.uniform(0.02, 0.1) / max(float(grain.std()), 1e-6)))


def _other_gamma(grey: Grey, random: np.random.Generator, unit: float) -> Grey:
    return np.asarray(grey ** np.float32(2.0 ** (random.choice([-1.0, 1.0]) * random.uniform(0.4, 1.5))))


def _narrow_window(grey: Grey, random: np.random.Generator, unit: float) -> Grey:
    """A part of the image becomes black or white."""
    low, high = np.quantile(grey[::4, ::4], [random.uniform(0.0, 0.4), random.uniform(0.75, 1.0)])
    return (grey - np.float32(low)) / np.float32(max(high - low, 0.05))


def _local_contrast(grey: Grey, random: np.random.Generator, unit: float) -> Grey:
    """Details are enhanced against their surroundings, as flat detectors and storage plates display them."""
    around = ndimage.uniform_filter(grey, int(random.uniform(10, 60) * unit) + 1)
    kept, gain = np.float32(random.uniform(0.1, 0.7)), np.float32(random.uniform(1.0, 2.5))
    return np.asarray(0.5 + kept * (around - 0.5) + gain * (grey - around))


def _uneven(grey: Grey, random: np.random.Generator, unit: float) -> Grey:
    """Smooth bright and dark areas, as from soft tissue, dressings or an uneven exposure."""
    coarse = random.standard_normal((8, 5), dtype=np.float32)
    places = np.ix_(np.linspace(0, 7, grey.shape[0]), np.linspace(0, 4, grey.shape[1]))
    smooth = ndimage.map_coordinates(coarse, np.meshgrid(*[p.ravel() for p in places], indexing="ij"), order=1)
    return np.asarray(grey + np.float32(random.uniform(0.05, 0.25)) * smooth)


_CHANGES: tuple[Callable[[Grey, np.random.Generator, float], Grey], ...] = (
    _blurred, _noisy, _other_gamma, _narrow_window, _local_contrast, _uneven,
)  # fmt: skip

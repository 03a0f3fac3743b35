"""Errors of a model on truncated, inverted, noisy and marked images, and on patients who are difficult to image.

    python -m benchmarks.robustness -w WORKSPACE [--model FOLDER] [--splits train,validation]

Each row has the mean absolute errors of the paper's parameters, and the mean ratio to the errors on unchanged images.
Contract: all rows have the same patients, except the rows of a group of patients. The frozen test split is never read.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.figures import print_table
from benchmarks.workspace_arguments import read_arguments
from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.model import Model, load_model
from simulation.population.sampling import sample_patient
from spine.dataset import Example, ExampleView, load_example_image
from spine.landmarks import VIEWS, ViewName
from spine.measurement.registry import PAPER_PARAMETERS, PARAMETERS

GreyImage = NDArray[np.uint16]
Change = Callable[[GreyImage, ExampleView, np.random.Generator], GreyImage]
OBESE_BMI = 30.0
_MOST = 4095


def unchanged(image: GreyImage, view: ExampleView, random: np.random.Generator) -> GreyImage:
    """The image itself."""
    return image


def truncated(image: GreyImage, view: ExampleView, random: np.random.Generator) -> GreyImage:
    """The image, black above T5 and below the sacrum, as from a smaller detector."""
    top = view.points.get("T5_sup")
    bottom = max((p[1] for n, p in view.points.items() if n.startswith("S1")), default=image.shape[0])
    cut = image.copy()
    if top is not None:
        cut[: max(0, int(top[1]) - 4)] = 0
    cut[min(image.shape[0], int(bottom) + 12) :] = 0
    return cut


def inverted(image: GreyImage, view: ExampleView, random: np.random.Generator) -> GreyImage:
    """The image with dark bone, without the DICOM tag for it."""
    return (_MOST - image).astype(np.uint16)


def noisy(image: GreyImage, view: ExampleView, random: np.random.Generator, part: float = 24) -> GreyImage:
    """The image with smoothed noise of 1 / ``part`` of the grey range. With 12, a person hardly sees end plates."""
    grain = random.standard_normal(image.shape)
    grain = (grain + np.roll(grain, 1, 0) + np.roll(grain, 1, 1) + np.roll(grain, (1, 1), (0, 1))) / 2
    return np.clip(image + grain * _MOST / part, 0, _MOST).astype(np.uint16)


def marked(image: GreyImage, view: ExampleView, random: np.random.Generator) -> GreyImage:
    """The image with burned-in letters, a ruler on one side and metal beads over the spine."""
    drawing = Image.fromarray((image / 16).astype(np.uint8))
    draw = ImageDraw.Draw(drawing)
    height, width = image.shape
    for text in ("L", "R", "SUPINE"):
        draw.text(
            (random.uniform(0, 0.8) * width, random.uniform(0, 0.9) * height),
            text,
            fill=255,
            font=ImageFont.load_default(int(random.uniform(14, 34))),
        )
    edge = float(random.choice([0.05, 0.95])) * width
    for row in range(0, height, 12):
        draw.line((edge - 5, row, edge + 5, row), fill=255)
    for point in random.choice(np.stack(list(view.points.values())), 6):
        x, y = point + random.normal(0, 6, 2)
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=255)
    return np.asarray(drawing).astype(np.uint16) * 16


CHANGES: Mapping[str, Change] = {
    "truncated": truncated,
    "inverted": inverted,
    "noisy": noisy,
    "very noisy": partial(noisy, part=12),
    "markers": marked,
}


def instrumented(example: Example) -> bool:
    """Whether the patient has screws and rods."""
    return example.facts.get("condition") == "instrumented"


def obese(example: Example) -> bool:
    """Whether the virtual patient's body-mass index is high."""
    return "seed" in example.facts and sample_patient(int(example.facts["seed"])).bmi >= OBESE_BMI


def errors(
    model: Model, folder: Path, examples: Sequence[Example], change: Change = unchanged
) -> dict[str, list[float | None]]:
    """Parameter -> absolute errors of the examples that have a true value; None where the model gives no value."""
    found: dict[str, list[float | None]] = {name: [] for name in PAPER_PARAMETERS}
    for i, example in enumerate(examples):
        views: dict[ViewName, ImageInput] = {}
        for v in VIEWS:
            if v in example.views:
                view = example.views[v]
                image = change(np.array(load_example_image(folder, view)), view, np.random.default_rng((11, i)))
                views[v] = ImageInput(image, view.spacing_mm, view.calibration, view.geometry)
        parameters = measure_views(model, views).parameters
        for name, values in found.items():
            truth, measured = example.truth.get(name), parameters[name].value
            if truth is not None and truth.value is not None:
                values.append(None if measured is None else abs(measured - truth.value))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and return 0."""
    model_folder, folder, examples = read_arguments("robustness", __doc__.splitlines()[0], arguments)
    model = load_model(model_folder)
    plain = errors(model, folder, examples)
    rows = {"unchanged": (len(examples), plain)}
    rows |= {name: (len(examples), errors(model, folder, examples, change)) for name, change in CHANGES.items()}
    for name, chosen in (("instrumented", instrumented), ("obese", obese)):
        some = [e for e in examples if chosen(e)]
        rows[name] = (len(some), errors(model, folder, some))
    _print(rows, plain)
    return 0


def _print(rows: Mapping[str, tuple[int, dict[str, list[float | None]]]], plain: dict[str, list[float | None]]) -> None:
    labels = [PARAMETERS[n].label for n in PAPER_PARAMETERS]
    overall, table = {name: _mean(values) for name, values in plain.items()}, []
    for row, (count, found) in rows.items():
        cells, ratios = [], []
        for name, values in found.items():
            answered = [v for v in values if v is not None]
            cells.append(f"{_mean(values):.2f} ({len(answered)}/{len(values)})" if answered else "not measured")
            ratios += [_mean(values) / overall[name]] if answered else []
        table.append([row, str(count), *cells, f"{np.mean(ratios):.2f}"])
    sys.stdout.write("mean absolute error, deg (answered)\n")
    print_table(["", "n", *labels, "relative to unchanged"], table)


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([v for v in values if v is not None] or [np.nan]))


if __name__ == "__main__":
    sys.exit(main())

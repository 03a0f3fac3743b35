"""``python -m benchmarks.fields_of_view -w WS``: a model on virtual radiographs of every field of view.

Each image of a patient is measured alone: whole, cut to a thoracolumbar or a lumbar field, and (laterals) cut at any
height below T12. Chests, necks, heads, pelves and thighs are cut out too; they show no spine to measure, and refusing
them is right. ``varied`` rows show lumbar laterals of varied patients (``sample_patient(seed, varied=True)``), which
have flat and strongly curved backs, slips and fractures, with the appearances of plain radiographs.

Contract: the frozen test split is refused. The truth of a lateral follows from the true landmarks on the uncut image,
that of a frontal from those on the image.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.figures import print_table
from benchmarks.workspace_arguments import read_arguments
from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.model import Model, load_model
from simulation.imaging.display import MAXIMUM
from simulation.stream.patients import VirtualPatients
from simulation.stream.stream_config import StreamConfig
from spine.dataset import load_example_image
from spine.landmarks import LANDMARK_SETS, VIEWS, ViewName, level_of
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_view
from spine.measurement.registry import Measured
from spine.prediction import Prediction
from spine.study import Points2D
from spine.types import Floats
from training.data.fields_of_view import FIELDS, draw_windows, level_table

VARIED, VARIED_SEED = 60, 4711
FAR_OFF_DEG = 10.0
_PIXEL_MM = 1.0
"""Pixel size of the varied patients' images. 896 rows show the spine from the neck to the hips."""
_SHAPE = (896, 448)
_FIELDS = ("whole", "thoracolumbar", "lumbar", "cut below T12")
_WITHOUT_SPINE = tuple(name for name, field in FIELDS.items() if not field.shows_spine)
_LORDOSIS = ("lumbar_lordosis_l1_l5", "lumbar_lordosis_l1_s1")


@dataclass(frozen=True)
class Radiograph:
    """A virtual image with its pixels, true landmarks in pixels, pixel spacing in mm and field of view."""

    view: ViewName
    field: str
    image: NDArray[np.uint16]
    points: Points2D
    spacing_mm: float

    @property
    def shown(self) -> Points2D:
        """The landmarks on the image."""
        height, width = self.image.shape
        return {n: p for n, p in self.points.items() if -0.5 <= p[0] < width - 0.5 and -0.5 <= p[1] < height - 0.5}

    def cut(self, field: str, random: np.random.Generator) -> "Radiograph | None":
        """This image cut to another field of view, or None if it lacks the levels."""
        edges = _edges(self.points, field, random)
        if edges is None:
            return None
        top, bottom = max(0, int(edges[0])), min(self.image.shape[0], int(edges[1]))
        shown = np.stack([p for n, p in self.points.items() if top <= p[1] <= bottom and not n.startswith("HIP")])
        low, high = shown[:, 0].min(), shown[:, 0].max()
        half = max((high - low) / 2 + 0.06 * (bottom - top), (bottom - top) * random.uniform(0.2, 0.4))
        left, right = max(0, int((low + high) / 2 - half)), min(self.image.shape[1], int((low + high) / 2 + half))
        part = np.ascontiguousarray(self.image[top:bottom, left:right])
        points = {name: point - (left, top) for name, point in self.points.items()}
        return Radiograph(self.view, field, part, points, self.spacing_mm) if min(part.shape) > 32 else None


def _edges(points: Points2D, field: str, random: np.random.Generator) -> tuple[float, float] | None:
    """Upper and lower edge of a field of view in pixels."""
    if any(name not in points for name in ("T6_sup", "T12_sup", "L1_sup", "S1_sup")):
        return None
    first, last = points["L1_sup"][1], points["S1_sup"][1]
    step = (last - first) / 5
    below = last + random.uniform(0.8, 4.0) * step
    if field == "thoracolumbar":
        return points["T6_sup"][1] + random.uniform(-1.0, 3.0) * step, below
    if field == "lumbar":
        return points["T12_sup"][1] + random.uniform(-2.0, 0.5) * step, below
    return points["T12_sup"][1] - random.uniform(1.0, 9.0) * step, first + random.uniform(-0.5, 5.5) * step


def without_spine(radiograph: Radiograph, field: str, random: np.random.Generator) -> NDArray[np.uint16] | None:
    """A part of the image without a spine to measure (a field of ``training.data.fields_of_view``), or None."""
    height, width = radiograph.image.shape
    points = (np.stack(list(radiograph.points.values())) + 0.5) * 2 / [width, height] - 1
    present = torch.ones(1, len(points), dtype=torch.bool)
    kind = {field: replace(FIELDS[field], share=1.0)}
    levels = level_table(list(radiograph.points))
    windows = draw_windows(random, 1.0, torch.from_numpy(points[None]).float(), present, levels, kind)
    left, right, top, bottom = ((windows.bounds[0].numpy() + 1) / 2 * [width, width, height, height]).astype(int)
    part = np.ascontiguousarray(radiograph.image[top:bottom, left:right])
    return part if bool(windows.cut[0]) and min(part.shape) > 32 else None


@dataclass(frozen=True)
class Result:
    """What a model made of one image.

    Attributes:
        prediction: the prediction.
        truth: true parameters of the uncut image.
        levels_off: by how many levels the names of the vertebrae are wrong; None without vertebrae.
    """

    prediction: Prediction
    truth: dict[str, Measured]
    levels_off: int | None

    @property
    def refused(self) -> bool:
        """Whether the image was refused."""
        return bool(self.prediction.refused)

    def errors(self, parameter: str) -> Iterator[float]:
        """The error of a parameter in degrees, if it has a truth and a value."""
        found, true = self.prediction.parameters[parameter].value, self.truth[parameter].value
        if found is not None and true is not None:
            yield found - true


def result_of(model: Model, radiograph: Radiograph) -> Result:
    """Measure one image alone."""
    view, spacing = radiograph.view, (radiograph.spacing_mm, radiograph.spacing_mm)
    prediction = measure_views(model, {view: ImageInput(radiograph.image, spacing, "GEOMETRY")})
    # A curve depends on the vertebrae that the image shows; lordosis L1-S1 does not.
    known = radiograph.points if view == "lateral" else radiograph.shown
    truth = measure(planes_from_view(view, known, spacing, "GEOMETRY"))
    return Result(prediction, truth, _levels_off(prediction.points.get(view, {}), radiograph.points))


def _levels_off(found: Points2D, true: Points2D) -> int | None:
    """Median difference between the nearest true level and the reported level, over the upper plates."""
    names = [n for n in true if n.endswith("_sup") and level_of(n) != "S1"]
    at = np.array([true[n] for n in names])
    levels = [n for n in LANDMARK_SETS["margins175"].names if n in names]
    shifts = [
        levels.index(names[int(np.argmin(((at - point) ** 2).sum(axis=1)))]) - levels.index(name)
        for name, point in found.items()
        if name in levels
    ]
    return round(float(np.median(shifts))) if shifts else None


def varied_laterals(count: int) -> Iterator[Radiograph]:
    """Whole laterals of varied patients."""
    names = LANDMARK_SETS["margins175"].names
    config = StreamConfig(VARIED_SEED, count, 4, _SHAPE, _PIXEL_MM, ("lateral",), names, varied=1.0)
    for batch in VirtualPatients(config):
        for i in range(len(batch.seeds)):
            top, bottom, left, right = (int(v) for v in batch.bounds["lateral"][i])
            image = batch.images["lateral"][i, 0, top:bottom, left:right].numpy()
            there = batch.present["lateral"][i]
            points: dict[str, Floats] = {
                name: batch.landmarks["lateral"][i, k].numpy().astype(np.float64) - (left, top)
                for k, name in enumerate(names)
                if there[k]
            }
            grey = np.rint(image * MAXIMUM).astype(np.uint16)
            yield Radiograph("lateral", "varied, whole", grey, points, _PIXEL_MM)


def row_of(results: Sequence[Result]) -> tuple[str, ...]:
    """The cells of one field of view."""
    off = [r for r in results if r.levels_off]
    unreported = [r for r in off if not r.prediction.levels_uncertain]
    uncertain = [r for r in results if r.prediction.levels_uncertain]
    far = sum(
        not r.prediction.levels_uncertain and any(abs(e) > FAR_OFF_DEG for n in _LORDOSIS for e in r.errors(n))
        for r in results
    )
    share = 100 / max(len(results), 1)
    return (
        str(len(results)),
        f"{share * sum(r.refused for r in results):.1f}",
        f"{share * len(uncertain):.1f}",
        f"{share * len(off):.1f}",
        f"{share * len(unreported):.1f}",
        _see(results, "lumbar_lordosis_l1_s1"),
        _see(results, "sacral_slope"),
        _see(results, "cobb"),
        f"{share * far:.1f}",
    )


def _see(results: Sequence[Result], parameter: str) -> str:
    """Standard error of the estimate and bias in degrees of one parameter."""
    pairs = [
        (true, found)
        for r in results
        if (found := r.prediction.parameters[parameter].value) is not None
        and (true := r.truth[parameter].value) is not None
    ]
    if len(pairs) < 10:
        return "-"
    truth, found = np.array(pairs).T
    slope, intercept = np.polyfit(truth, found, 1)
    error = found - slope * truth - intercept
    see = float(np.sqrt((error**2).sum() / (len(pairs) - 2)))
    return f"{see:.2f} ({float((found - truth).mean()):+.2f}, n {len(pairs)})"


def _is_refused(prediction: Prediction) -> bool:
    return bool(prediction.refused) or all(m.is_absent for m in prediction.parameters.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 0."""
    folder, dataset, examples = read_arguments("fields_of_view", __doc__.splitlines()[0], arguments)
    model, random = load_model(folder), np.random.default_rng(16)
    wholes = [
        Radiograph(name, "whole", load_example_image(dataset, view), view.points, view.spacing_mm[0])
        for example in examples
        for name, view in example.views.items()
        if view.spacing_mm is not None
    ]
    varied = list(varied_laterals(VARIED))
    rows, refused = [], []
    for view in VIEWS:
        given = [radiograph for radiograph in wholes if radiograph.view == view]
        for field in _FIELDS if view == "lateral" else _FIELDS[:-1]:
            cut = given if field == "whole" else [c for r in given if (c := r.cut(field, random)) is not None]
            rows.append((f"{view}, {field}", *row_of([result_of(model, r) for r in cut])))
        for field in _WITHOUT_SPINE:
            parts = [part for r in given if (part := without_spine(r, field, random)) is not None]
            count = sum(_is_refused(measure_views(model, {view: ImageInput(part)})) for part in parts)
            refused.append((f"{view}, {field}", str(len(parts)), f"{100 * count / max(len(parts), 1):.1f}"))
    rows.append(("lateral, varied, whole", *row_of([result_of(model, r) for r in varied])))
    lumbar = [c for r in varied if (c := r.cut("lumbar", random)) is not None]
    rows.append(("lateral, varied, lumbar", *row_of([result_of(model, r) for r in lumbar])))
    head = (
        "field of view",
        "images",
        "refused, %",
        "uncertain by one, %",
        "levels off, %",
        "levels off, no warning, %",
    )
    angles = ("L1-S1: SEE (bias), deg", "sacral slope", "Cobb", f"lordosis error > {FAR_OFF_DEG:g} deg, no warning, %")
    print_table((*head, *angles), rows)
    print_table(("no spine to measure", "images", "refused, or nothing is measured, %"), refused)
    return 0


if __name__ == "__main__":
    sys.exit(main())

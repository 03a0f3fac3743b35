"""Errors of the angles without some of the steps from landmarks to angles (an ablation).

    python -m benchmarks.ablation -w WORKSPACE [--model FOLDER] [--splits train,validation]

The model runs once. Its landmarks are then measured without some of the steps. The table has standard errors of the
estimate in degrees. Below it are the correlations of the tilt errors of neighbouring plates, from which
``spine.measurement.fusion.ERROR_INFLATION`` follows. Contract: the frozen test split is never read.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from benchmarks.figures import print_table
from benchmarks.workspace_arguments import read_arguments
from inference.measure import predict_examples
from inference.model import load_model
from spine.dataset import Example
from spine.landmarks import GALBUSERA39, PLATES, VIEWS
from spine.measurement.measure import measure
from spine.measurement.planes import PlanePoints, planes_from_points_3d, planes_from_view
from spine.measurement.registry import PAPER_PARAMETERS, PARAMETERS, Measured, Plane
from spine.measurement.tilts import plate_tilts
from spine.prediction import Prediction
from validation.evaluation.agreement import agree

GROSS_DEG = 25.0

Method = Callable[[Prediction, Example], Mapping[str, Measured]]


def as_shipped(prediction: Prediction, example: Example) -> Mapping[str, Measured]:
    """The angles with all steps."""
    return prediction.parameters


def without_neighbours(prediction: Prediction, example: Example) -> Mapping[str, Measured]:
    """The angles if the tilt of an end plate follows from its own margins only."""
    return measure(_planes(prediction, example))


def centre_line(prediction: Prediction, example: Example) -> Mapping[str, Measured]:
    """The angles if the tilt of an end plate follows from the line through the plate centres, without margins."""
    planes = _planes(prediction, example)
    kept = {
        plane: PlanePoints(plane, {n: p for n, p in given.points.items() if n in GALBUSERA39.index})
        for plane, given in planes.items()
    }
    return measure(kept)


def each_view_alone(prediction: Prediction, example: Example) -> Mapping[str, Measured]:
    """The angles in the plane of each view: no neighbours, no common height, no correction of the fan beam."""
    planes: dict[Plane, PlanePoints] = {}
    for view in VIEWS:
        if view in example.views:
            given = example.views[view]
            planes |= planes_from_view(view, prediction.points[view], given.spacing_mm, given.calibration)
    return measure(planes)


def _planes(prediction: Prediction, example: Example) -> Mapping[Plane, PlanePoints]:
    if prediction.points_3d:
        return planes_from_points_3d(prediction.points_3d)
    planes: dict[Plane, PlanePoints] = {}
    for view, points in prediction.points.items():
        given = example.views[view]
        planes |= planes_from_view(view, points, given.spacing_mm, given.calibration)
    return planes


METHODS: Mapping[str, Method] = {
    "as shipped": as_shipped,
    "own margins only": without_neighbours,
    "line of centres only": centre_line,
    "each view in its own plane": each_view_alone,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and return 0."""
    model, folder, examples = read_arguments("ablation", __doc__.splitlines()[0], arguments)
    predictions = predict_examples(load_model(model), folder, examples)
    labels = [PARAMETERS[n].label for n in PAPER_PARAMETERS]
    sys.stdout.write(f"{len(examples)} patients; standard error, deg [95 % interval], bias\n")
    rows = (
        [name, *(_cell(parameter, method, predictions, examples) for parameter in PAPER_PARAMETERS)]
        for name, method in METHODS.items()
    )
    print_table(["", *labels], rows)
    for plane, correlation in neighbour_correlations(predictions, examples).items():
        sys.stdout.write(f"{plane}: tilt errors of neighbouring plates have the correlation {correlation:.2f}\n")
    return 0


def neighbour_correlations(predictions: Sequence[Prediction], examples: Sequence[Example]) -> dict[Plane, float]:
    """Plane -> correlation of the errors of two neighbouring plates, whose tilts follow from their margins only.

    Errors beyond ``GROSS_DEG`` are left out, because a few of them would determine the correlation.
    """
    pairs: dict[Plane, list[tuple[float, float]]] = {"coronal": [], "sagittal": []}
    for prediction, example in zip(predictions, examples, strict=True):
        true = {plane: plate_tilts(points) for plane, points in planes_from_points_3d(example.points_3d).items()}
        for plane, points in _planes(prediction, example).items():
            found = plate_tilts(points)
            known = [n for n in PLATES if found.method.get(n) == true[plane].method.get(n) == "margins"]
            error = {n: found.degrees[n] - true[plane].degrees[n] for n in known}
            error = {n: e for n, e in error.items() if abs(e) <= GROSS_DEG}
            pairs[plane] += [(error[a], error[b]) for a, b in pairwise(PLATES) if a in error and b in error]
    return {plane: float(np.corrcoef(np.array(found).T)[0, 1]) for plane, found in pairs.items() if len(found) > 1}


def _cell(parameter: str, method: Method, predictions: Sequence[Prediction], examples: Sequence[Example]) -> str:
    rows = []
    for prediction, example in zip(predictions, examples, strict=True):
        found, truth = method(prediction, example)[parameter].value, example.truth.get(parameter)
        if found is not None and truth is not None and truth.value is not None:
            rows.append((truth.value, found))
    pairs = np.array(rows).reshape(-1, 2)
    people = [str(i) for i in range(len(rows))]
    figures = agree(parameter, "deg", pairs[:, 0], pairs[:, 1], people, n_truth=len(rows), resamples=500).figures
    see, bias = figures["standard_error_of_estimate"], figures["bias"]
    if see.value is None or see.low is None or see.high is None or bias.value is None:
        return "-"
    return f"{see.value:.2f} [{see.low:.2f}, {see.high:.2f}], {bias.value:+.2f}"


if __name__ == "__main__":
    sys.exit(main())

"""The calibration of a model, which contains the laws that predict its errors from the spread of its heat maps.

Contract: the calibration is fitted on patients that the model did not learn from. Patients on whose errors the
checkpoint was chosen are permitted; patients of the test split are not permitted. The calibration is written into the
model's contract and changes the model's digest, so calibrate a model before you evaluate it.

    python -m training.export.calibrate MODEL --dataset DATASET --splits train,validation

This command calibrates a finished model again, on the patients of these splits.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from inference.calibration import Calibration, SpreadLaw, group_of
from inference.contract import read_contract, write_contract
from inference.input_check import InputLimits, covers_every_vertebra, features_of, limits_from
from inference.measure import measure_views, parameters_of, predict_examples, uncertainty_px
from inference.model import Model, load_model
from spine.dataset import Example, Split, read_manifest
from spine.errors import ParametersRejected, PlumblineError
from spine.landmarks import PLATES, S1_PLATE, VIEWS, ViewName
from spine.measurement.fusion import NEIGHBOUR_WIDTH
from spine.measurement.planes import PLANE_OF_VIEW
from spine.measurement.tilts import margin_names
from spine.model_digest import model_digest
from spine.prediction import Prediction
from spine.study import Points2D
from spine.types import Floats
from training.data.changed_examples import changed_example
from training.export.candidate import CANDIDATE_FILE, read_summary, write_summary
from training.export.interval_widths import (
    Known,
    conformal_quantile,
    errors_of,
    scores_of,
    spread_in_cells,
    widths_of,
    with_shifted_groups,
)
from training.fit_context import require_data_set
from training.model.label_shift import shift_points

FLOOR_QUANTILE = 0.2
LEAST_POINTS = 30
"""A group with fewer landmarks than this number has the law of all landmarks of its view."""

CHANGED_VERSIONS = 2
"""Changed versions of each calibration patient (``data.changed_examples``)."""

LEAST_TO_CHOOSE = 24
"""With fewer studies than this number, the default neighbour width is kept."""

SURE_OF_LEVELS = 0.98
NEIGHBOUR_WIDTHS = (NEIGHBOUR_WIDTH, 1.5, 3.0, 4.0, 6.0, 10.0)
"""The neighbour widths that are tried. If several give the same error, the first of them is chosen."""

_FREEDOM = 3.0
_GRID = 36
_MOST = 6000


@dataclass
class _Errors:
    """The errors of one group in one view, in cells, each with the spread of its heat map."""

    coordinates: list[tuple[float, float, float]] = field(default_factory=list)
    distances: list[tuple[float, float]] = field(default_factory=list)

    def law(self) -> SpreadLaw:
        """The law of these errors. If there are many coordinates, about ``_MOST`` of them are used for the fit."""
        coordinates, distances = np.array(self.coordinates), np.array(self.distances)
        coordinates = coordinates[:: max(1, len(coordinates) // _MOST)]
        return fitted_law(coordinates[:, 0], coordinates[:, 1:], distances[:, 0], distances[:, 1])


def calibrate(
    model: Path, dataset: Path, splits: Sequence[Split] = ("validation",), label_shift: int = 0
) -> Calibration:
    """Fit a calibration on the patients of ``splits`` and write it into the model's contract.

    ``label_shift`` is the number of levels by which all level names of an image may be wrong (``model.label_shift``).

    Raises:
        ParametersRejected: ``splits`` contains the test split, or there is no example in these splits.
    """
    examples = [e for split in splits for e in read_manifest(dataset).examples(split) if e.views]
    if "test" in splits or not examples:
        raise ParametersRejected(
            "CALIBRATION_PATIENTS",
            found=f"{len(examples)} examples of {' and '.join(splits)}",
            expected="patients from the train and validation splits only",
            remedy="choose other splits, or another data set",
        )
    contract = replace(read_contract(model), calibration=None)
    write_contract(contract, model)
    plain = predict_examples(load_model(model), dataset, examples)
    first = Calibration(
        len({e.patient for e in examples}),
        _describe(examples, splits),
        limits=_limits(plain) if covers_every_vertebra(contract.names) else None,
        level_margin=level_margin_of(plain),
    )
    with_laws = replace(first, laws=laws_of(plain, examples, label_shift))
    unshifted, known = with_widths(with_laws, plain, examples)
    write_contract(replace(contract, calibration=unshifted), model)
    changed, cut = _measure_changed(load_model(model), dataset, examples)
    finished = with_shifted_groups(unshifted, known, changed, cut, label_shift)
    write_contract(replace(contract, calibration=finished), model)
    return finished


def _describe(examples: Sequence[Example], splits: Sequence[Split]) -> str:
    simulated = {bool(e.facts.get("simulated")) for e in examples}
    patients = "virtual patients" if simulated == {True} else "patients"
    return f"{patients} of the {' and '.join(splits)} split"


def _measure_changed(model: Model, dataset: Path, examples: Sequence[Example]) -> tuple[Known, Known]:
    """Predictions for changed versions of the examples: those that show the whole spine, and those that are cut."""
    whole: list[tuple[Prediction, Example]] = []
    cut: list[tuple[Prediction, Example]] = []
    for example in examples:
        for version in range(CHANGED_VERSIONS):
            changed = changed_example(dataset, example, version)
            inputs = {view: given for view, given in changed.inputs.items() if view in model.contract.views}
            prediction = measure_views(model, inputs, example.study_id)
            (cut if changed.is_cut else whole).append((prediction, changed.reference(prediction)))
    return whole, cut


def with_widths(
    calibration: Calibration, predictions: Sequence[Prediction], examples: Sequence[Example]
) -> tuple[Calibration, Known]:
    """The calibration with the neighbour width of the smallest mean error and its interval widths; the new predictions.

    With few patients, the default neighbour width is kept.
    """
    tried = NEIGHBOUR_WIDTHS if len(examples) >= LEAST_TO_CHOOSE else (NEIGHBOUR_WIDTH,)
    found = {width: _measured_again(calibration, width, predictions, examples) for width in tried}
    best = min(tried, key=lambda width: _mean_error(found[width], examples))
    known = list(zip(found[best], examples, strict=True))
    return replace(calibration, neighbour_width=best, widths=widths_of(scores_of(known))), known


def _measured_again(
    calibration: Calibration, width: float, predictions: Sequence[Prediction], examples: Sequence[Example]
) -> list[Prediction]:
    again = []
    for prediction, example in zip(predictions, examples, strict=True):
        spread = {view: spread_in_cells(prediction, view) for view in prediction.spread_px}
        sigma, _ = uncertainty_px(calibration, spread, prediction.cell_px)
        in_space = prediction.points_3d or None
        parameters = parameters_of(prediction.points, in_space, example.views, sigma, width)
        again.append(replace(prediction, parameters=parameters))
    return again


def _mean_error(predictions: Sequence[Prediction], examples: Sequence[Example]) -> float:
    """Mean absolute error in degrees of all angles that have a truth and a prediction."""
    known = list(zip(predictions, examples, strict=True))
    errors = [error for _, _, _, measured, error in errors_of(known) if measured.unit == "deg"]
    return float(np.mean(errors)) if errors else 0.0


def fitted_law(spread: Floats, along: Floats, point_spread: Floats, distance: Floats) -> SpreadLaw:
    """The law, on a grid of error and gain, with the highest likelihood of the errors under Student's distribution.

    Args:
        spread: (N,) spread of each heat map, in cells.
        along: (N, D) errors of the coordinates that are decoded from the heat maps of ``spread``, in cells.
        point_spread: (M,) spread of each heat map, in cells.
        distance: (M,) distances between the true points and the points that are decoded from the heat maps of
            ``point_spread``, in cells.
    """
    floor = float(np.quantile(spread, FLOOR_QUANTILE))
    excess = np.maximum(spread**2 - floor**2, 0.0)
    scale = max(float(np.median(np.abs(along))), 1e-4)
    errors, gains = np.geomspace(0.2 * scale, 5 * scale, _GRID), np.concatenate([[0.0], np.geomspace(0.01, 2, _GRID)])
    variance = errors[:, None, None] ** 2 + gains[None, :, None] ** 2 * excess
    squared = along[None, None] ** 2 / variance[..., None]
    fit = (0.5 * np.log(variance)[..., None] + 0.5 * (_FREEDOM + 1) * np.log1p(squared / _FREEDOM)).mean(axis=(2, 3))
    best = np.unravel_index(int(np.argmin(fit)), fit.shape)
    law = SpreadLaw(floor, float(errors[best[0]]), float(gains[best[1]]), 0.0)
    sigmas = np.array([law.sigma(s) for s in point_spread])
    return replace(law, radius=conformal_quantile(distance / sigmas))


def level_margin_of(predictions: Sequence[Prediction]) -> float | None:
    """The level margin that 98 % of the images exceed, but at least 0. Below it, level names can be one level off.

    The margins are those of single images, because a patient may have only one.
    """
    margins = [margin for p in predictions for margin in p.view_level_margins.values()]
    return max(0.0, float(np.quantile(margins, 1 - SURE_OF_LEVELS))) if margins else None


def _limits(predictions: Sequence[Prediction]) -> InputLimits:
    return limits_from([features_of(p.points[v], spread_in_cells(p, v)) for p in predictions for v in p.points])


def laws_of(
    predictions: Sequence[Prediction], examples: Sequence[Example], label_shift: int = 0
) -> dict[str, dict[str, SpreadLaw]]:
    """View -> landmark group -> spread law, fitted to predictions of images whose landmarks are known."""
    found: dict[str, dict[str, SpreadLaw]] = {}
    for view in VIEWS:
        groups: dict[str, _Errors] = defaultdict(_Errors)
        for prediction, example in zip(predictions, examples, strict=True):
            if view in example.views and prediction.points.get(view):
                labels = shift_points(prediction.points[view], example.views[view].points, label_shift)
                _collect(groups, prediction, labels, view)
        every = _Errors(
            [e for errors in groups.values() for e in errors.coordinates],
            [e for errors in groups.values() for e in errors.distances],
        )
        if len(every.coordinates) >= LEAST_POINTS:
            enough = {n: e if len(e.coordinates) >= LEAST_POINTS else every for n, e in groups.items()}
            found[view] = {name: errors.law() for name, errors in enough.items()}
    return found


def _collect(groups: dict[str, _Errors], prediction: Prediction, truth: Points2D, view: ViewName) -> None:
    """Add the errors of one image to ``groups``, in cells of its heat maps."""
    found, cell, spread = prediction.points[view], prediction.cell_px[view], spread_in_cells(prediction, view)
    for name in found.keys() & truth.keys():
        error, errors = (found[name] - truth[name]) / cell, groups[group_of(name)]
        errors.distances.append((spread[name], float(np.hypot(*error))))
        if group_of(name) in ("centres", "pelvis"):
            errors.coordinates.append((spread[name], float(error[0]), float(error[1])))
    for plate in (*PLATES, S1_PLATE):
        names = margin_names(plate, PLANE_OF_VIEW[view])
        if not all(name in found and name in truth for name in names):
            continue
        start, end = names
        along = truth[end] - truth[start]
        normal = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6)
        turned = float((found[end] - truth[end] - found[start] + truth[start]) @ normal) / cell / 2**0.5
        both = float(np.hypot(spread[start], spread[end])) / 2**0.5
        groups[group_of(start)].coordinates.append((both, turned, turned))  # counts as two equal, independent errors


def main(arguments: Sequence[str] | None = None) -> int:
    """Calibrate a model folder; returns the exit code."""
    program = "python -m training.export.calibrate"
    parser = argparse.ArgumentParser(prog=program, description="Calibrate a model's intervals.")
    parser.add_argument("model", type=Path, help="folder with model.onnx and contract.json")
    parser.add_argument("--dataset", type=Path, required=True, help="data set with the model's landmarks")
    parser.add_argument("--splits", default="validation", help="train, validation, or both (train,validation)")
    given = parser.parse_args(arguments)
    try:
        require_data_set(given.dataset)
        done = calibrate(given.model, given.dataset, tuple(given.splits.split(",")))
    except PlumblineError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    if (given.model / CANDIDATE_FILE).is_file():
        summary = replace(read_summary(given.model), model_digest=model_digest(given.model))
        write_summary(summary, given.model / CANDIDATE_FILE)
    for view, groups in done.laws.items():
        for group, law in groups.items():
            sys.stdout.write(
                f"{view} {group}: floor {law.floor:.2f}, error {law.error:.3f}, gain {law.gain:.3f} cells, "
                f"radius {law.radius:.2f} sigmas\n"
            )
    widths = ", ".join(f"{name} {width:.2f}" for name, width in done.widths.items())
    sys.stdout.write(
        f"{done.patients} patients; neighbour width {done.neighbour_width:g}; half widths in sigmas: {widths}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

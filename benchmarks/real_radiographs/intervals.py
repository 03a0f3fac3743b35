"""90 % intervals of the mid-line angle on the real radiographs: by shift, and calibrated on some of the radiographs.

Contract: a radiograph on which intervals are calibrated does not count in their share. Radiographs of one patient are
never on both sides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise

import numpy as np

from benchmarks.real_radiographs.folds import radiograph_of
from benchmarks.sim_to_real.pack import Pack
from inference.calibration import Calibration
from inference.model import Model
from spine.dataset import Example, ExampleView, Truth
from spine.intake.aasce import LABEL_NAMES
from spine.landmarks import ViewName
from spine.prediction import Prediction
from training.export.interval_widths import Known
from training.export.site_calibration import site_calibration_of

ANGLE = "cobb_midline"
SEED = 2026


@dataclass(frozen=True)
class IntervalFigures:
    """Intervals of some radiographs: the share that contains the published angle, and the mean width in degrees.

    ``count`` is the number of angles that were measured, ``withheld`` the number of those without an interval.
    """

    count: int
    withheld: int
    share: float
    width: float


def interval_figures(calibration: Calibration, known: Known) -> IntervalFigures:
    """The figures of these radiographs, with the intervals of ``calibration``."""
    count, ends, published = 0, [], []
    for prediction, example in known:
        shifts: dict[ViewName, float] = {view: basis.shift for view, basis in prediction.interval_basis.items()}
        bare = replace(prediction.parameters[ANGLE], interval=None)
        measured = calibration.with_intervals({ANGLE: bare}, shifts)[ANGLE]
        count += not measured.is_absent
        if measured.interval is None:
            continue
        ends.append(measured.interval)
        published.append(example.truth[ANGLE].value)
    if not ends:
        return IntervalFigures(count, count, float("nan"), float("nan"))
    low, high = np.array(ends).T
    inside = (low <= np.array(published)) & (np.array(published) <= high)
    return IntervalFigures(count, count - len(ends), float(inside.mean()), float((high - low).mean()))


def labelled(radiographs: Pack, predictions: Mapping[int, Prediction]) -> list[tuple[Prediction, Example]]:
    """The predictions, each with an example that has the labels and the published angle of its radiograph."""
    patients = radiographs.facts["patient"].astype(np.str_)
    known = []
    for i, prediction in sorted(predictions.items()):
        image, first = radiograph_of(radiographs.images[i])
        corners = radiographs.corners[i].reshape(-1, 2).astype(np.float64) - first
        seen = radiographs.visible[i].reshape(-1)
        points = {name: xy for name, xy, there in zip(LABEL_NAMES, corners, seen, strict=True) if there}
        view = ExampleView("frontal", "", "", (image.shape[0], image.shape[1]), None, "NONE", None, points)
        truth = {ANGLE: Truth(float(radiographs.facts["angle_deg"][i, 0]), "deg")}
        known.append((prediction, Example(str(i), str(patients[i]), "test", "aasce", {"frontal": view}, truth=truth)))
    return known


def by_shift(calibration: Calibration, known: Known) -> list[tuple[float, IntervalFigures]]:
    """(largest shift, figures) of every group of the calibration; infinity for the images without a group."""
    shift_of = [prediction.interval_basis["frontal"].shift for prediction, _ in known]
    limits = [-np.inf, *(group.upper.get("frontal", np.inf) for group in calibration.groups), np.inf]
    rows = []
    for lower, upper in pairwise(limits):
        inside = [each for each, shift in zip(known, shift_of, strict=True) if lower < shift <= upper]
        if inside:
            rows.append((float(upper), interval_figures(calibration, inside)))
    return rows


def site_calibrations(model: Model, known: Known, count: int, draws: int) -> list[IntervalFigures]:
    """Figures of the other radiographs, for intervals calibrated on those of ``count`` patients drawn at random."""
    # A site needs this number of patients whose angle is measured.
    patients = sorted({e.patient for prediction, e in known if not prediction.parameters[ANGLE].is_absent})
    figures = []
    for draw in range(draws):
        drawn = set(np.random.default_rng((SEED, count, draw)).choice(patients, count, replace=False).tolist())
        own = [each for each in known if each[1].patient in drawn]
        site = site_calibration_of(model, own, "site", date(2026, 1, 1)).applied_to(model)
        calibration = site.contract.calibration
        assert calibration is not None
        figures.append(interval_figures(calibration, [each for each in known if each[1].patient not in drawn]))
    return figures


def spread(values: Sequence[float]) -> str:
    """Mean, SD and range of some figures, as text."""
    return f"{np.mean(values):.3f} (SD {np.std(values):.3f}, {np.min(values):.3f} to {np.max(values):.3f})"

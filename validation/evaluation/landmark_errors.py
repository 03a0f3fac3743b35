"""Landmark errors: distances to the true points, missed points, false positives, and level shifts.

Contract: an error in mm exists only in a view whose calibration allows lengths. In any other view only the error in
pixels exists. A point that is not visible in the truth has no error; a prediction of it counts as a false positive.

A level shift means that all level names of a view are wrong by the same number of levels: the model's T5 lies on the
true T6. The shift of a view is the shift from -3 to 3 with the smallest median distance. A positive shift means
that the names are too cranial. Angles between named levels are then wrong, but the Cobb angle does not change.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spine.dataset import Example, ExampleView
from spine.landmarks import LEVELS, VERTEBRAE, level_of
from spine.prediction import Prediction
from spine.study import LENGTHS_ALLOWED, Points2D
from spine.types import Floats

Space = Literal["frontal", "lateral", "3d"]
State = Literal["found", "missed", "false_positive"]

MAX_SHIFT = 3
_MIN_SHIFT_PAIRS = 6


@dataclass(frozen=True)
class LandmarkError:
    """One landmark in one view of one study (or in 3D).

    Attributes:
        space: the view, or ``3d``.
        name: name of the landmark.
        state: ``found`` (visible, predicted), ``missed`` (visible, not predicted) or ``false_positive`` (predicted,
            not visible).
        error_px: distance in pixels, for found landmarks of a view.
        error_mm: distance in mm, in the image plane at the isocentre (calibrated views) or in space (3D).
    """

    space: Space
    name: str
    state: State
    error_px: float | None = None
    error_mm: float | None = None


@dataclass(frozen=True)
class LandmarkSummary:
    """Landmark errors of one group over a test set.

    Attributes:
        space: the view, or ``3d``.
        group: ``all``, a level (``T4``, ``S1``, ``HIP``) or a landmark's name.
        n_visible: number of landmarks that are visible in the truth.
        n_found: number of visible landmarks that were predicted.
        n_false_positive: number of landmarks that were predicted and are not visible.
        coverage: n_found / n_visible; None if no landmark is visible.
        mean_mm, median_mm, p95_mm, median_px: figures of the errors of found landmarks; None if no landmark was found.
            The figures in mm are also None without calibration.
    """

    space: Space
    group: str
    n_visible: int
    n_found: int
    n_false_positive: int
    coverage: float | None
    mean_mm: float | None
    median_mm: float | None
    p95_mm: float | None
    median_px: float | None


def landmark_errors(prediction: Prediction | None, example: Example) -> tuple[LandmarkError, ...]:
    """Landmark errors of one study: its views in order, then 3D. ``prediction`` is None if the study has none."""
    errors: list[LandmarkError] = []
    for view in example.views.values():
        predicted = prediction.points.get(view.view, {}) if prediction else {}
        errors += _errors_of_view(view, predicted)
    predicted_3d = prediction.points_3d if prediction else {}
    for name in sorted(_visible_in_all(example) & example.points_3d.keys()):
        if name in predicted_3d:
            distance = _distance(predicted_3d[name], example.points_3d[name])
            errors.append(LandmarkError("3d", name, "found", None, distance))
        else:
            errors.append(LandmarkError("3d", name, "missed"))
    return tuple(errors)


def level_shift(predicted: Points2D, truth: Points2D) -> int | None:
    """Shift of the level names in one view, or None if there are too few points."""
    parts = sorted({n.split("_", 1)[1] for n in truth if level_of(n) in VERTEBRAE})
    found, true = _by_level(predicted, parts), _by_level(truth, parts)
    medians: dict[int, float] = {}
    for shift in sorted(range(-MAX_SHIFT, MAX_SHIFT + 1), key=abs):
        shifted = found[max(0, -shift) : len(VERTEBRAE) - max(0, shift)]
        reference = true[max(0, shift) : len(VERTEBRAE) - max(0, -shift)]
        distances = np.linalg.norm(shifted - reference, axis=-1)
        distances = distances[np.isfinite(distances)]
        if len(distances) >= _MIN_SHIFT_PAIRS:
            medians[shift] = float(np.median(distances))
    return min(medians, key=medians.__getitem__) if 0 in medians else None


def summarise(errors: Iterable[LandmarkError]) -> tuple[LandmarkSummary, ...]:
    """Summaries of each space: of all landmarks, then of each level in anatomical order, then of each landmark."""
    by_space: dict[Space, list[LandmarkError]] = defaultdict(list)
    for error in errors:
        by_space[error.space].append(error)
    return tuple(row for space, members in by_space.items() for row in _summaries_of(space, members))


def summary_of(summaries: Sequence[LandmarkSummary], space: str, group: str = "all") -> LandmarkSummary | None:
    """The summary of one group in one space; None if there is no such summary."""
    return next((s for s in summaries if s.space == space and s.group == group), None)


def _summaries_of(space: Space, members: Sequence[LandmarkError]) -> list[LandmarkSummary]:
    levels: dict[str, list[LandmarkError]] = defaultdict(list)
    names: dict[str, list[LandmarkError]] = defaultdict(list)
    for error in members:
        levels[level_of(error.name)].append(error)
        names[error.name].append(error)
    groups = [(group, found[group]) for found in (levels, names) for group in sorted(found, key=_anatomical)]
    return [_summary(space, group, errors) for group, errors in [("all", members), *groups]]


def _summary(space: Space, group: str, errors: Sequence[LandmarkError]) -> LandmarkSummary:
    found = [e for e in errors if e.state == "found"]
    visible = sum(e.state != "false_positive" for e in errors)
    mm = np.array([e.error_mm for e in found if e.error_mm is not None])
    px = np.array([e.error_px for e in found if e.error_px is not None])
    return LandmarkSummary(
        space=space,
        group=group,
        n_visible=visible,
        n_found=len(found),
        n_false_positive=len(errors) - visible,
        coverage=len(found) / visible if visible else None,
        mean_mm=float(mm.mean()) if mm.size else None,
        median_mm=float(np.median(mm)) if mm.size else None,
        p95_mm=float(np.quantile(mm, 0.95)) if mm.size else None,
        median_px=float(np.median(px)) if px.size else None,
    )


def _errors_of_view(view: ExampleView, predicted: Points2D) -> list[LandmarkError]:
    errors = []
    spacing = view.spacing_mm if view.calibration in LENGTHS_ALLOWED else None
    for name in sorted(view.points.keys() | predicted.keys()):
        if name not in view.points:
            errors.append(LandmarkError(view.view, name, "false_positive"))
        elif name not in predicted:
            errors.append(LandmarkError(view.view, name, "missed"))
        else:
            px = _distance(predicted[name], view.points[name])
            mm = _distance(predicted[name], view.points[name], spacing[::-1]) if spacing else None
            errors.append(LandmarkError(view.view, name, "found", px, mm))
    return errors


def _distance(a: Floats, b: Floats, scale: tuple[float, ...] = (1.0,)) -> float:
    return math.sqrt(float(np.sum(((np.asarray(a) - np.asarray(b)) * scale) ** 2)))


def _visible_in_all(example: Example) -> set[str]:
    """Landmarks that are visible in both views. Only these landmarks count in 3D coverage."""
    if len(example.views) < 2:
        return set()
    return set.intersection(*(set(view.points) for view in example.views.values()))


def _by_level(points: Mapping[str, Floats], parts: Sequence[str]) -> Floats:
    """(17, parts, 2) pixels by level and part; NaN where a point is absent. This module returns no NaN."""
    arranged = np.full((len(VERTEBRAE), len(parts), 2), np.nan)
    for i, level in enumerate(VERTEBRAE):
        for j, part in enumerate(parts):
            if (point := points.get(f"{level}_{part}")) is not None:
                arranged[i, j] = point
    return arranged


def _anatomical(name: str) -> tuple[int, str]:
    level = level_of(name)
    return (LEVELS.index(level) if level in LEVELS else len(LEVELS), name)

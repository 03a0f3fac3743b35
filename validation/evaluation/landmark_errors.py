"""Landmark errors: where a model put each point, how many of the visible ones it found, and level shifts.

Contract: an error in mm exists only in a view whose calibration allows lengths; in any other view it is absent and the
error in pixels stands alone. A point that is not visible in the truth has no error; a model that claims one is counted
(``claimed``), because claiming what is not there is an error too.

A level shift is the whole chain of names being off: the model's T5 lies on the true T6. Of the shifts
-3..3 the one with the smallest median distance is the view's shift; positive means that the names are too
cranial. Angles between named levels cannot be trusted in a shifted view, and Cobb's size hides it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spine.dataset import Example, ExampleView
from spine.landmarks import LEVELS, VERTEBRAE, level_of
from spine.prediction import Prediction
from spine.study import LENGTHS_ALLOWED, Points2D
from spine.types import Floats

Space = Literal["frontal", "lateral", "3d"]
State = Literal["found", "missed", "claimed"]

MOST_SHIFT = 3
_LEAST_SHIFT_PAIRS = 6


@dataclass(frozen=True)
class LandmarkError:
    """One landmark in one view of one study (or in 3D).

    Attributes:
        space: the view, or ``3d``.
        name: landmark.
        state: ``found`` (visible, answered), ``missed`` (visible, not answered), ``claimed`` (answered, not visible).
        error_px: distance in pixels, found landmarks of a view.
        error_mm: distance in mm in the image plane at the isocentre (calibrated views) or in space (3D).
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
        n_visible: landmarks visible in the truth; n_found: of those answered; n_claimed: answered though not visible.
        coverage: n_found / n_visible, None where nothing is visible.
        mean_mm, median_mm, p95_mm, median_px: over found landmarks; None where there is none (or no calibration).
    """

    space: Space
    group: str
    n_visible: int
    n_found: int
    n_claimed: int
    coverage: float | None
    mean_mm: float | None
    median_mm: float | None
    p95_mm: float | None
    median_px: float | None


def landmark_errors(prediction: Prediction | None, example: Example) -> tuple[LandmarkError, ...]:
    """Errors of one study, views in order and then 3D; ``prediction`` None means that nothing was answered."""
    errors: list[LandmarkError] = []
    for view in example.views.values():
        predicted = prediction.points.get(view.view, {}) if prediction else {}
        errors += _errors_of_view(view, predicted)
    in_both = _visible_in_all(example)
    predicted_3d = prediction.points_3d if prediction else {}
    for name in sorted(in_both & example.points_3d.keys()):
        if name in predicted_3d:
            distance = _distance(predicted_3d[name], example.points_3d[name], np.ones(3))
            errors.append(LandmarkError("3d", name, "found", None, distance))
        else:
            errors.append(LandmarkError("3d", name, "missed"))
    return tuple(errors)


def level_shift(predicted: Points2D, truth: Points2D) -> int | None:
    """Shift of the chain of level names in one view, or None where too few points allow no statement."""
    parts = sorted({n.split("_", 1)[1] for n in truth if level_of(n) in VERTEBRAE})
    ours, theirs = _as_chain(predicted, parts), _as_chain(truth, parts)
    medians: dict[int, float] = {}
    for shift in sorted(range(-MOST_SHIFT, MOST_SHIFT + 1), key=abs):
        here = ours[max(0, -shift) : len(VERTEBRAE) - max(0, shift)]
        there = theirs[max(0, shift) : len(VERTEBRAE) - max(0, -shift)]
        distances = np.linalg.norm(here - there, axis=-1)
        distances = distances[np.isfinite(distances)]
        if len(distances) >= _LEAST_SHIFT_PAIRS:
            medians[shift] = float(np.median(distances))
    return min(medians, key=medians.__getitem__) if 0 in medians else None


def summarise(errors: Iterable[LandmarkError]) -> tuple[LandmarkSummary, ...]:
    """Summaries per space: all, by level in anatomical order, by landmark."""
    by_space: dict[Space, list[LandmarkError]] = {}
    for error in errors:
        by_space.setdefault(error.space, []).append(error)
    return tuple(row for space, members in by_space.items() for row in _summaries_of(space, members))


def summary_of(summaries: Sequence[LandmarkSummary], space: str, group: str = "all") -> LandmarkSummary | None:
    """The summary of one group in one space, or None."""
    return next((s for s in summaries if s.space == space and s.group == group), None)


def _summaries_of(space: Space, members: Sequence[LandmarkError]) -> list[LandmarkSummary]:
    rows = [_summary(space, "all", members)]
    groupings: tuple[Callable[[LandmarkError], str], ...] = (lambda e: level_of(e.name), lambda e: e.name)
    for key in groupings:
        groups: dict[str, list[LandmarkError]] = {}
        for error in members:
            groups.setdefault(key(error), []).append(error)
        rows += [_summary(space, group, groups[group]) for group in sorted(groups, key=_anatomical)]
    return rows


def _summary(space: Space, group: str, errors: Sequence[LandmarkError]) -> LandmarkSummary:
    found = [e for e in errors if e.state == "found"]
    missed = sum(e.state == "missed" for e in errors)
    visible = len(found) + missed
    mm = np.array([e.error_mm for e in found if e.error_mm is not None])
    px = np.array([e.error_px for e in found if e.error_px is not None])
    return LandmarkSummary(
        space=space,
        group=group,
        n_visible=visible,
        n_found=len(found),
        n_claimed=len(errors) - visible,
        coverage=len(found) / visible if visible else None,
        mean_mm=float(mm.mean()) if mm.size else None,
        median_mm=float(np.median(mm)) if mm.size else None,
        p95_mm=float(np.quantile(mm, 0.95)) if mm.size else None,
        median_px=float(np.median(px)) if px.size else None,
    )


def _errors_of_view(view: ExampleView, predicted: Points2D) -> list[LandmarkError]:
    errors = []
    lengths_allowed = view.spacing_mm is not None and view.calibration in LENGTHS_ALLOWED
    for name in sorted(view.points.keys() | predicted.keys()):
        if name not in view.points:
            errors.append(LandmarkError(view.view, name, "claimed"))
        elif name not in predicted:
            errors.append(LandmarkError(view.view, name, "missed"))
        else:
            px = _distance(predicted[name], view.points[name], np.ones(2))
            mm = None
            if lengths_allowed and view.spacing_mm is not None:
                row_mm, column_mm = view.spacing_mm
                mm = _distance(predicted[name], view.points[name], np.array([column_mm, row_mm]))
            errors.append(LandmarkError(view.view, name, "found", px, mm))
    return errors


def _distance(a: Floats, b: Floats, scale: Floats) -> float:
    return math.sqrt(float(np.sum(((np.asarray(a) - np.asarray(b)) * scale) ** 2)))


def _visible_in_all(example: Example) -> set[str]:
    """Landmarks visible in both views; 3D coverage asks for no more than the images show."""
    if len(example.views) < 2:
        return set()
    return set.intersection(*(set(view.points) for view in example.views.values()))


def _as_chain(points: Mapping[str, Floats], parts: Sequence[str]) -> Floats:
    """(17, parts, 2) pixels by level and part; NaN (inside this module only) where a point is absent."""
    chain = np.full((len(VERTEBRAE), len(parts), 2), np.nan)
    for i, level in enumerate(VERTEBRAE):
        for j, part in enumerate(parts):
            if (point := points.get(f"{level}_{part}")) is not None:
                chain[i, j] = point
    return chain


def _anatomical(name: str) -> tuple[int, str]:
    level = level_of(name)
    return (LEVELS.index(level) if level in LEVELS else len(LEVELS), name)
